/* base_switch.h: the environment variables that choose between ways to do the same, and what each may be. They are read
 * here alone; whoever begins a job or a measurement checks them first. */
#ifndef BASE_SWITCH_H
#define BASE_SWITCH_H

#include "base_status.h"

typedef enum base_switch {
    BASE_SWITCH_GPU_OWN,    /* DDPT_GPU_OWN=0: ddpt's own products on the GPU are left to the libraries */
    BASE_SWITCH_GPU_CUDNN,  /* DDPT_GPU_CUDNN=0: no cuDNN */
    BASE_SWITCH_GPU_GRAPHS, /* DDPT_GPU_GRAPHS=0: steps do not become graphs */
    BASE_SWITCH_HOST_BF16,  /* DDPT_HOST_BF16=emulate: bf16 on a CPU without the instructions */
    BASE_SWITCH_SHARE_GPUS, /* DDPT_SHARE_GPUS=1: ranks may share a GPU */
    BASE_SWITCH_LOG,        /* DDPT_LOG=error|warn|info|debug, in the order of base_log_level */
    BASE_SWITCH_COUNT
} base_switch;

const char *base_switch_name(base_switch self);

/* 1: numbers may come about in another way. */
int base_switch_computes(base_switch self);

/* What it is set to; NULL where it is not set, or empty. */
const char *base_switch_value(base_switch self);

/* The place of its value among those that it may have ("0" before "1"); -1: not set, or none of them. */
int base_switch_index(base_switch self);

/* BASE_USAGE for the first that is set to what it may not be, in one line with what it may be. */
base_status base_switch_check(void);

#endif
