/* The GPU's slots beside products against those of the host, whose tests have references in double: the same inputs,
 * rounded to what the GPU's tensors hold, the same calls.
 */
#include "gpu_ops_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const ops_table *host;
static ops_context *on_host;
static base_pool *pool;

static int open_host(void **state)
{
    host = ops_host();
    if (gpu_test_begin_group(state) != 0 || base_pool_create(&pool, 1) != BASE_OK)
        return 1;
    const ops_options options = {.pool = pool, .gemm = "auto"};
    return host->open(&options, &on_host) != BASE_OK;
}

static int close_host(void **state)
{
    host->close(&on_host);
    base_pool_destroy(&pool);
    return gpu_test_end_group(state);
}

/* The same tensor on both sides. */
typedef struct pair {
    gpu_type type;
    int64_t count;
    float *host;
    void *device;
} pair;

static uint64_t seed;

static pair pair_random_as(gpu_type type, int64_t count, double low, double high)
{
    pair p = {.type = type, .count = count};
    p.device = gpu_test_random(type, &seed, count, low, high, &p.host);
    return p;
}

static pair pair_random(const gpu_ops_test *t, int64_t count)
{
    return pair_random_as(t->type, count, -2.0, 2.0);
}

static pair pair_empty_as(gpu_type type, int64_t count)
{
    return (pair){type, count, gpu_test_host((size_t)count * sizeof(float)), gpu_test_tensor(type, count)};
}

static pair pair_empty(const gpu_ops_test *t, int64_t count)
{
    return pair_empty_as(t->type, count);
}

/* What is added to, or else NaN. */
static pair pair_added_to(const gpu_ops_test *t, int64_t count, int accumulate)
{
    return accumulate ? pair_random(t, count) : pair_empty(t, count);
}

static double *widened(const float *x, int64_t count)
{
    double *y = gpu_test_host((size_t)count * sizeof *y);
    for (int64_t i = 0; i < count; i++)
        y[i] = (double)x[i];
    return y;
}

static void pair_check(const char *what, const pair *p)
{
    gpu_test_near(what, p->type, p->device, widened(p->host, p->count), p->count);
}

/* What the GPU has becomes what the host has, so that rounding does not add up. */
static void pair_share(pair *p)
{
    memcpy(p->host, gpu_test_download_tensor(p->type, p->device, p->count), (size_t)p->count * sizeof(float));
}

#define BOTH(slot, host_arguments, gpu_arguments)                                                                      \
    do {                                                                                                               \
        GPU_OPS(host->slot host_arguments);                                                                            \
        GPU_OPS(ops_gpu.slot gpu_arguments);                                                                           \
    } while (0)

/* ---- elementwise ---- */

static void activation_case(gpu_ops_test *t, ops_activation a, int64_t count)
{
    const int keeps = ops_activation_keeps_input(a);
    pair x = pair_random(t, count), y = pair_empty(t, count), dy = pair_random(t, count), dx = pair_empty(t, count);
    BOTH(activation_forward, (on_host, a, count, x.host, y.host), (t->self, a, count, x.device, y.device));
    pair_check("y", &y);
    pair_share(&y);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        BOTH(activation_backward,
             (on_host, a, count, keeps ? x.host : NULL, keeps ? NULL : y.host, dy.host, dx.host, accumulate),
             (t->self, a, count, keeps ? x.device : NULL, keeps ? NULL : y.device, dy.device, dx.device, accumulate));
        pair_check("dx", &dx);
        pair_share(&dx);
    }
    GPU_OPS(ops_gpu.activation_backward(t->self, a, count, x.device, y.device, dy.device, NULL, 0));
}

static void join_case(gpu_ops_test *t, int inputs, int64_t rows)
{
    pair x[24];
    const void *on_one[24], *on_other[24];
    int64_t c[24], total = 0;
    for (int i = 0; i < inputs; i++) {
        x[i] = pair_random_as(t->type, rows * 24, -0.5, 0.5);
        on_one[i] = x[i].host;
        on_other[i] = x[i].device;
        total += c[i] = ops_reference_int(&seed, 1, 24);
    }
    pair sum = pair_empty(t, rows * 24), joined = pair_empty(t, rows * total);
    BOTH(add, (on_host, inputs, sum.count, on_one, sum.host), (t->self, inputs, sum.count, on_other, sum.device));
    pair_check("sum", &sum);
    BOTH(concat, (on_host, inputs, rows, c, on_one, joined.host), (t->self, inputs, rows, c, on_other, joined.device));
    pair_check("joined", &joined);
    for (int i = 0, from = 0; i < inputs; from += (int)c[i++]) {
        pair dx = pair_added_to(t, rows * c[i], i % 2);
        BOTH(concat_backward, (on_host, rows, total, from, c[i], joined.host, dx.host, i % 2),
             (t->self, rows, total, from, c[i], joined.device, dx.device, i % 2));
        pair_check("dx", &dx);
    }
    GPU_OPS(ops_gpu.concat_backward(t->self, rows, total, 0, c[0], joined.device, NULL, 0));
}

