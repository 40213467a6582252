/* A sample's numbers are the same to the bit whatever batch it comes in, and gradients summed in double are, once
 * rounded, whatever the way in which ranks share the samples: every slot that takes a batch, on shares of it and on all
 * of it. */
#include "ops_reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const int rank_counts[] = {1, 2, 3, 5, 7, 8, 16};
enum { RANK_COUNTS = sizeof rank_counts / sizeof rank_counts[0] };

/* First sample of a rank's share, as the sampler of a job deals them. */
static int64_t share(int64_t count, int rank, int size)
{
    return count * rank / size;
}

static void same_rounded(const char *what, const double *got, const double *want, int64_t count, int size)
{
    for (int64_t i = 0; i < count; i++)
        if ((float)got[i] != (float)want[i])
            fail_msg("%s[%lld] is %.17g from %d ranks, %.17g from one", what, (long long)i, got[i], size, want[i]);
}

static void add(int64_t count, const double *part, double *sum)
{
    for (int64_t i = 0; i < count; i++)
        sum[i] += part[i];
}

/* ---- dense layers ---- */

typedef struct dense_case {
    int64_t k, n;
    const int64_t *batches; /* ends with 0 */
    ops_activation activation;
    int accumulate;
} dense_case;

typedef struct dense_arrays {
    float *x, *w, *b, *y, *dy, *dx;             /* of all samples */
    float *part_y, *part_z, *part_dy, *part_dx; /* of a share */
    float *dx_before, *z;
} dense_arrays;

static void dense_run(const ops_table *table, ops_context *self, const dense_case *d, const dense_arrays *a,
                      int64_t first, int64_t count, float *y, float *z, float *dy, float *dx, const float *gradient)
{
    ops_dense op = {d->k, d->n, d->activation};
    memcpy(dy, gradient + first * d->n, (size_t)(count * d->n) * sizeof *dy);
    memcpy(dx, a->dx_before + first * d->k, (size_t)(count * d->k) * sizeof *dx);
    assert_int_equal(table->dense_forward(self, &op, count, a->x + first * d->k, a->w, a->b, y, z), BASE_OK);
    assert_int_equal(table->dense_backward_data(self, &op, count, a->w, y, z, dy, dx, d->accumulate), BASE_OK);
}

static void dense_shares(const ops_table *table, ops_context *self, const dense_case *d, const dense_arrays *a,
                         int64_t batch, const float *gradient)
{
    for (int s = 0; s < RANK_COUNTS; s++) {
        for (int r = 0; r < rank_counts[s]; r++) {
            int64_t first = share(batch, r, rank_counts[s]), count = share(batch, r + 1, rank_counts[s]) - first;
            dense_run(table, self, d, a, first, count, a->part_y, a->part_z, a->part_dy, a->part_dx, gradient);
            ops_reference_same("y", a->part_y, a->y + first * d->n, count * d->n);
            ops_reference_same("dx", a->part_dx, a->dx + first * d->k, count * d->k);
        }
    }
}

static uint64_t dense_rows_case(const ops_table *table, ops_context *self, const void *argument)
{
    const dense_case *d = argument;
    uint64_t seed = 29;
    int64_t most = 0;
    for (const int64_t *b = d->batches; *b; b++)
        most = *b > most ? *b : most;
    float *gradient = ops_reference_random(&seed, most * d->n, -1, 1);
    dense_arrays a = {.x = ops_reference_random(&seed, most * d->k, -1, 1),
                      .w = ops_reference_random(&seed, d->k * d->n, -1, 1),
                      .b = ops_reference_random(&seed, d->n, -1, 1),
                      .y = ops_reference_floats(most * d->n),
                      .z = ops_reference_floats(most * d->n),
                      .dy = ops_reference_floats(most * d->n),
                      .dx = ops_reference_floats(most * d->k),
                      .dx_before = ops_reference_random(&seed, most * d->k, -1, 1),
                      .part_y = ops_reference_floats(most * d->n),
                      .part_z = ops_reference_floats(most * d->n),
                      .part_dy = ops_reference_floats(most * d->n),
                      .part_dx = ops_reference_floats(most * d->k)};
    dense_run(table, self, d, &a, 0, most, a.y, a.z, a.dy, a.dx, gradient);
    for (const int64_t *b = d->batches; *b; b++)
        dense_shares(table, self, d, &a, *b, gradient);
    uint64_t digest = ops_reference_digest(0, a.y, (size_t)(most * d->n) * sizeof(float));
    digest = ops_reference_digest(digest, a.dx, (size_t)(most * d->k) * sizeof(float));
    float *all[] = {gradient, a.x,      a.w,      a.b,       a.y,       a.z,        a.dy,
                    a.dx,     a.part_y, a.part_z, a.part_dy, a.part_dx, a.dx_before};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
    return digest;
}

