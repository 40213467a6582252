/* gpu_nccl.h: the plug-in's half of the NCCL back end of a group: comm_nccl.h's table over NCCL or RCCL. */
#ifndef GPU_NCCL_H
#define GPU_NCCL_H

#include "comm_nccl.h"

extern const comm_nccl_table gpu_nccl_table;

#endif