static void run_elementwise(gpu_ops_test *t)
{
    for (ops_activation a = 0; a < OPS_ACTIVATION_COUNT; a++)
        for (int i = 0; i < 3; i++)
            activation_case(t, a, i == 0 ? 0 : ops_reference_int(&seed, 1, 3000));
    pair from = pair_random(t, 777), to = pair_empty(t, 777);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        BOTH(copy, (on_host, 777, from.host, to.host, accumulate), (t->self, 777, from.device, to.device, accumulate));
        pair_check("to", &to);
    }
    for (int inputs = 1; inputs < 24; inputs += inputs < 8 ? 2 : 7)
        join_case(t, inputs, inputs == 3 ? 0 : ops_reference_int(&seed, 1, 30));
}

static void elementwise(void **state)
{
    (void)state;
    gpu_ops_test_all(run_elementwise);
}

static void dropout_case(gpu_ops_test *t, int64_t batch, int64_t n, float rate)
{
    const ops_step step = {.step = 0x123456789abu, .first_sample = 4711};
    const uint64_t key = 0xfedcba9876543210u;
    const size_t bytes = (size_t)(batch * n);
    pair x = pair_random(t, batch * n), y = pair_empty(t, x.count), dx = pair_empty(t, x.count);
    uint8_t *mask = gpu_test_host(bytes), *device_mask = gpu_test_memory(bytes);
    BOTH(begin_step, (on_host, &step), (t->self, &step));
    BOTH(dropout_forward, (on_host, batch, n, rate, key, 1030, x.host, y.host, mask),
         (t->self, batch, n, rate, key, 1030, x.device, y.device, device_mask));
    pair_check("y", &y);
    gpu_test_same("mask", device_mask, mask, bytes);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        BOTH(dropout_backward, (on_host, batch, n, rate, mask, x.host, dx.host, accumulate),
             (t->self, batch, n, rate, device_mask, x.device, dx.device, accumulate));
        pair_check("dx", &dx);
    }
}

static void run_dropout(gpu_ops_test *t)
{
    for (int i = 0; i < 8; i++)
        dropout_case(t, i == 0 ? 0 : ops_reference_int(&seed, 1, 20), ops_reference_int(&seed, 1, 300),
                     (float)i * 0.11f);
}

static void dropout(void **state)
{
    (void)state;
    gpu_ops_test_all(run_dropout);
}

/* Against the host's loader, which has no such slot. */
static void batch_case(gpu_ops_test *t, int64_t batch, int64_t size, int64_t c)
{
    enum { SAMPLES = 40 };
    uint8_t *pixels = gpu_test_host((size_t)(SAMPLES * size));
    int32_t labels[SAMPLES], *want = gpu_test_host((size_t)batch * sizeof *want);
    int64_t *sample = gpu_test_host((size_t)batch * sizeof *sample);
    pair scale = pair_random_as(GPU_F32, c, 0.001, 0.01), shift = pair_random_as(GPU_F32, c, -1.0, 1.0);
    pair x = pair_empty(t, batch * size);
    for (int64_t i = 0; i < SAMPLES * size; i++)
        pixels[i] = (uint8_t)ops_reference_int(&seed, 0, 255);
    for (int i = 0; i < SAMPLES; i++)
        labels[i] = (int32_t)ops_reference_int(&seed, 0, 9);
    for (int64_t i = 0; i < batch; i++) {
        sample[i] = ops_reference_int(&seed, 0, SAMPLES - 1);
        want[i] = labels[sample[i]];
        GPU_OPS(host->normalize(NULL, size, c, pixels + sample[i] * size, scale.host, shift.host, x.host + i * size));
    }
    int32_t *got = gpu_test_memory((size_t)batch * sizeof *got);
    const ops_step step = {.samples = gpu_test_upload(sample, (size_t)batch * sizeof *sample)};
    GPU_OPS(ops_gpu.begin_step(t->self, &step));
    GPU_OPS(ops_gpu.gather_samples(t->self, batch, size, c, gpu_test_upload(pixels, (size_t)(SAMPLES * size)),
                                   gpu_test_upload(labels, sizeof labels), 1, scale.device, shift.device, x.device,
                                   got));
    pair_check("x", &x);
    gpu_test_same("labels", got, want, (size_t)batch * sizeof *want);
    gpu_test_end(NULL);
}

