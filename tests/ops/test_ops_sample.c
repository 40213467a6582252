/* A sample's numbers are the same to the bit in a batch of its own: dropout, pools, activations and losses. */
#include "ops_reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 9, MOST = BATCH * 40 * 40 * 3 };

typedef struct arrays {
    float *x, *g, *y, *dx, *part_y, *part_dx; /* at most MOST each */
    uint8_t *bytes;
    int32_t labels[BATCH];
} arrays;

/* Runs a slot's forward and backward on samples first .. first + count - 1, from the start of y and dx. result: of a
 * loss. */
typedef void slot_run(const ops_table *table, ops_context *self, const arrays *a, int64_t first, int64_t count,
                      float *y, float *dx, double result[2]);

typedef struct slot_case {
    slot_run *run;
    int64_t x_floats, y_floats; /* of a sample */
} slot_case;

static const ops_pool2d window = {
    .h = 13, .w = 11, .c = 5, .kernel_h = 3, .kernel_w = 2, .stride_h = 2, .stride_w = 2, .pad_h = 1};
enum { POOL_X = 13 * 11 * 5, POOL_Y = 7 * 5 * 5, FEATURES = 531, CLASSES = 10, MANY_CLASSES = 1003 };

static void max_pool(const ops_table *table, ops_context *self, const arrays *a, int64_t first, int64_t count, float *y,
                     float *dx, double result[2])
{
    (void)result;
    assert_int_equal(table->max_pool_forward(self, &window, count, a->x + first * POOL_X, y, a->bytes), BASE_OK);
    assert_int_equal(table->max_pool_backward(self, &window, count, a->g + first * POOL_Y, a->bytes, dx, 0), BASE_OK);
}

static void avg_pool(const ops_table *table, ops_context *self, const arrays *a, int64_t first, int64_t count, float *y,
                     float *dx, double result[2])
{
    (void)result;
    assert_int_equal(table->avg_pool_forward(self, &window, count, a->x + first * POOL_X, y), BASE_OK);
    assert_int_equal(table->avg_pool_backward(self, &window, count, a->g + first * POOL_Y, dx, 0), BASE_OK);
}

static void dropout(const ops_table *table, ops_context *self, const arrays *a, int64_t first, int64_t count, float *y,
                    float *dx, double result[2])
{
    (void)result;
    const ops_step step = {.step = 1, .first_sample = 100 + first};
    assert_int_equal(table->begin_step(self, &step), BASE_OK);
    assert_int_equal(table->dropout_forward(self, count, FEATURES, 0.3F, 7, 3, a->x + first * FEATURES, y, a->bytes),
                     BASE_OK);
    assert_int_equal(table->dropout_backward(self, count, FEATURES, 0.3F, a->bytes, a->g + first * FEATURES, dx, 0),
                     BASE_OK);
}

static void activations(const ops_table *table, ops_context *self, const arrays *a, int64_t first, int64_t count,
                        float *y, float *dx, double result[2])
{
    (void)result;
    const float *x = a->x + first * FEATURES;
    for (ops_activation f = OPS_IDENTITY; f < OPS_ACTIVATION_COUNT; f++) {
        assert_int_equal(table->activation_forward(self, f, count * FEATURES, x, y), BASE_OK);
        assert_int_equal(
            table->activation_backward(self, f, count * FEATURES, x, y, a->g + first * FEATURES, dx, f > 0), BASE_OK);
    }
}

static void cross_entropy(const ops_table *table, ops_context *self, const arrays *a, int64_t first, int64_t count,
                          float *y, float *dx, double result[2])
{
    memset(y, 0, (size_t)(count * CLASSES) * sizeof *y);
    assert_int_equal(
        table->softmax_cross_entropy(self, count, CLASSES, a->x + first * CLASSES, a->labels + first, 0.1F, dx, result),
        BASE_OK);
}

static void cross_entropy_of_many(const ops_table *table, ops_context *self, const arrays *a, int64_t first,
                                  int64_t count, float *y, float *dx, double result[2])
{
    memset(y, 0, (size_t)(count * MANY_CLASSES) * sizeof *y);
    assert_int_equal(table->softmax_cross_entropy(self, count, MANY_CLASSES, a->x + first * MANY_CLASSES,
                                                  a->labels + first, 0.1F, dx, result),
                     BASE_OK);
}

static void squared_error(const ops_table *table, ops_context *self, const arrays *a, int64_t first, int64_t count,
                          float *y, float *dx, double result[2])
{
    memset(y, 0, (size_t)(count * CLASSES) * sizeof *y);
    assert_int_equal(
        table->mean_squared_error(self, count, CLASSES, a->x + first * CLASSES, a->labels + first, 0.1F, dx, result),
        BASE_OK);
}

static uint64_t slot_case_run(const ops_table *table, ops_context *self, const void *argument)
{
    const slot_case *s = argument;
    uint64_t seed = 47;
    arrays a = {.x = ops_reference_random(&seed, MOST, -2, 2),
                .g = ops_reference_random(&seed, MOST, -1, 1),
                .y = ops_reference_floats(MOST),
                .dx = ops_reference_floats(MOST),
                .part_y = ops_reference_floats(MOST),
                .part_dx = ops_reference_floats(MOST),
                .bytes = ops_reference_alloc(MOST)};
    for (int i = 0; i < BATCH; i++)
        a.labels[i] = i % CLASSES;
    double all[2] = {0, 0};
    s->run(table, self, &a, 0, BATCH, a.y, a.dx, all);
    for (int64_t cut = 0; cut <= BATCH; cut++) {
        double sum[2] = {0, 0};
        for (int half = 0; half < 2; half++) {
            int64_t first = half ? cut : 0, count = half ? BATCH - cut : cut;
            double part[2] = {0, 0};
            s->run(table, self, &a, first, count, a.part_y, a.part_dx, part);
            ops_reference_same("y", a.part_y, a.y + first * s->y_floats, count * s->y_floats);
            ops_reference_same("dx", a.part_dx, a.dx + first * s->x_floats, count * s->x_floats);
            sum[0] += part[0];
            sum[1] += part[1];
        }
        assert_true(fabs(sum[0] - all[0]) <= 1e-13 * fabs(all[0]) && sum[1] == all[1]); /* a sum of nine doubles */
    }
    uint64_t digest = ops_reference_digest(0, a.dx, (size_t)(BATCH * s->x_floats) * sizeof(float));
    void *memory[] = {a.x, a.g, a.y, a.dx, a.part_y, a.part_dx, a.bytes};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        ops_reference_free(memory[i]);
    return digest;
}

static void each_slot_sample_by_sample(void **state)
{
    (void)state;
    static const slot_case cases[] = {
        {max_pool, POOL_X, POOL_Y},        {avg_pool, POOL_X, POOL_Y},
        {dropout, FEATURES, FEATURES},     {activations, FEATURES, FEATURES},
        {cross_entropy, CLASSES, CLASSES}, {cross_entropy_of_many, MANY_CLASSES, MANY_CLASSES},
        {squared_error, CLASSES, CLASSES}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ops_reference_run(slot_case_run, &cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_slot_sample_by_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