/* Rows from .. to - 1 of dw alone, against the whole. */
static void weights_range(const ops_table *table, ops_context *self, const ops_dense *op, int64_t m, int64_t from,
                          int64_t to, const float *x, const float *dz, const float *dw, float *part)
{
    assert_int_equal(table->dense_backward_weights(self, op, m, from, to, x, dz, part, NULL), BASE_OK);
    ops_reference_same("dw", part + from * op->n, dw + from * op->n, (to - from) * op->n);
}

/* Each rank's rows, in pieces that stay in the cache, as a step sums them; and rows at odd places. */
static void weights_cuts(const ops_table *table, ops_context *self, const ops_dense *op, int64_t m, const float *x,
                         const float *dz, const float *dw, float *part)
{
    int64_t piece = 65536 / op->n / 16 * 16, begin, end;
    piece = piece < 16 ? 16 : piece;
    for (int s = 0; s < RANK_COUNTS; s++) {
        for (int r = 0; r < rank_counts[s]; r++) {
            base_pool_range(op->k, 16, r, rank_counts[s], &begin, &end);
            for (int64_t at = begin; at < end; at += piece)
                weights_range(table, self, op, m, at, at + piece < end ? at + piece : end, x, dz, dw, part);
        }
    }
    for (int64_t at = 0, rows = 1; at < op->k; at += rows, rows += 2)
        weights_range(table, self, op, m, at, at + rows < op->k ? at + rows : op->k, x, dz, dw, part);
}

static uint64_t dense_weights_case(const ops_table *table, ops_context *self, const void *argument)
{
    static const int64_t batches[] = {1, 3, 16, 64, 130, 300};
    const dense_case *d = argument;
    ops_dense op = {d->k, d->n, OPS_IDENTITY};
    uint64_t seed = 31, digest = 0;
    float *x = ops_reference_random(&seed, 300 * d->k, -1, 1), *dz = ops_reference_random(&seed, 300 * d->n, -1, 1);
    float *dw = ops_reference_floats(d->k * d->n), *part = ops_reference_floats(d->k * d->n);
    float *db = ops_reference_floats(d->n);
    size_t cases = d->k * d->n > 300000 ? 3 : sizeof batches / sizeof batches[0];
    for (size_t i = 0; i < cases; i++) {
        assert_int_equal(table->dense_backward_weights(self, &op, batches[i], 0, d->k, x, dz, dw, db), BASE_OK);
        weights_cuts(table, self, &op, batches[i], x, dz, dw, part);
        digest = ops_reference_digest(digest, dw, (size_t)(d->k * d->n) * sizeof *dw);
    }
    float *all[] = {x, dz, dw, part, db};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
    return digest;
}

static const int64_t few[] = {16, 5, 0}, some[] = {1, 3, 13, 16, 64, 130, 0};
static int64_t every[131]; /* 1 .. 130 */

static const dense_case dense_cases[] = {
    {784, 512, some, OPS_RELU, 0},   {512, 512, some, OPS_RELU, 0},     {512, 10, some, OPS_IDENTITY, 0},
    {784, 128, some, OPS_TANH, 0},   {128, 10, every, OPS_IDENTITY, 0}, {9216, 128, few, OPS_RELU, 0},
    {784, 4096, few, OPS_RELU, 0},   {4096, 4096, few, OPS_RELU, 0},    {37, 93, every, OPS_GELU, 1},
    {260, 33, every, OPS_RELU, 1},   {1, 1, every, OPS_SIGMOID, 0},     {3, 1000, some, OPS_GELU, 0},
    {1000, 3, some, OPS_SIGMOID, 1}, {64, 64, every, OPS_TANH, 0},      {600, 600, some, OPS_RELU, 1},
};

static const int bf16_cases[] = {2, 8, 9, 10, 12, 14};

