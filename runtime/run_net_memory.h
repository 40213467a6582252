/* run_net_memory.h: the inside of a run_net, shared by its memory (run_net.c) and its execution (run_net_exec.c). */
#ifndef RUN_NET_MEMORY_H
#define RUN_NET_MEMORY_H

#include "base_arena.h"
#include "run_net.h"

/* Batch normalisation's own memory, on the device: C channels. */
typedef struct run_norm {
    float *mean, *invstd;              /* (C) in force */
    float *running_mean, *running_var; /* (C) */
    size_t sums;                       /* (2 C), added up over the group: element of the slab of sums */
} run_norm;

struct run_net {
    run_net_options o;
    base_arena *arena;
    comm_slab *params, *gradients, *wide, *operands;
    int64_t first_sample; /* of the batch at work: its row in the operand slab */
    void *activations;
    void *statistics;  /* of all norms, floats */
    comm_slab *sums;   /* of all norms, doubles */
    run_norm *norms;   /* a node; empty for other kinds */
    ops_conv **convs;  /* a node; NULL for other kinds */
    const void **join; /* inputs of the add or concat at work */
    int64_t *join_channels;
};

/* Addresses in the slabs; NULL where a node has no such tensor. `batch` gives the model's input. */
float *run_net_param(run_net *self, int param);
float *run_net_param_gradient(run_net *self, int param); /* in the gradient slab */
void *run_net_param_sum(run_net *self, int param);       /* in the wide slab, or in the gradient slab if it is plain */
const void *run_net_value(run_net *self, const run_net_batch *batch, int node);
void *run_net_value_out(run_net *self, int node);
void *run_net_gradient(run_net *self, int node);
void *run_net_z(run_net *self, int node);
uint8_t *run_net_bytes_of(run_net *self, int node);

#endif
