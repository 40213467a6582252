/* Batch normalisation, each step against its formula in double on what the step before it left. */
#include "gpu_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct norm_case {
    int64_t rows, c;
    ops_activation activation;
    gpu_type type;
    int64_t count;
    float *x_host, *gamma_host, *beta_host;
    void *x, *y, *z;
    float *gamma, *beta, *mean, *invstd, *scratch;
    double *sums;
} norm_case;

static const float MOMENTUM = 0.125f, EPS = 1e-3f;
static const double EXACT = 1e-11; /* sums in double, in another order */

static double *zeros(int64_t count)
{
    double *x = gpu_test_host((size_t)count * sizeof *x);
    memset(x, 0, (size_t)count * sizeof *x);
    return x;
}

static norm_case norm_open(int64_t rows, int64_t c, ops_activation activation, gpu_type type)
{
    uint64_t state = 41;
    norm_case n = {.rows = rows, .c = c, .activation = activation, .type = type, .count = rows * c};
    n.x = gpu_test_random(type, &state, n.count, -1.0, 3.0, &n.x_host);
    n.y = gpu_test_tensor(type, n.count);
    n.z = gpu_test_tensor(type, n.count);
    n.gamma = gpu_test_random(GPU_F32, &state, c, 0.5, 1.5, &n.gamma_host);
    n.beta = gpu_test_random(GPU_F32, &state, c, -1.0, 1.0, &n.beta_host);
    n.mean = gpu_test_tensor(GPU_F32, c);
    n.invstd = gpu_test_tensor(GPU_F32, c);
    n.sums = gpu_test_memory(2 * (size_t)c * sizeof *n.sums);
    n.scratch = gpu_test_tensor(GPU_F32, GPU_SCRATCH_FLOATS);
    return n;
}

/* sums (2 C) of a, and of a b. */
static double *column_sums(const norm_case *n, const float *a, const float *b, const float *mean)
{
    double *sums = zeros(2 * n->c);
    for (int64_t i = 0; i < n->count; i++) {
        int64_t c = i % n->c;
        sums[c] += (double)a[i];
        sums[n->c + c] += (double)a[i] * ((double)b[i] - (mean ? (double)mean[c] : 0.0));
    }
    return sums;
}

static void check_sums(const norm_case *n)
{
    size_t nbytes = 2 * (size_t)n->c * sizeof *n->sums;
    GPU_TEST(gpu_batch_norm_sums(gpu_test_stream, n->type, n->rows, n->c, n->x, n->sums, n->scratch));
    gpu_test_near_doubles("sums", n->sums, column_sums(n, n->x_host, n->x_host, NULL), 2 * n->c, EXACT);
    uint64_t digest = gpu_test_digest(n->sums, nbytes);
    GPU_TEST(gpuMemsetAsync(n->sums, 0xff, nbytes, gpu_test_stream));
    GPU_TEST(gpu_batch_norm_sums(gpu_test_stream, n->type, n->rows, n->c, n->x, n->sums, n->scratch));
    assert_true(gpu_test_digest(n->sums, nbytes) == digest);
}

/* From the device's sums. */
static void check_statistics(const norm_case *n)
{
    uint64_t state = 43;
    float *mean_before, *var_before;
    float *running_mean = gpu_test_random(GPU_F32, &state, n->c, -1.0, 1.0, &mean_before);
    float *running_var = gpu_test_random(GPU_F32, &state, n->c, 0.5, 2.0, &var_before);
    GPU_TEST(gpu_batch_norm_statistics(gpu_test_stream, n->c, n->sums, n->rows, MOMENTUM, EPS, n->mean, n->invstd,
                                       running_mean, running_var));
    const double *sums = gpu_test_download(n->sums, 2 * (size_t)n->c * sizeof *sums);
    double *want = zeros(4 * n->c), rows = (double)n->rows, m = (double)MOMENTUM;
    for (int64_t c = 0; c < n->c; c++) {
        double mean = sums[c] / rows, variance = fmax(sums[n->c + c] / rows - mean * mean, 0.0);
        want[c] = mean;
        want[n->c + c] = 1.0 / sqrt(variance + (double)EPS);
        want[2 * n->c + c] = (1.0 - m) * (double)mean_before[c] + m * mean;
        want[3 * n->c + c] =
            (1.0 - m) * (double)var_before[c] + m * (n->rows > 1 ? variance * rows / (rows - 1.0) : variance);
    }
    gpu_test_near_within("mean", GPU_F32, n->mean, want, n->c, 1e-7);
    gpu_test_near_within("invstd", GPU_F32, n->invstd, want + n->c, n->c, 1e-7);
    gpu_test_near_within("running mean", GPU_F32, running_mean, want + 2 * n->c, n->c, 1e-7);
    gpu_test_near_within("running variance", GPU_F32, running_var, want + 3 * n->c, n->c, 1e-7);
}