static void on_both_libraries(ops_reference_case *run, const void *argument)
{
    ops_reference_run_with(run, argument, "openblas");
    if (ops_reference_has("onednn"))
        ops_reference_run_with(run, argument, "onednn");
}

static void dense_layer_row_by_row(void **state)
{
    (void)state;
    for (int i = 0; i < 130; i++)
        every[i] = i + 1;
    for (size_t i = 0; i < sizeof dense_cases / sizeof dense_cases[0]; i++)
        ops_reference_run(dense_rows_case, &dense_cases[i]);
    on_both_libraries(dense_rows_case, &dense_cases[8]);
    for (size_t i = 0; i < sizeof bf16_cases / sizeof bf16_cases[0]; i++)
        ops_reference_run_bf16(dense_rows_case, &dense_cases[bf16_cases[i]], "auto");
}

static void dense_weights_however_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dense_cases / sizeof dense_cases[0]; i++)
        if (dense_cases[i].k * dense_cases[i].n < 1000000)
            ops_reference_run(dense_weights_case, &dense_cases[i]);
    on_both_libraries(dense_weights_case, &dense_cases[8]);
    for (size_t i = 0; i < sizeof bf16_cases / sizeof bf16_cases[0]; i++)
        ops_reference_run_bf16(dense_weights_case, &dense_cases[bf16_cases[i]], "auto");
}

/* ---- convolution ---- */

enum { CONV_BATCH = 20 };

typedef struct conv_arrays {
    int64_t x_floats, y_floats, w_floats, n; /* of a sample, of a sample, in all, in all */
    float *x, *w, *b, *g, *before;
    float *y, *z, *dy, *dx, *part_y, *part_dx;
    double *dw, *db, *sum_dw, *sum_db, *part_dw, *part_db;
} conv_arrays;

static conv_arrays conv_arrays_create(const ops_conv2d *op)
{
    uint64_t seed = 37;
    int64_t oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h);
    int64_t ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w);
    conv_arrays a = {.x_floats = op->h * op->w * op->c,
                     .y_floats = oh * ow * op->n,
                     .w_floats = op->kernel_h * op->kernel_w * op->c * op->n,
                     .n = op->n};
    float **xs[] = {&a.x, &a.before, &a.dx, &a.part_dx}, **ys[] = {&a.g, &a.y, &a.z, &a.dy, &a.part_y};
    double **ws[] = {&a.dw, &a.sum_dw, &a.part_dw}, **bs[] = {&a.db, &a.sum_db, &a.part_db};
    for (size_t i = 0; i < sizeof xs / sizeof xs[0]; i++)
        *xs[i] = ops_reference_random(&seed, CONV_BATCH * a.x_floats, -1, 1);
    for (size_t i = 0; i < sizeof ys / sizeof ys[0]; i++)
        *ys[i] = ops_reference_random(&seed, CONV_BATCH * a.y_floats, -1, 1);
    for (size_t i = 0; i < 3; i++) {
        *ws[i] = ops_reference_doubles(a.w_floats);
        *bs[i] = ops_reference_doubles(op->n);
    }
    a.w = ops_reference_random(&seed, a.w_floats, -1, 1);
    a.b = ops_reference_random(&seed, op->n, -1, 1);
    return a;
}

static void conv_arrays_free(conv_arrays *a)
{
    void *all[] = {a->x,  a->w,  a->b,      a->g,       a->before, a->y,      a->z,       a->dy,     a->dx,
                   a->dw, a->db, a->part_y, a->part_dx, a->sum_dw, a->sum_db, a->part_dw, a->part_db};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
}

static void conv_run(const ops_table *table, ops_context *self, ops_conv *conv, const conv_arrays *a, int64_t first,
                     int64_t count, float *y, float *dx, double *dw, double *db)
{
    memcpy(a->dy, a->g + first * a->y_floats, (size_t)(count * a->y_floats) * sizeof(float));
    memcpy(dx, a->before + first * a->x_floats, (size_t)(count * a->x_floats) * sizeof(float));
    const float *x = a->x + first * a->x_floats;
    assert_int_equal(table->conv2d_forward(self, conv, count, x, a->w, a->b, y, a->z), BASE_OK);
    assert_int_equal(table->conv2d_backward(self, conv, count, x, a->w, y, a->z, a->dy, dw, db, dx, (int)(a->n % 2)),
                     BASE_OK);
}

