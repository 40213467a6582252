/* run_optim.h: learning-rate schedules, and an optimizer's state over flat ranges of the parameter layout. */
#ifndef RUN_OPTIM_H
#define RUN_OPTIM_H

#include "base_arena.h"
#include "base_device.h"
#include "ops.h"
#include "run_config.h"

/* The learning rate of step `step` (from 0 over the whole run). Warm-up: lr (step + 1) / W for the first W =
 * round(warmup_epochs steps_per_epoch) steps. Then constant; step: lr gamma^floor(epoch / every_epochs); cosine: from
 * lr down to min_lr at the end of epoch `epochs`, min_lr + (lr - min_lr) (1 + cos(pi t)) / 2 (Loshchilov and Hutter
 * 2017, without restarts). */
double run_optim_learning_rate(const run_config_optimizer *config, int64_t epochs, int64_t steps_per_epoch,
                               int64_t step);

/* State tensors that the configured optimizer keeps: 0, 1 (momentum) or 2 (first and second moment). */
int run_optim_states(const run_config_optimizer *config);

typedef struct run_optim run_optim;

typedef struct run_optim_options {
    const run_config_optimizer *config;
    const base_device_table *device_table;
    base_device *device;
    const ops_table *ops;
    ops_context *context;
    size_t elements; /* that this rank updates: its state is so long, for each of the optimizer's state tensors */
} run_optim_options;

base_status run_optim_create(const run_optim_options *options, run_optim **self);
void run_optim_destroy(run_optim **self);

/* State tensors, run_optim_states of them; names "momentum", "moment1", "moment2". */
int run_optim_state_count(const run_optim *self);
const char *run_optim_state_name(const run_optim *self, int i);
float *run_optim_state(run_optim *self, int i); /* (elements) */

/* Update `count` parameters p with gradients g (both at the same place of their slabs); their state begins at element
 * `state_offset`. The learning rate, the scale of gradients and the number of the update are those of the step that ops
 * was told to begin. */
base_status run_optim_update(run_optim *self, size_t state_offset, size_t count, const float *g, float *p);

#endif