static void check_forward(const norm_case *n)
{
    int keeps = ops_activation_keeps_input(n->activation);
    GPU_TEST(gpu_batch_norm_forward(gpu_test_stream, n->type, n->rows, n->c, n->activation, n->x, n->mean, n->invstd,
                                    n->gamma, n->beta, n->y, keeps ? n->z : NULL));
    const float *mean = gpu_test_download_tensor(GPU_F32, n->mean, n->c);
    const float *invstd = gpu_test_download_tensor(GPU_F32, n->invstd, n->c);
    double *z = zeros(n->count), *y = zeros(n->count);
    for (int64_t i = 0; i < n->count; i++) {
        int64_t c = i % n->c;
        z[i] = (double)n->gamma_host[c] * ((double)n->x_host[i] - (double)mean[c]) * (double)invstd[c] +
               (double)n->beta_host[c];
        y[i] = ops_reference_activate(n->activation, z[i]);
    }
    gpu_test_near("y", n->type, n->y, y, n->count);
    if (keeps)
        gpu_test_near("z", n->type, n->z, z, n->count);
}

/* The gradient before the activation, and its sums as it is stored. */
static void check_backward_sums(const norm_case *n, void *dy, const float *dy_host)
{
    int keeps = ops_activation_keeps_input(n->activation);
    float *dgamma = gpu_test_tensor(GPU_F32, n->c), *dbeta = gpu_test_tensor(GPU_F32, n->c);
    GPU_TEST(gpu_batch_norm_backward_sums(gpu_test_stream, n->type, n->rows, n->c, n->activation, n->x, n->mean,
                                          n->invstd, keeps ? NULL : n->y, keeps ? n->z : NULL, dy, n->sums, dgamma,
                                          dbeta, n->scratch));
    const float *mean = gpu_test_download_tensor(GPU_F32, n->mean, n->c);
    const float *invstd = gpu_test_download_tensor(GPU_F32, n->invstd, n->c);
    double *slope = zeros(n->count);
    for (int64_t i = 0; i < n->count; i++) {
        int64_t c = i % n->c;
        double z = (double)n->gamma_host[c] * ((double)n->x_host[i] - (double)mean[c]) * (double)invstd[c] +
                   (double)n->beta_host[c];
        if (n->activation == OPS_RELU && fabs(z) < 1e-5) /* may round to either side */
            slope[i] = (double)gpu_test_download_tensor(n->type, dy, n->count)[i];
        else
            slope[i] = (double)dy_host[i] * ops_reference_slope(n->activation, z);
    }
    gpu_test_near("dy", n->type, dy, slope, n->count);
    double *want = column_sums(n, gpu_test_download_tensor(n->type, dy, n->count), n->x_host, mean);
    for (int64_t c = 0; c < n->c; c++)
        want[n->c + c] *= (double)invstd[c];
    gpu_test_near_doubles("sums of dy", n->sums, want, 2 * n->c, EXACT);
    gpu_test_near_within("dbeta", GPU_F32, dbeta, want, n->c, 1e-7);
    gpu_test_near_within("dgamma", GPU_F32, dgamma, want + n->c, n->c, 1e-7);
}

