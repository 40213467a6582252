/* comm_segment.h: memory that the ranks of a node share, or that one rank has for itself. Internal to comm.
 *
 * A shared segment is a memory file of the node's first rank, which the others open through /proc. Why not
 * MPI_Win_allocate_shared: it is a blocking call (0.3 s for 8 ranks on 2 cores), it takes the space from /dev/shm,
 * which containers limit to 64 MB with a SIGBUS beyond, and freeing it is collective, which a failed group cannot be.
 */
#ifndef COMM_SEGMENT_H
#define COMM_SEGMENT_H

#include "comm.h"

typedef struct comm_segment {
    void *data;
    size_t nbytes;
} comm_segment;

/* Collective over the ranks of a node. Zeroed, aligned to a page, not yet touched; each page becomes local to the rank
 * that touches it first. All ranks of the node fail alike. nbytes is the same on all. */
base_status comm_segment_create(comm_world *world, size_t nbytes, comm_segment *segment);

/* Local. The same for one rank alone. */
base_status comm_segment_create_private(size_t nbytes, comm_segment *segment);

/* Local. The other ranks keep their view. Takes one that was never created (data NULL). */
void comm_segment_destroy(comm_segment *segment);

/* Write zero to every page of the range, so that no page fault is left for later. */
void comm_segment_touch(void *data, size_t nbytes);

#endif