static void run_batches(gpu_ops_test *t)
{
    batch_case(t, 128, 784, 1);
    batch_case(t, 0, 784, 1);
    for (int i = 0; i < 6; i++) {
        const int64_t c = ops_reference_int(&seed, 1, 5);
        batch_case(t, ops_reference_int(&seed, 1, 50), c * ops_reference_int(&seed, 1, 70), c);
    }
}

static void batches(void **state)
{
    (void)state;
    gpu_ops_test_all(run_batches);
}

/* ---- windows and rows ---- */

static void pool_case(gpu_ops_test *t, const ops_pool2d *op, int64_t batch)
{
    const int64_t oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h);
    const int64_t ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w);
    pair x = pair_random(t, batch * op->h * op->w * op->c), y = pair_empty(t, batch * oh * ow * op->c);
    pair dy = pair_random(t, y.count), dx = pair_empty(t, x.count);
    uint8_t *winner = gpu_test_host((size_t)y.count), *device_winner = gpu_test_memory((size_t)y.count);
    BOTH(max_pool_forward, (on_host, op, batch, x.host, y.host, winner),
         (t->self, op, batch, x.device, y.device, device_winner));
    pair_check("largest", &y);
    gpu_test_same("winner", device_winner, winner, (size_t)y.count);
    GPU_OPS(ops_gpu.max_pool_forward(t->self, op, batch, x.device, y.device, NULL));
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        BOTH(max_pool_backward, (on_host, op, batch, dy.host, winner, dx.host, accumulate),
             (t->self, op, batch, dy.device, device_winner, dx.device, accumulate));
        pair_check("dx of the largest", &dx);
        pair_share(&dx);
    }
    BOTH(avg_pool_forward, (on_host, op, batch, x.host, y.host), (t->self, op, batch, x.device, y.device));
    pair_check("mean", &y);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        BOTH(avg_pool_backward, (on_host, op, batch, dy.host, dx.host, accumulate),
             (t->self, op, batch, dy.device, dx.device, accumulate));
        pair_check("dx of the mean", &dx);
        pair_share(&dx);
    }
}

static void run_pools(gpu_ops_test *t)
{
    static const ops_pool2d ops[] = {{8, 8, 16, 2, 2, 2, 2, 0, 0},
                                     {7, 9, 3, 3, 2, 2, 1, 1, 0},
                                     {5, 5, 1, 3, 3, 1, 1, 1, 1},
                                     {4, 6, 8, 4, 6, 1, 1, 0, 0}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        pool_case(t, &ops[i], ops_reference_int(&seed, 1, 4));
        pool_case(t, &ops[i], 0);
    }
}

static void pools(void **state)
{
    (void)state;
    gpu_ops_test_all(run_pools);
}

typedef struct norm {
    pair x, y, z, dy, dx;
    pair gamma, beta, mean, invstd, running_mean, running_var, dgamma, dbeta; /* floats */
    double *sums, *device_sums;
} norm;

static norm norm_make(gpu_ops_test *t, int64_t rows, int64_t c, int accumulate)
{
    return (norm){.x = pair_random(t, rows * c),
                  .y = pair_empty(t, rows * c),
                  .z = pair_empty(t, rows * c),
                  .dy = pair_random(t, rows * c),
                  .dx = pair_added_to(t, rows * c, accumulate),
                  .gamma = pair_random_as(GPU_F32, c, 0.5, 1.5),
                  .beta = pair_random_as(GPU_F32, c, -1.0, 1.0),
                  .mean = pair_empty_as(GPU_F32, c),
                  .invstd = pair_empty_as(GPU_F32, c),
                  .running_mean = pair_random_as(GPU_F32, c, -1.0, 1.0),
                  .running_var = pair_random_as(GPU_F32, c, 0.5, 2.0),
                  .dgamma = pair_empty_as(GPU_F32, c),
                  .dbeta = pair_empty_as(GPU_F32, c),
                  .sums = gpu_test_host(2 * (size_t)c * sizeof(double)),
                  .device_sums = gpu_test_memory(2 * (size_t)c * sizeof(double))};
}