static void check_backward(const norm_case *n, const void *dy)
{
    uint64_t state = 47;
    float *before;
    void *dx = gpu_test_tensor(n->type, n->count);
    void *sum = gpu_test_random(n->type, &state, n->count, -1.0, 1.0, &before);
    int64_t all = 3 * n->rows; /* as if other ranks had rows too */
    const float *mean = gpu_test_download_tensor(GPU_F32, n->mean, n->c);
    const float *invstd = gpu_test_download_tensor(GPU_F32, n->invstd, n->c);
    const float *slope = gpu_test_download_tensor(n->type, dy, n->count);
    const double *sums = gpu_test_download(n->sums, 2 * (size_t)n->c * sizeof *sums);
    double *want = zeros(n->count);
    for (int64_t i = 0; i < n->count; i++) {
        int64_t c = i % n->c;
        double xhat = ((double)n->x_host[i] - (double)mean[c]) * (double)invstd[c];
        want[i] = (double)n->gamma_host[c] * (double)invstd[c] *
                  ((double)slope[i] - sums[c] / (double)all - xhat * sums[n->c + c] / (double)all);
    }
    GPU_TEST(gpu_batch_norm_backward(gpu_test_stream, n->type, n->rows, n->c, n->x, n->mean, n->invstd, n->gamma,
                                     n->sums, all, dy, dx, 0));
    gpu_test_near("dx", n->type, dx, want, n->count);
    for (int64_t i = 0; i < n->count; i++)
        want[i] += (double)before[i];
    GPU_TEST(gpu_batch_norm_backward(gpu_test_stream, n->type, n->rows, n->c, n->x, n->mean, n->invstd, n->gamma,
                                     n->sums, all, dy, sum, 1));
    gpu_test_near("accumulated dx", n->type, sum, want, n->count);
    GPU_TEST(gpu_batch_norm_backward(gpu_test_stream, n->type, n->rows, n->c, n->x, n->mean, n->invstd, n->gamma,
                                     n->sums, all, dy, NULL, 0));
}

static void chain_case(int64_t rows, int64_t c, ops_activation activation, gpu_type type)
{
    norm_case n = norm_open(rows, c, activation, type);
    uint64_t state = 53;
    float *dy_host;
    void *dy = gpu_test_random(type, &state, n.count, -1.0, 1.0, &dy_host), *again = gpu_test_tensor(type, n.count);
    GPU_TEST(gpuMemcpyAsync(again, dy, gpu_test_size(type, n.count), gpuMemcpyDefault, gpu_test_stream));
    check_sums(&n);
    check_statistics(&n);
    check_forward(&n);
    check_backward_sums(&n, dy, dy_host);
    uint64_t digest = gpu_test_digest(n.sums, 2 * (size_t)c * sizeof *n.sums);
    check_backward_sums(&n, again, dy_host);
    assert_true(gpu_test_digest(n.sums, 2 * (size_t)c * sizeof *n.sums) == digest);
    check_backward(&n, dy);
    gpu_test_end(NULL);
}