static void conv_shares(const ops_table *table, ops_context *self, ops_conv *conv, const conv_arrays *a, int64_t batch,
                        int size)
{
    memset(a->sum_dw, 0, (size_t)a->w_floats * sizeof(double));
    memset(a->sum_db, 0, (size_t)a->n * sizeof(double));
    for (int r = 0; r < size; r++) {
        int64_t first = share(batch, r, size), count = share(batch, r + 1, size) - first;
        conv_run(table, self, conv, a, first, count, a->part_y, a->part_dx, a->part_dw, a->part_db);
        ops_reference_same("y", a->part_y, a->y + first * a->y_floats, count * a->y_floats);
        ops_reference_same("dx", a->part_dx, a->dx + first * a->x_floats, count * a->x_floats);
        add(a->w_floats, a->part_dw, a->sum_dw);
        add(a->n, a->part_db, a->sum_db);
    }
}

static uint64_t conv_case(const ops_table *table, ops_context *self, const void *argument)
{
    conv_arrays a = conv_arrays_create(argument);
    ops_conv *conv = NULL;
    assert_int_equal(table->conv2d_create(self, argument, CONV_BATCH, &conv), BASE_OK);
    conv_run(table, self, conv, &a, 0, CONV_BATCH, a.y, a.dx, a.dw, a.db);
    for (int64_t batch = 1; batch <= CONV_BATCH; batch++)
        for (int s = 0; s < 3; s++)
            conv_shares(table, self, conv, &a, batch, rank_counts[s]);
    for (int s = 0; s < RANK_COUNTS; s++) {
        conv_shares(table, self, conv, &a, CONV_BATCH, rank_counts[s]);
        same_rounded("dw", a.sum_dw, a.dw, a.w_floats, rank_counts[s]);
        same_rounded("db", a.sum_db, a.db, a.n, rank_counts[s]);
    }
    table->conv2d_destroy(&conv);
    uint64_t digest = ops_reference_digest(0, a.y, (size_t)(CONV_BATCH * a.y_floats) * sizeof(float));
    digest = ops_reference_digest(digest, a.dx, (size_t)(CONV_BATCH * a.x_floats) * sizeof(float));
    digest = ops_reference_digest(digest, a.dw, (size_t)a.w_floats * sizeof(double));
    conv_arrays_free(&a);
    return digest;
}

static void convolution_sample_by_sample(void **state)
{
    (void)state;
    static const ops_conv2d ops[] = {
        {14, 14, 1, 32, 3, 3, 1, 1, 0, 0, OPS_RELU, 1},   {13, 13, 32, 64, 3, 3, 1, 1, 0, 0, OPS_RELU, 1},
        {4, 4, 64, 64, 3, 3, 1, 1, 1, 1, OPS_RELU, 1},    {9, 7, 5, 7, 3, 2, 2, 1, 1, 0, OPS_TANH, 1},
        {6, 6, 24, 17, 1, 1, 1, 1, 0, 0, OPS_GELU, 1},    {1, 1, 40, 9, 1, 1, 1, 1, 0, 0, OPS_SIGMOID, 1},
        {5, 5, 3, 33, 5, 5, 1, 1, 0, 0, OPS_IDENTITY, 1},
    };
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        on_both_libraries(conv_case, &ops[i]);
    for (size_t i = 1; i < sizeof ops / sizeof ops[0]; i += 2) {
        ops_reference_run_bf16(conv_case, &ops[i], "openblas");
        ops_reference_run_bf16(conv_case, &ops[i], "auto");
    }
}

/* ---- batch normalisation ---- */

typedef struct norm_arrays {
    float *x, *g, *y, *z, *dx;      /* (R, C) */
    float *mean, *invstd, *running; /* (C), (C), (2 C) */
    float *gamma, *beta;
    double *sums, *part, *dgamma, *dbeta;
} norm_arrays;

typedef struct norm_case {
    int64_t pixels, c;
    ops_activation activation;
} norm_case;

enum { NORM_BATCH = 21 };

