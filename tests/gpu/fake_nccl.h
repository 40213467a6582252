/* fake_nccl.h: comm_nccl.h's table without NCCL, for tests: the sums are made between hosts. */
#ifndef FAKE_NCCL_H
#define FAKE_NCCL_H

#include "comm_nccl.h"

typedef struct fake_nccl {
    comm_device device; /* with this table as `nccl` */
    comm_group *hosts;  /* brings the sums about; not the group under test */
    int stuck;          /* 1: stays busy for ever */
    int lost;           /* 1: polls find that a peer is lost */
    int opened, closed, aborted;
    int in_pieces; /* operations between begin and end */
} fake_nccl;

extern fake_nccl fake;
extern const comm_nccl_table fake_nccl_table;

#endif
