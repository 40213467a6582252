/* Losses and their gradients against formulas in double. */
#include "gpu_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct loss_case {
    int64_t batch, n;
    gpu_type type;
    int softmax;
    float scale;
    float *x_host;
    int32_t *labels_host;
    void *x;
    int32_t *labels;
} loss_case;

static double softmax_reference(const loss_case *l, int64_t row, double *dx)
{
    const float *x = l->x_host + row * l->n;
    double most = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < l->n; i++)
        most = fmax(most, (double)x[i]);
    for (int64_t i = 0; i < l->n; i++)
        sum += exp((double)x[i] - most);
    for (int64_t i = 0; i < l->n; i++)
        dx[i] = (double)l->scale * (exp((double)x[i] - most) / sum - (i == l->labels_host[row] ? 1.0 : 0.0));
    return log(sum) + most - (double)x[l->labels_host[row]];
}

static double squares_reference(const loss_case *l, int64_t row, double *dx)
{
    double sum = 0.0;
    for (int64_t i = 0; i < l->n; i++) {
        double difference = (double)l->x_host[row * l->n + i] - (i == l->labels_host[row] ? 1.0 : 0.0);
        sum += difference * difference;
        dx[i] = 2.0 * (double)l->scale * difference / (double)l->n;
    }
    return sum / (double)l->n;
}

static int is_right(const loss_case *l, int64_t row)
{
    const float *x = l->x_host + row * l->n;
    int64_t best = 0;
    for (int64_t i = 0; i < l->n; i++) {
        if (isnan(x[i]))
            return 0;
        best = x[i] > x[best] ? i : best;
    }
    return best == l->labels_host[row];
}

static gpuError_t run_loss(const loss_case *l, void *dx, double *result, float *scratch)
{
    return (l->softmax ? gpu_softmax_cross_entropy : gpu_mean_squared_error)(
        gpu_test_stream, l->type, l->batch, l->n, l->x, l->labels, l->scale, dx, result, NULL, scratch);
}

/* An element's own size counts, not 1; what a label's element cancels is as large as the scale. */
static void check_gradient(const loss_case *l, const void *dx, const double *want)
{
    const float *got = gpu_test_download_tensor(l->type, dx, l->batch * l->n);
    double relative = l->type == GPU_BF16 ? 0.005 : 1e-5, absolute = 3e-7 * (double)l->scale;
    for (int64_t i = 0; i < l->batch * l->n; i++)
        if (!(fabs((double)got[i] - want[i]) <= relative * fabs(want[i]) + absolute) && !isnan(want[i]))
            fail_msg("dx[%lld] of (%lld, %lld) is %.9g, expected %.9g", (long long)i, (long long)l->batch,
                     (long long)l->n, (double)got[i], want[i]);
}

static void check_loss(const loss_case *l)
{
    int64_t count = l->batch * l->n;
    double *want = gpu_test_host((size_t)count * sizeof *want), sum[2] = {0.0, 0.0};
    for (int64_t row = 0; row < l->batch; row++) {
        sum[0] += (l->softmax ? softmax_reference : squares_reference)(l, row, want + row * l->n);
        sum[1] += is_right(l, row);
    }
    double *result = gpu_test_memory(2 * sizeof *result), *alone = gpu_test_memory(2 * sizeof *alone);
    float *scratch = gpu_test_tensor(GPU_F32, GPU_SCRATCH_FLOATS);
    void *dx = gpu_test_tensor(l->type, count), *again = gpu_test_tensor(l->type, count);
    GPU_TEST(run_loss(l, dx, result, scratch));
    gpu_test_near_doubles("result", result, sum, 2, 1e-6);
    check_gradient(l, dx, want);
    GPU_TEST(run_loss(l, NULL, alone, scratch));
    gpu_test_same("result in evaluation", alone, gpu_test_download(result, 2 * sizeof *result), 2 * sizeof *result);
    GPU_TEST(run_loss(l, again, alone, scratch));
    gpu_test_same("dx again", again, gpu_test_download(dx, gpu_test_size(l->type, count)),
                  gpu_test_size(l->type, count));
    gpu_test_end(NULL);
}

static loss_case loss_open(int64_t batch, int64_t n, gpu_type type, int softmax)
{
    loss_case l = {.batch = batch, .n = n, .type = type, .softmax = softmax, .scale = 0.75f};
    l.x_host = gpu_test_host((size_t)(batch * n) * sizeof *l.x_host);
    l.labels_host = gpu_test_host((size_t)batch * sizeof *l.labels_host);
    return l;
}

static void loss_upload(loss_case *l)
{
    l->x = gpu_test_upload_tensor(l->type, l->x_host, l->batch * l->n);
    l->labels = gpu_test_upload(l->labels_host, (size_t)l->batch * sizeof *l->labels_host);
}

