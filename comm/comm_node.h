/* comm_node.h: which ranks share a node. Internal to comm. */
#ifndef COMM_NODE_H
#define COMM_NODE_H

#include "comm.h"

/* Collective over world->all. Fills info.node_rank, node_size and nodes; `index` is the same for the ranks of a node
 * and differs between nodes. Instead of MPI_Comm_split_type, which blocks (0.3 s for 8 ranks on 2 cores). */
base_status comm_node_find(comm_world *world, int *index);

#endif