static void every_shape(void **state)
{
    (void)state;
    /* Columns that packs of 4 and 8 divide, that repeat within a block, and that need several blocks side by side;
     * rows for one block and for many; more parts, and more columns, than scratch has room for. */
    static const int64_t shapes[][2] = {{1, 1},
                                        {1, 3},
                                        {3, 1},
                                        {17, 1},
                                        {GPU_TEST_LONG(20003, 100003), 1},
                                        {70, 3},
                                        {9, 17},
                                        {127, 33},
                                        {GPU_TEST_LONG(2003, 20011), 17},
                                        {GPU_TEST_LONG(701, 5001), 64},
                                        {13, 64},
                                        {3, 130},
                                        {50, 513},
                                        {9, 1025},
                                        {9, 1016},
                                        {60, 1100},
                                        {GPU_TEST_LONG(5003, 60011), 24},
                                        {5, 2047},
                                        {6, 2048},
                                        {13, 2056},
                                        {4, GPU_TEST_LONG(7000, 70000)},
                                        {GPU_TEST_LONG(60, 520), 2048},
                                        {2, GPU_TEST_LONG(20001, 300001)}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (gpu_type type = GPU_F32; type <= GPU_BF16; type++)
            chain_case(shapes[s][0], shapes[s][1], s % 2 ? OPS_RELU : OPS_IDENTITY, type);
}

static void every_activation(void **state)
{
    (void)state;
    for (ops_activation a = 0; a < OPS_ACTIVATION_COUNT; a++)
        for (gpu_type type = GPU_F32; type <= GPU_BF16; type++) {
            chain_case(129, 40, a, type);
            chain_case(37, 5, a, type);
        }
}

static void without_rows(void **state)
{
    (void)state;
    for (gpu_type type = GPU_F32; type <= GPU_BF16; type++) {
        norm_case n = norm_open(0, 33, OPS_RELU, type);
        float *dgamma = gpu_test_tensor(GPU_F32, n.c), *dbeta = gpu_test_tensor(GPU_F32, n.c);
        double *zero = zeros(2 * n.c);
        GPU_TEST(gpu_batch_norm_sums(gpu_test_stream, type, 0, n.c, n.x, n.sums, n.scratch));
        gpu_test_near_doubles("sums", n.sums, zero, 2 * n.c, 0.0);
        GPU_TEST(gpu_batch_norm_running(gpu_test_stream, n.c, n.gamma, n.gamma, EPS, n.mean, n.invstd));
        GPU_TEST(gpuMemsetAsync(n.sums, 0xff, 2 * (size_t)n.c * sizeof *n.sums, gpu_test_stream));
        GPU_TEST(gpu_batch_norm_backward_sums(gpu_test_stream, type, 0, n.c, n.activation, n.x, n.mean, n.invstd, n.y,
                                              NULL, n.y, n.sums, dgamma, dbeta, n.scratch));
        gpu_test_near_doubles("sums of dy", n.sums, zero, 2 * n.c, 0.0);
        gpu_test_near_within("dgamma", GPU_F32, dgamma, zero, n.c, 0.0);
        gpu_test_near_within("dbeta", GPU_F32, dbeta, zero, n.c, 0.0);
        GPU_TEST(gpu_batch_norm_forward(gpu_test_stream, type, 0, n.c, n.activation, n.x, n.mean, n.invstd, n.gamma,
                                        n.beta, n.y, NULL));
        GPU_TEST(gpu_batch_norm_backward(gpu_test_stream, type, 0, n.c, n.x, n.mean, n.invstd, n.gamma, n.sums, 5, n.y,
                                         n.z, 1));
        gpu_test_end(NULL);
    }
}

static void running_statistics_normalise(void **state)
{
    (void)state;
    enum { C = 300 };
    uint64_t random = 61;
    float *running_mean, *running_var;
    const float *mean_from = gpu_test_random(GPU_F32, &random, C, -1.0, 1.0, &running_mean);
    const float *var_from = gpu_test_random(GPU_F32, &random, C, 0.5, 2.0, &running_var);
    float *mean = gpu_test_tensor(GPU_F32, C), *invstd = gpu_test_tensor(GPU_F32, C);
    double want[2 * C];
    for (int c = 0; c < C; c++) {
        want[c] = (double)running_mean[c];
        want[C + c] = 1.0 / sqrt((double)running_var[c] + (double)EPS);
    }
    GPU_TEST(gpu_batch_norm_running(gpu_test_stream, C, mean_from, var_from, EPS, mean, invstd));
    gpu_test_near_within("mean", GPU_F32, mean, want, C, 0.0);
    gpu_test_near_within("invstd", GPU_F32, invstd, want + C, C, 1e-7);
}

/* Far from 0 the variance is a difference of large sums; a channel that has a NaN keeps it to itself. */
static void large_means_and_nan(void **state)
{
    (void)state;
    enum { ROWS = 2003, C = 5 };
    float *x = gpu_test_host(ROWS * C * sizeof *x), *mean_var[2];
    uint64_t random = 67;
    double want[C] = {0};
    for (int i = 0; i < ROWS * C; i++)
        x[i] = 1000.0f + (float)ops_reference_uniform(&random, -1.0, 1.0);
    x[3 * C + 2] = NAN;
    norm_case n = norm_open(ROWS, C, OPS_IDENTITY, GPU_F32);
    n.x = gpu_test_upload_tensor(GPU_F32, x, ROWS * C);
    for (int i = 0; i < 2; i++)
        mean_var[i] = gpu_test_random(GPU_F32, &random, C, 0.0, 1.0, NULL);
    GPU_TEST(gpu_batch_norm_sums(gpu_test_stream, GPU_F32, ROWS, C, n.x, n.sums, n.scratch));
    GPU_TEST(gpu_batch_norm_statistics(gpu_test_stream, C, n.sums, ROWS, MOMENTUM, EPS, n.mean, n.invstd, mean_var[0],
                                       mean_var[1]));
    for (int c = 0; c < C; c++) {
        double mean = 0.0, variance = 0.0;
        for (int r = 0; r < ROWS; r++)
            mean += (double)x[r * C + c] / ROWS;
        for (int r = 0; r < ROWS; r++)
            variance += pow((double)x[r * C + c] - mean, 2.0) / ROWS;
        want[c] = 1.0 / sqrt(variance + (double)EPS);
    }
    assert_true(isnan(want[2]));
    gpu_test_near_within("invstd", GPU_F32, n.invstd, want, C, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_shape, gpu_test_end),
        cmocka_unit_test_teardown(every_activation, gpu_test_end),
        cmocka_unit_test_teardown(without_rows, gpu_test_end),
        cmocka_unit_test_teardown(running_statistics_normalise, gpu_test_end),
        cmocka_unit_test_teardown(large_means_and_nan, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
