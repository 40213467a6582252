/* Optimizers against the update formulas of PyTorch's documentation in double, on ranges that begin anywhere; sums of
 * squares and clipping. */
#include "gpu_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 3, ROOM = 8, ARRAYS = 4 }; /* arrays: p, g, and two of the optimizer's */

/* Range i begins `offset[i]` elements into its array, the bfloat16 copy offset[ARRAYS] (-1: there is none). */
typedef struct range_case {
    int64_t count;
    int offset[ARRAYS + 1];
} range_case;

static const range_case ranges[] = {{0, {0, 0, 0, 0, 0}},    {1, {0, 0, 0, 0, -1}},   {3, {1, 1, 1, 1, 1}},
                                    {4, {0, 0, 0, 0, 0}},    {5, {3, 3, 3, 3, 3}},    {17, {2, 2, 2, 2, 2}},
                                    {33, {0, 1, 2, 3, 0}},   {127, {1, 1, 1, 1, 2}},  {1031, {0, 0, 0, 0, -1}},
                                    {1031, {1, 5, 1, 5, 5}}, {1031, {0, 0, 1, 0, 0}}, {1032, {3, 3, 3, 0, -1}},
                                    {2, {3, 3, 3, 3, 3}},    {7003, {3, 7, 3, 7, 3}}, {7003, {0, 0, 0, 0, 1}}};
/* More than all threads of the largest grid take at once, in packs and one by one. */
static const range_case long_ranges[] = {{GPU_TEST_LONG(50003, 2500003), {0, 0, 0, 0, 0}},
                                         {GPU_TEST_LONG(20003, 700001), {0, 1, 0, 0, 0}}};

typedef struct arrays {
    const range_case *range;
    float *host[ARRAYS], *device[ARRAYS];
    double *want[ARRAYS];
    uint16_t *narrow;
    ops_step *step;
    uint64_t random;
} arrays;

/* Arrays of optimizers begin at 0. */
static arrays arrays_open(const range_case *range)
{
    arrays a = {.range = range, .random = 79};
    int64_t all = range->count + ROOM;
    for (int i = 0; i < ARRAYS; i++) {
        a.host[i] = gpu_test_host((size_t)all * sizeof(float));
        a.want[i] = gpu_test_host((size_t)all * sizeof(double));
        ops_reference_fill(&a.random, a.host[i], all, -1.0, 1.0);
        if (i >= 2)
            memset(a.host[i], 0, (size_t)all * sizeof(float));
        for (int64_t k = 0; k < all; k++)
            a.want[i][k] = (double)a.host[i][k];
        a.device[i] = gpu_test_upload(a.host[i], (size_t)all * sizeof(float));
    }
    a.narrow = gpu_test_tensor(GPU_BF16, all);
    a.step = gpu_test_memory(sizeof *a.step);
    return a;
}

static float *at(const arrays *a, int i)
{
    return a->device[i] + a->range->offset[i];
}

static void *narrow_at(const arrays *a)
{
    return a->range->offset[ARRAYS] < 0 ? NULL : a->narrow + a->range->offset[ARRAYS];
}

static void next_step(arrays *a, int64_t update, float lr, float grad_scale)
{
    int64_t all = a->range->count + ROOM;
    ops_step step = {.update = update, .lr = lr, .grad_scale = grad_scale};
    gpu_test_write(a->step, &step, sizeof step);
    ops_reference_fill(&a->random, a->host[1], all, -1.0, 1.0);
    gpu_test_write(a->device[1], a->host[1], (size_t)all * sizeof(float));
}

/* All of each array: what lies before and behind the range must be as it was. */
static void check_arrays(const arrays *a)
{
    static const char *const names[] = {"p", "g", "v or m", "v"};
    int64_t all = a->range->count + ROOM, first = a->range->offset[ARRAYS];
    for (int i = 0; i < ARRAYS; i++)
        if (i != 1) /* Adam divides what rounding leaves of decay and gradient by its size: 1e-5 */
            gpu_test_near(names[i], GPU_F32, a->device[i], a->want[i], all);
    const float *p = gpu_test_download_tensor(GPU_F32, a->device[0], all);
    const float *narrow = gpu_test_download_tensor(GPU_BF16, a->narrow, all);
    for (int64_t k = 0; k < all; k++) {
        int inside = first >= 0 && k >= first && k < first + a->range->count;
        assert_true(inside ? narrow[k] == gpu_test_bf16(p[k - first + a->range->offset[0]]) : isnan(narrow[k]));
    }
}

