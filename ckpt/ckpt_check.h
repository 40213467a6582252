/* ckpt_check.h: the rules that every manifest keeps, those that are written and those that are read. Private to ckpt/.
 */
#ifndef CKPT_CHECK_H
#define CKPT_CHECK_H

#include "ckpt_manifest.h"

/* BASE_CKPT with the first rule that is broken, for people ("tensor 'dense1/weight' has 9 dimensions, 1 to 8 are
 * allowed"); BASE_ERROR: out of memory. Takes O(n log n) of tensors and pieces. Local. */
base_status ckpt_check(const ckpt_manifest *manifest);

#endif
