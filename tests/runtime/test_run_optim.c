#include "run_optim.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The rate is computed in double from a float lr: what differs is rounding in the last places. */
static void assert_close(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-12 * (1.0 + fabs(expected))))
        fail_msg("%.17g is not %.17g", value, expected);
}

static const double pi = 3.14159265358979323846;

static void constant_stays(void **state)
{
    (void)state;
    run_config_optimizer config = {.lr = 0.25f, .schedule = {.type = RUN_SCHEDULE_CONSTANT}};
    for (int64_t step = 0; step < 100; step += 7)
        assert_close(run_optim_learning_rate(&config, 10, 10, step), 0.25);
}

/* W = round(1.5 * 10) = 15 steps: lr 1/15, 2/15, ..., 15/15. */
static void warmup_is_linear(void **state)
{
    (void)state;
    run_config_optimizer config = {.lr = 0.5f, .schedule = {.type = RUN_SCHEDULE_CONSTANT, .warmup_epochs = 1.5}};
    for (int64_t step = 0; step < 15; step++)
        assert_close(run_optim_learning_rate(&config, 10, 10, step), 0.5 * (double)(step + 1) / 15.0);
    assert_close(run_optim_learning_rate(&config, 10, 10, 15), 0.5);
    config.schedule.warmup_epochs = 0.04; /* rounds to no step at all */
    assert_close(run_optim_learning_rate(&config, 10, 10, 0), 0.5);
}