/* The whole chain over `size` ranks; y, dx and sums (those of the backward pass) are the results. */
static void norm_run(const ops_table *table, ops_context *self, const norm_case *n, const norm_arrays *a, int size,
                     float *y, float *dx, double *sums)
{
    int64_t c = n->c, rows = NORM_BATCH * n->pixels;
    float *dy = a->z + rows * c; /* z is twice as long */
    memset(a->running, 0, (size_t)(2 * c) * sizeof(float));
    memset(a->sums, 0, (size_t)(2 * c) * sizeof(double));
    memset(sums, 0, (size_t)(2 * c) * sizeof(double));
    memcpy(dy, a->g, (size_t)(rows * c) * sizeof(float));
    for (int pass = 0; pass < 4; pass++) {
        for (int r = 0; r < size; r++) {
            int64_t from = share(NORM_BATCH, r, size) * n->pixels,
                    count = share(NORM_BATCH, r + 1, size) * n->pixels - from;
            int64_t at = from * c;
            base_status status =
                pass == 0   ? table->batch_norm_sums(self, count, c, a->x + at, a->part)
                : pass == 1 ? table->batch_norm_forward(self, count, c, n->activation, a->x + at, a->mean, a->invstd,
                                                        a->gamma, a->beta, y + at, a->z + at)
                : pass == 2
                    ? table->batch_norm_backward_sums(self, count, c, n->activation, a->x + at, a->mean, a->invstd,
                                                      y + at, a->z + at, dy + at, a->part, a->dgamma, a->dbeta)
                    : table->batch_norm_backward(self, count, c, a->x + at, a->mean, a->invstd, a->gamma, sums, rows,
                                                 dy + at, dx + at, 0);
            assert_int_equal(status, BASE_OK);
            if (pass == 0 || pass == 2)
                add(2 * c, a->part, pass == 0 ? a->sums : sums);
        }
        if (pass == 0)
            assert_int_equal(table->batch_norm_statistics(self, c, a->sums, rows, 0.1F, 1e-5F, a->mean, a->invstd,
                                                          a->running, a->running + c),
                             BASE_OK);
    }
}

static uint64_t norm_case_run(const ops_table *table, ops_context *self, const void *argument)
{
    const norm_case *n = argument;
    uint64_t seed = 43;
    int64_t c = n->c, count = NORM_BATCH * n->pixels * c;
    norm_arrays a = {.x = ops_reference_random(&seed, count, -1, 3),
                     .g = ops_reference_random(&seed, count, -1, 1),
                     .y = ops_reference_floats(count),
                     .z = ops_reference_floats(2 * count),
                     .dx = ops_reference_floats(count),
                     .mean = ops_reference_floats(c),
                     .invstd = ops_reference_floats(c),
                     .running = ops_reference_floats(2 * c),
                     .gamma = ops_reference_random(&seed, c, 0.5, 2),
                     .beta = ops_reference_random(&seed, c, -1, 1),
                     .sums = ops_reference_doubles(2 * c),
                     .part = ops_reference_doubles(2 * c),
                     .dgamma = ops_reference_doubles(c),
                     .dbeta = ops_reference_doubles(c)};
    float *y = ops_reference_floats(count), *dx = ops_reference_floats(count);
    double *one = ops_reference_doubles(2 * c), *sums = ops_reference_doubles(2 * c);
    norm_run(table, self, n, &a, 1, a.y, a.dx, one);
    for (int s = 1; s < RANK_COUNTS; s++) {
        norm_run(table, self, n, &a, rank_counts[s], y, dx, sums);
        ops_reference_same("y", y, a.y, count);
        ops_reference_same("dx", dx, a.dx, count);
        same_rounded("sums", sums, one, 2 * c, rank_counts[s]);
    }
    uint64_t digest = ops_reference_digest(0, a.dx, (size_t)count * sizeof(float));
    void *all[] = {a.x,    a.g,    a.y,    a.z,      a.dx,    a.mean, a.invstd, a.running, a.gamma,
                   a.beta, a.sums, a.part, a.dgamma, a.dbeta, y,      dx,       one,       sums};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ops_reference_free(all[i]);
    return digest;
}

static void batch_normalisation(void **state)
{
    (void)state;
    static const norm_case cases[] = {{49, 3, OPS_RELU},  {1, 17, OPS_IDENTITY}, {64, 32, OPS_RELU},
                                      {25, 64, OPS_GELU}, {9, 130, OPS_TANH},    {4, 1100, OPS_SIGMOID}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ops_reference_run(norm_case_run, &cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_layer_row_by_row),
        cmocka_unit_test(dense_weights_however_cut),
        cmocka_unit_test(convolution_sample_by_sample),
        cmocka_unit_test(batch_normalisation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
