/* comm_reduce.h: the sums themselves, as fast as memory delivers. Internal to comm. */
#ifndef COMM_REDUCE_H
#define COMM_REDUCE_H

#include "comm.h"

/* Every one of the `nout` outputs becomes ((in[0] + in[1]) + in[2]) + ..., element by element: (count) floats or
 * doubles each. An output may be one of the inputs; otherwise they must not overlap. nin >= 1. */
void comm_reduce_ranges(comm_type type, void *const *out, int nout, void *const *in, int nin, size_t count);

/* `to`[i] = `to`[i] op `from`[i], (count). */
void comm_reduce_small(void *to, const void *from, size_t count, comm_type type, comm_op op);

size_t comm_type_size(comm_type type);

#endif