static void step_multiplies_by_gamma(void **state)
{
    (void)state;
    run_config_optimizer config = {.lr = 1.0f,
                                   .schedule = {.type = RUN_SCHEDULE_STEP, .every_epochs = 2.0, .gamma = 0.1}};
    static const struct {
        int64_t step;
        double lr;
    } expected[] = {{0, 1.0}, {19, 1.0}, {20, 0.1}, {39, 0.1}, {40, 0.01}, {60, 0.001}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_close(run_optim_learning_rate(&config, 10, 10, expected[i].step), expected[i].lr);
    config.schedule.every_epochs = 0.5;
    assert_close(run_optim_learning_rate(&config, 10, 10, 4), 1.0);
    assert_close(run_optim_learning_rate(&config, 10, 10, 5), 0.1);
}

static void cosine_falls_to_its_end(void **state)
{
    (void)state;
    run_config_optimizer config = {.lr = 0.5f,
                                   .schedule = {.type = RUN_SCHEDULE_COSINE, .warmup_epochs = 1.0, .min_lr = 0.125}};
    /* 10 steps of warm-up, then 90 of cosine. */
    for (int64_t step = 10; step < 100; step++) {
        double t = (double)(step - 10) / 90.0;
        assert_close(run_optim_learning_rate(&config, 10, 10, step), 0.125 + 0.375 * (1.0 + cos(pi * t)) / 2.0);
    }
    assert_close(run_optim_learning_rate(&config, 10, 10, 10), 0.5);
    assert_close(run_optim_learning_rate(&config, 10, 10, 55), 0.3125); /* half way: the mean of the ends */
    assert_close(run_optim_learning_rate(&config, 10, 10, 100), 0.125);
    assert_close(run_optim_learning_rate(&config, 10, 10, 1000), 0.125); /* a benchmark may go on */
}

static void warmup_as_long_as_the_run(void **state)
{
    (void)state;
    run_config_optimizer config = {.lr = 0.5f, .schedule = {.type = RUN_SCHEDULE_COSINE, .warmup_epochs = 10.0}};
    assert_close(run_optim_learning_rate(&config, 10, 10, 99), 0.5);
    assert_close(run_optim_learning_rate(&config, 10, 10, 100), 0.0);
}

/* ---- state ---- */

static void states_by_optimizer(void **state)
{
    (void)state;
    run_config_optimizer config = {.type = RUN_OPTIMIZER_SGD};
    assert_int_equal(run_optim_states(&config), 0);
    config.momentum = 0.9f;
    assert_int_equal(run_optim_states(&config), 1);
    config.type = RUN_OPTIMIZER_ADAM;
    assert_int_equal(run_optim_states(&config), 2);
    config.type = RUN_OPTIMIZER_ADAMW;
    assert_int_equal(run_optim_states(&config), 2);
}

enum { COUNT = 320, CUT = 128 };

typedef struct host {
    base_pool *pool;
    base_device *device;
    base_stream *stream;
    ops_context *context;
} host;

static run_optim *open_optim(host *self, const run_config_optimizer *config)
{
    run_optim *optim = NULL;
    assert_int_equal(base_pool_create(&self->pool, 1), BASE_OK);
    assert_int_equal(base_device_host.open(&self->device, 0), BASE_OK);
    assert_int_equal(base_device_host.stream_create(self->device, &self->stream), BASE_OK);
    ops_options ops = {.pool = self->pool, .device = self->device, .stream = self->stream, .gemm = "auto"};
    assert_int_equal(ops_host()->open(&ops, &self->context), BASE_OK);
    run_optim_options options = {.config = config,
                                 .device_table = &base_device_host,
                                 .device = self->device,
                                 .ops = ops_host(),
                                 .context = self->context,
                                 .elements = COUNT};
    assert_int_equal(run_optim_create(&options, &optim), BASE_OK);
    return optim;
}

static void begin_step(host *self, int64_t update, float lr, float grad_scale)
{
    ops_step step = {.update = update, .lr = lr, .grad_scale = grad_scale};
    assert_int_equal(ops_host()->begin_step(self->context, &step), BASE_OK);
}

static void close_optim(host *self, run_optim **optim)
{
    run_optim_destroy(optim);
    assert_null(*optim);
    ops_host()->close(&self->context);
    base_device_host.stream_destroy(self->device, &self->stream);
    base_device_host.close(&self->device);
    base_pool_destroy(&self->pool);
}

/* Three steps over `parts` ranges of the same parameters, each with its own part of the state. */
static void train(const run_config_optimizer *config, int parts, float p[COUNT])
{
    _Alignas(64) float g[COUNT];
    host self;
    run_optim *optim = open_optim(&self, config);
    for (int i = 0; i < COUNT; i++)
        p[i] = 0.01f * (float)i;
    for (int step = 1; step <= 3; step++) {
        begin_step(&self, step, 0.1f, 1.0f);
        for (int i = 0; i < COUNT; i++)
            g[i] = (float)((i * 7 + step) % 5) - 2.0f;
        size_t begin = 0;
        for (int part = 0; part < parts; part++) {
            size_t end = part + 1 == parts ? COUNT : CUT;
            assert_int_equal(run_optim_update(optim, begin, end - begin, g + begin, p + begin), BASE_OK);
            begin = end;
        }
    }
    close_optim(&self, &optim);
}

/* What a rank updates in slices is what one rank updates as a whole, to the bit. */
static void ranges_do_not_matter(void **state)
{
    (void)state;
    run_config_optimizer configs[] = {
        {.type = RUN_OPTIMIZER_SGD},
        {.type = RUN_OPTIMIZER_SGD, .momentum = 0.9f, .weight_decay = 0.01f, .nesterov = 1},
        {.type = RUN_OPTIMIZER_ADAM, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f},
        {.type = RUN_OPTIMIZER_ADAMW, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .weight_decay = 0.1f},
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        _Alignas(64) float whole[COUNT], sliced[COUNT];
        train(&configs[i], 1, whole);
        train(&configs[i], 2, sliced);
        assert_memory_equal(whole, sliced, sizeof whole);
    }
}

static void state_starts_at_zero_and_has_names(void **state)
{
    (void)state;
    run_config_optimizer config = {.type = RUN_OPTIMIZER_ADAM};
    host self;
    run_optim *optim = open_optim(&self, &config);
    assert_int_equal(run_optim_state_count(optim), 2);
    assert_string_equal(run_optim_state_name(optim, 0), "moment1");
    assert_string_equal(run_optim_state_name(optim, 1), "moment2");
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < COUNT; i++)
            assert_true(run_optim_state(optim, s)[i] == 0.0f);
    close_optim(&self, &optim);
}

/* Clipping arrives as a factor of the gradients. */
static void gradients_are_scaled(void **state)
{
    (void)state;
    _Alignas(64) float p[COUNT], g[COUNT];
    run_config_optimizer config = {.type = RUN_OPTIMIZER_SGD};
    host self;
    run_optim *optim = open_optim(&self, &config);
    for (int i = 0; i < COUNT; i++) {
        p[i] = 1.0f;
        g[i] = 8.0f;
    }
    begin_step(&self, 1, 0.5f, 0.125f);
    assert_int_equal(run_optim_update(optim, 0, COUNT, g, p), BASE_OK);
    for (int i = 0; i < COUNT; i++)
        assert_true(p[i] == 0.5f);
    close_optim(&self, &optim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_stays),
        cmocka_unit_test(warmup_is_linear),
        cmocka_unit_test(step_multiplies_by_gamma),
        cmocka_unit_test(cosine_falls_to_its_end),
        cmocka_unit_test(warmup_as_long_as_the_run),
        cmocka_unit_test(states_by_optimizer),
        cmocka_unit_test(ranges_do_not_matter),
        cmocka_unit_test(state_starts_at_zero_and_has_names),
        cmocka_unit_test(gradients_are_scaled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