static void norm_forward(gpu_ops_test *t, norm *n, int64_t rows, int64_t c, ops_activation a)
{
    BOTH(batch_norm_sums, (on_host, rows, c, n->x.host, n->sums), (t->self, rows, c, n->x.device, n->device_sums));
    gpu_test_near_doubles("sums", n->device_sums, n->sums, 2 * c, 1e-10);
    BOTH(batch_norm_statistics,
         (on_host, c, n->sums, rows, 0.125f, 1e-3f, n->mean.host, n->invstd.host, n->running_mean.host,
          n->running_var.host),
         (t->self, c, n->device_sums, rows, 0.125f, 1e-3f, n->mean.device, n->invstd.device, n->running_mean.device,
          n->running_var.device));
    pair_check("mean", &n->mean);
    pair_check("invstd", &n->invstd);
    pair_check("running mean", &n->running_mean);
    pair_check("running variance", &n->running_var);
    BOTH(batch_norm_forward,
         (on_host, rows, c, a, n->x.host, n->mean.host, n->invstd.host, n->gamma.host, n->beta.host, n->y.host,
          n->z.host),
         (t->self, rows, c, a, n->x.device, n->mean.device, n->invstd.device, n->gamma.device, n->beta.device,
          n->y.device, n->z.device));
    pair_check("y", &n->y);
}

static void norm_backward(gpu_ops_test *t, norm *n, int64_t rows, int64_t c, ops_activation a, int accumulate)
{
    const int keeps = ops_activation_keeps_input(a);
    double *dgamma = gpu_test_host((size_t)c * sizeof *dgamma), *dbeta = gpu_test_host((size_t)c * sizeof *dbeta);
    pair_share(&n->y);
    if (keeps)
        pair_share(&n->z);
    BOTH(batch_norm_backward_sums,
         (on_host, rows, c, a, n->x.host, n->mean.host, n->invstd.host, keeps ? NULL : n->y.host,
          keeps ? n->z.host : NULL, n->dy.host, n->sums, dgamma, dbeta),
         (t->self, rows, c, a, n->x.device, n->mean.device, n->invstd.device, keeps ? NULL : n->y.device,
          keeps ? n->z.device : NULL, n->dy.device, n->device_sums, n->dgamma.device, n->dbeta.device));
    pair_check("dz", &n->dy);
    pair_share(&n->dy);
    GPU_OPS(host->batch_norm_backward_sums(on_host, rows, c, OPS_IDENTITY, n->x.host, n->mean.host, n->invstd.host,
                                           NULL, NULL, n->dy.host, n->sums, dgamma, dbeta)); /* of dz as it is stored */
    gpu_test_near_within("dgamma", GPU_F32, n->dgamma.device, dgamma, c, t->tolerance);
    gpu_test_near_within("dbeta", GPU_F32, n->dbeta.device, dbeta, c, t->tolerance);
    BOTH(batch_norm_backward,
         (on_host, rows, c, n->x.host, n->mean.host, n->invstd.host, n->gamma.host, n->sums, rows, n->dy.host,
          n->dx.host, accumulate),
         (t->self, rows, c, n->x.device, n->mean.device, n->invstd.device, n->gamma.device, n->device_sums, rows,
          n->dy.device, n->dx.device, accumulate));
    pair_check("dx", &n->dx);
}

static void run_norms(gpu_ops_test *t)
{
    for (int i = 0; i < 10; i++) {
        const int64_t rows = ops_reference_int(&seed, 2, 200), c = ops_reference_int(&seed, 1, 50);
        const ops_activation a = (ops_activation)(i % OPS_ACTIVATION_COUNT);
        norm n = norm_make(t, rows, c, i % 2);
        norm_forward(t, &n, rows, c, a);
        norm_backward(t, &n, rows, c, a, i % 2);
        BOTH(batch_norm_running,
             (on_host, c, n.running_mean.host, n.running_var.host, 1e-3f, n.mean.host, n.invstd.host),
             (t->self, c, n.running_mean.device, n.running_var.device, 1e-3f, n.mean.device, n.invstd.device));
        pair_check("mean", &n.mean);
        pair_check("invstd", &n.invstd);
        gpu_test_end(NULL);
    }
    double *sums = gpu_test_memory(6 * sizeof *sums), none[6] = {0};
    GPU_OPS(ops_gpu.batch_norm_sums(t->self, 0, 3, gpu_test_tensor(t->type, 0), sums));
    gpu_test_same("sums of nothing", sums, none, sizeof none);
}

static void batch_normalisation(void **state)
{
    (void)state;
    gpu_ops_test_all(run_norms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(elementwise, gpu_test_end),
        cmocka_unit_test_teardown(dropout, gpu_test_end),
        cmocka_unit_test_teardown(batches, gpu_test_end),
        cmocka_unit_test_teardown(pools, gpu_test_end),
        cmocka_unit_test_teardown(batch_normalisation, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, open_host, close_host);
}