typedef struct sgd_op {
    float lr, grad_scale;
    ops_sgd op;
} sgd_op;

static void sgd_case(const range_case *range, const sgd_op *s)
{
    const ops_sgd *op = &s->op;
    arrays a = arrays_open(range);
    double *p = a.want[0] + range->offset[0], *v = a.want[2] + range->offset[2];
    for (int64_t step = 1; step <= STEPS; step++) {
        next_step(&a, step, s->lr, s->grad_scale);
        GPU_TEST(gpu_sgd_update(gpu_test_stream, op, a.step, range->count, at(&a, 1), at(&a, 0),
                                op->momentum > 0.0f ? at(&a, 2) : NULL, narrow_at(&a)));
        for (int64_t k = 0; k < range->count; k++) {
            double slope =
                (double)s->grad_scale * (double)a.host[1][range->offset[1] + k] + (double)op->weight_decay * p[k];
            double speed = op->momentum > 0.0f ? (double)op->momentum * v[k] + slope : 0.0;
            v[k] = speed;
            p[k] -= (double)s->lr * (op->momentum == 0.0f ? slope
                                     : op->nesterov       ? slope + (double)op->momentum * speed
                                                          : speed);
        }
    }
    check_arrays(&a);
    gpu_test_end(NULL);
}

static void sgd_follows_its_formula(void **state)
{
    (void)state;
    static const sgd_op ops[] = {
        {0.1f, 0.25f, {.weight_decay = 0.01f}},
        {0.05f, 1.0f, {.momentum = 0.9f}},
        {0.01f, 0.5f, {.momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = 1}},
    };
    for (size_t o = 0; o < sizeof ops / sizeof ops[0]; o++)
        for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++)
            sgd_case(&ranges[r], &ops[o]);
    for (size_t r = 0; r < sizeof long_ranges / sizeof long_ranges[0]; r++)
        sgd_case(&long_ranges[r], &ops[1]);
}

typedef struct adam_op {
    float lr, grad_scale;
    ops_adam op;
} adam_op;

/* Steps after `before` others: only the bias corrections know of those. */
static void adam_case(const range_case *range, const adam_op *s, int64_t before)
{
    const ops_adam *op = &s->op;
    arrays a = arrays_open(range);
    const double b1 = (double)op->beta1, b2 = (double)op->beta2, lr = (double)s->lr, decay = (double)op->weight_decay;
    double *p = a.want[0] + range->offset[0], *m = a.want[2] + range->offset[2], *v = a.want[3] + range->offset[3];
    for (int64_t step = before + 1; step <= before + STEPS; step++) {
        next_step(&a, step, s->lr, s->grad_scale);
        GPU_TEST(gpu_adam_update(gpu_test_stream, op, a.step, range->count, at(&a, 1), at(&a, 0), at(&a, 2), at(&a, 3),
                                 narrow_at(&a)));
        for (int64_t k = 0; k < range->count; k++) {
            double slope = (double)s->grad_scale * (double)a.host[1][range->offset[1] + k];
            if (op->decoupled)
                p[k] -= lr * decay * p[k];
            else
                slope += decay * p[k];
            m[k] = b1 * m[k] + (1.0 - b1) * slope;
            v[k] = b2 * v[k] + (1.0 - b2) * slope * slope;
            p[k] -= lr * m[k] / (1.0 - pow(b1, (double)step)) /
                    (sqrt(v[k] / (1.0 - pow(b2, (double)step))) + (double)op->eps);
        }
    }
    check_arrays(&a);
    gpu_test_end(NULL);
}