static void random_case(int64_t batch, int64_t n, gpu_type type, int softmax)
{
    uint64_t state = 71;
    loss_case l = loss_open(batch, n, type, softmax);
    ops_reference_fill(&state, l.x_host, batch * n, -4.0, 4.0);
    for (int64_t row = 0; row < batch; row++)
        l.labels_host[row] = (int32_t)ops_reference_int(&state, 0, n - 1);
    for (int64_t row = 0; row < batch; row += 2) /* every other row is right, or shares its largest with another */
        l.x_host[row * n + l.labels_host[row]] = 4.0f;
    for (int64_t row = 0; row < batch; row += 4)
        l.x_host[row * n + ops_reference_int(&state, 0, n - 1)] = 4.0f;
    loss_upload(&l);
    check_loss(&l);
}

static void every_shape(void **state)
{
    (void)state;
    static const int64_t widths[] = {1, 2, 10, 17, 32, 33, 64, 127, 128, 129, 511, 513, 1000, 1024};
    static const int64_t long_widths[] = {1025, 1032, 4096, 8191, GPU_TEST_LONG(20001, 50001)};
    static const int64_t batches[] = {0, 1, 3, 40, 129};
    for (int softmax = 0; softmax < 2; softmax++)
        for (gpu_type type = GPU_F32; type <= GPU_BF16; type++) {
            for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++)
                for (size_t b = 0; b < (w % 3 ? 3 : sizeof batches / sizeof batches[0]); b++)
                    random_case(batches[b], widths[w], type, softmax);
            for (size_t w = 0; w < sizeof long_widths / sizeof long_widths[0]; w++)
                for (size_t b = 0; b < 3; b++)
                    random_case(batches[b], long_widths[w], type, softmax);
            /* More rows than the warps of all blocks take at once, and than blocks. */
            random_case(GPU_TEST_LONG(300, 9001), 10, type, softmax);
            random_case(GPU_TEST_LONG(30, 1200), 1025, type, softmax);
        }
}

/* Differences of hundreds overflow nothing; rows whose loss is next to nothing keep its digits. */
static void large_and_small_losses(void **state)
{
    (void)state;
    static const int64_t widths[] = {10, 300, 3000};
    for (size_t w = 0; w < 3; w++) {
        int64_t n = widths[w];
        loss_case l = loss_open(2, n, GPU_F32, 1);
        for (int64_t i = 0; i < 2 * n; i++)
            l.x_host[i] = i < n ? (float)(i % 7) * 150.0f - 500.0f : 0.0f;
        l.labels_host[0] = 3;
        l.labels_host[1] = (int32_t)n - 1;
        l.x_host[2 * n - 1] = 14.0f;
        loss_upload(&l);
        check_loss(&l);

        loss_case small = loss_open(1, n, GPU_F32, 1);
        for (int64_t i = 0; i < n; i++)
            small.x_host[i] = i == 5 ? 16.0f : 0.0f;
        small.labels_host[0] = 5;
        loss_upload(&small);
        double *result = gpu_test_memory(2 * sizeof *result), want = log1p((double)(n - 1) * exp(-16.0));
        float *scratch = gpu_test_tensor(GPU_F32, GPU_SCRATCH_FLOATS);
        GPU_TEST(run_loss(&small, NULL, result, scratch));
        const double *got = gpu_test_download(result, 2 * sizeof *result);
        assert_true(fabs(got[0] - want) <= 1e-6 * want && got[1] == 1.0);
        gpu_test_end(NULL);
    }
}

static void nan_is_seen_and_never_right(void **state)
{
    (void)state;
    static const int64_t widths[] = {3, 100, 2000};
    for (int softmax = 0; softmax < 2; softmax++)
        for (size_t w = 0; w < 3; w++)
            for (int place = 0; place < 3; place++) {
                loss_case l = loss_open(1, widths[w], GPU_F32, softmax);
                for (int64_t i = 0; i < l.n; i++)
                    l.x_host[i] = i == 1 ? 2.0f : 0.0f;
                l.x_host[place == 2 ? l.n - 1 : place] = NAN;
                l.labels_host[0] = 1;
                loss_upload(&l);
                double *result = gpu_test_memory(2 * sizeof *result);
                void *dx = gpu_test_tensor(GPU_F32, l.n);
                GPU_TEST(run_loss(&l, dx, result, gpu_test_tensor(GPU_F32, GPU_SCRATCH_FLOATS)));
                const double *got = gpu_test_download(result, 2 * sizeof *result);
                assert_true(isnan(got[0]) && got[1] == 0.0);
                gpu_test_end(NULL);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_shape, gpu_test_end),
        cmocka_unit_test_teardown(large_and_small_losses, gpu_test_end),
        cmocka_unit_test_teardown(nan_is_seen_and_never_right, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
