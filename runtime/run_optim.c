#include "run_optim.h"

#include <math.h>
#include <stdlib.h>

enum { STATES_MAX = 2 };

struct run_optim {
    run_optim_options o;
    int state_count;
    void *state[STATES_MAX];
};

double run_optim_learning_rate(const run_config_optimizer *config, int64_t epochs, int64_t steps_per_epoch,
                               int64_t step)
{
    double warmup = round(config->schedule.warmup_epochs * (double)steps_per_epoch);
    double total = (double)epochs * (double)steps_per_epoch;
    double lr = config->lr;
    if ((double)step < warmup)
        return lr * (double)(step + 1) / warmup;
    switch (config->schedule.type) {
    case RUN_SCHEDULE_CONSTANT: return lr;
    case RUN_SCHEDULE_STEP:
        return lr * pow(config->schedule.gamma,
                        floor((double)step / ((double)steps_per_epoch * config->schedule.every_epochs)));
    case RUN_SCHEDULE_COSINE: {
        double t = total > warmup ? ((double)step - warmup) / (total - warmup) : 1.0;
        double low = config->schedule.min_lr;
        return low + 0.5 * (lr - low) * (1.0 + cos(3.14159265358979323846 * (t < 1.0 ? t : 1.0)));
    }
    }
    return lr;
}

int run_optim_states(const run_config_optimizer *config)
{
    if (config->type == RUN_OPTIMIZER_SGD)
        return config->momentum != 0.0f ? 1 : 0;
    return 2;
}

base_status run_optim_create(const run_optim_options *options, run_optim **out)
{
    run_optim *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for the optimizer");
    self->o = *options;
    self->state_count = run_optim_states(options->config);
    *out = self;
    for (int i = 0; i < self->state_count; i++)
        BASE_TRY(
            options->device_table->memory_alloc(options->device, options->elements * sizeof(float), &self->state[i]));
    return BASE_OK;
}

void run_optim_destroy(run_optim **out)
{
    run_optim *self = *out;
    if (!self)
        return;
    for (int i = 0; i < self->state_count; i++)
        self->o.device_table->memory_free(self->o.device, &self->state[i]);
    free(self);
    *out = NULL;
}

int run_optim_state_count(const run_optim *self)
{
    return self->state_count;
}

const char *run_optim_state_name(const run_optim *self, int i)
{
    static const char *const adam_names[STATES_MAX] = {"moment1", "moment2"};
    return self->o.config->type == RUN_OPTIMIZER_SGD ? "momentum" : adam_names[i];
}

float *run_optim_state(run_optim *self, int i)
{
    return self->state[i];
}

base_status run_optim_update(run_optim *self, size_t state_offset, size_t count, const float *g, float *p)
{
    const run_config_optimizer *config = self->o.config;
    float *first = self->state_count > 0 ? (float *)self->state[0] + state_offset : NULL;
    float *second = self->state_count > 1 ? (float *)self->state[1] + state_offset : NULL;
    if (config->type == RUN_OPTIMIZER_SGD) {
        ops_sgd op = {.momentum = config->momentum, .weight_decay = config->weight_decay, .nesterov = config->nesterov};
        return self->o.ops->sgd_update(self->o.context, &op, (int64_t)count, g, p, first);
    }
    ops_adam op = {.beta1 = config->beta1,
                   .beta2 = config->beta2,
                   .eps = config->epsilon,
                   .weight_decay = config->weight_decay,
                   .decoupled = config->type == RUN_OPTIMIZER_ADAMW};
    return self->o.ops->adam_update(self->o.context, &op, (int64_t)count, g, p, first, second);
}