static void adam_follows_its_formula(void **state)
{
    (void)state;
    static const adam_op ops[] = {
        {1e-2f, 0.5f, {.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-6f, .weight_decay = 0.1f}},
        {1e-2f, 1.0f, {.beta1 = 0.8f, .beta2 = 0.95f, .eps = 1e-6f, .weight_decay = 0.1f, .decoupled = 1}},
    };
    static const int64_t before[] = {0, 9, 1000000};
    for (size_t o = 0; o < sizeof ops / sizeof ops[0]; o++)
        for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++)
            adam_case(&ranges[r], &ops[o], before[r % 3]);
    for (size_t r = 0; r < sizeof long_ranges / sizeof long_ranges[0]; r++)
        adam_case(&long_ranges[r], &ops[1], 0);
}

/* The same numbers at another address give the same bits. */
static void sums_of_squares(void **state)
{
    (void)state;
    static const int64_t counts[] = {0, 1, 3, 17, 127, 4096, 4097, GPU_TEST_LONG(70003, 2500003)};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        uint64_t random = 83;
        float *x = gpu_test_host((size_t)counts[i] * sizeof *x);
        double want = 0.0, *result = gpu_test_memory(sizeof *result);
        float *scratch = gpu_test_tensor(GPU_F32, GPU_SCRATCH_FLOATS);
        ops_reference_fill(&random, x, counts[i], -1.0, 1.0);
        for (int64_t k = 0; k < counts[i]; k++)
            want += (double)x[k] * (double)x[k];
        uint64_t digest[4];
        for (int offset = 0; offset < 4; offset++) {
            float *device = (float *)gpu_test_memory((size_t)(counts[i] + 4) * sizeof *device) + offset;
            gpu_test_write(device, x, (size_t)counts[i] * sizeof *x);
            GPU_TEST(gpu_sum_of_squares(gpu_test_stream, counts[i], device, 0, result, scratch));
            gpu_test_near_doubles("sum", result, &want, 1, 1e-12);
            const double before = want + 1.0;
            double *sum = gpu_test_upload(&(double){1.0}, sizeof *sum);
            GPU_TEST(gpu_sum_of_squares(gpu_test_stream, counts[i], device, 1, sum, scratch));
            gpu_test_near_doubles("sum and what was there", sum, &before, 1, 1e-12);
            digest[offset] = gpu_test_digest(result, sizeof *result);
            assert_true(digest[offset] == digest[0]);
        }
        gpu_test_end(NULL);
    }
}

static void clipping(void **state)
{
    (void)state;
    static const struct {
        double squares, limit;
        float want;
    } cases[] = {{25.0, 2.5, 0.5f}, {25.0, 5.0, 1.0f}, {25.0, 7.0, 1.0f},
                 {0.0, 1.0, 1.0f},  {NAN, 1.0, 1.0f},  {INFINITY, 1.0, 0.0f}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ops_step step = {.step = 7, .update = 8, .lr = 9.0f, .grad_scale = NAN, .first_sample = 10};
        ops_step *device = gpu_test_upload(&step, sizeof step);
        const double *squares = gpu_test_upload(&cases[i].squares, sizeof *squares);
        GPU_TEST(gpu_clip(gpu_test_stream, cases[i].limit, squares, device));
        step.grad_scale = cases[i].want;
        gpu_test_same("step", device, &step, sizeof step);
    }
}

/* The numbers of the call, also where those they came from have changed by the time of the launch. */
static void step_travels_with_the_launch(void **state)
{
    (void)state;
    ops_step step = {.step = 7, .update = 8, .lr = 9.0f, .grad_scale = 1.0f, .first_sample = 10};
    ops_step *device = gpu_test_memory(sizeof step);
    const ops_step want = step;
    GPU_TEST(gpu_begin_step(gpu_test_stream, &step, device));
    step = (ops_step){0};
    gpu_test_same("step", device, &want, sizeof want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(sgd_follows_its_formula, gpu_test_end),
        cmocka_unit_test_teardown(adam_follows_its_formula, gpu_test_end),
        cmocka_unit_test_teardown(sums_of_squares, gpu_test_end),
        cmocka_unit_test_teardown(clipping, gpu_test_end),
        cmocka_unit_test_teardown(step_travels_with_the_launch, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
