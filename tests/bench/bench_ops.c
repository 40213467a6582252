/* bench_ops.c: how fast dense and convolution layers are on this machine, a GEMM library at a time, and in bf16 where
 * the cpu has it.
 *
 * bench_ops [THREADS [SECONDS]]: GF/s of the fastest of the repeats that fit in SECONDS (default 0.3) a line, forward
 * and backward (gradients of input, weights and bias), ReLU and bias included in the time but not in the FLOPs. One
 * thread is timed by the CPU time of the process, so that what else runs on the machine disturbs little.
 */
#include "ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds_a_line = 0.3;
static int threads = 1;

static double now(void)
{
    struct timespec t;
    clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct layer {
    const char *name;
    int64_t batch;
    ops_conv2d op; /* a dense layer has one pixel */
    int dense;
} layer;

typedef struct bench {
    const ops_table *ops;
    ops_context *context;
    const layer *layer;
    ops_conv *conv;
    float *x, *w, *b, *y, *dy, *dw, *db, *dx;
    double *wide_dw, *wide_db; /* of a convolution */
} bench;

static float *filled(int64_t count)
{
    float *x = aligned_alloc(64, ((size_t)count * sizeof(float) + 63) / 64 * 64);
    for (int64_t i = 0; i < count && x; i++)
        x[i] = (float)((i * 7919) % 1000) * 0.002F - 1.0F;
    if (!x)
        abort();
    return x;
}

static void run_forward(const bench *b)
{
    const layer *l = b->layer;
    if (l->dense) {
        ops_dense op = {l->op.c, l->op.n, l->op.activation};
        b->ops->dense_forward(b->context, &op, l->batch, b->x, b->w, b->b, b->y, NULL);
    } else {
        b->ops->conv2d_forward(b->context, b->conv, l->batch, b->x, b->w, b->b, b->y, NULL);
    }
}

static void run_backward(const bench *b)
{
    const layer *l = b->layer;
    float *dx = l->op.wants_dx ? b->dx : NULL;
    if (l->dense) {
        ops_dense op = {l->op.c, l->op.n, l->op.activation};
        b->ops->dense_backward_data(b->context, &op, l->batch, b->w, b->y, NULL, b->dy, dx, 0);
        b->ops->dense_backward_weights(b->context, &op, l->batch, 0, op.k, b->x, b->dy, b->dw, b->db);
    } else {
        b->ops->conv2d_backward(b->context, b->conv, l->batch, b->x, b->w, b->y, NULL, b->dy, b->wide_dw, b->wide_db,
                                dx, 0);
    }
}

static double fastest(const bench *b, void (*run)(const bench *))
{
    double start = now(), best = 1e9;
    for (int i = 0; i < 3 || now() - start < seconds_a_line; i++) {
        double t = now();
        run(b);
        t = now() - t;
        best = t < best ? t : best;
    }
    return best;
}

static void measure(const ops_table *ops, ops_context *context, const char *library, const layer *l)
{
    const ops_conv2d *op = &l->op;
    int64_t oh = ops_window_output(op->h, op->kernel_h, op->stride_h, op->pad_h);
    int64_t ow = ops_window_output(op->w, op->kernel_w, op->stride_w, op->pad_w);
    int64_t x = l->batch * op->h * op->w * op->c, y = l->batch * oh * ow * op->n;
    int64_t w = op->kernel_h * op->kernel_w * op->c * op->n;
    bench b = {.ops = ops,
               .context = context,
               .layer = l,
               .x = filled(x),
               .w = filled(w),
               .b = filled(op->n),
               .y = filled(y),
               .dy = filled(y),
               .dw = filled(w),
               .db = filled(op->n),
               .dx = filled(x),
               .wide_dw = (double *)filled(2 * w),
               .wide_db = (double *)filled(2 * op->n)};
    if (!l->dense && ops->conv2d_create(context, op, l->batch, &b.conv) != BASE_OK) {
        fprintf(stderr, "%s\n", base_status_message());
        exit(1);
    }
    double flops = 2.0 * (double)(y * (w / op->n)), forward = fastest(&b, run_forward),
           back = fastest(&b, run_backward);
    double samples = (double)l->batch / (forward + back);
    printf("%-28s %-9s %8.1f %8.1f %12.0f\n", l->name, library, flops / forward * 1e-9,
           (op->wants_dx ? 2 : 1) * flops / back * 1e-9, samples);
    fflush(stdout);
    if (!l->dense)
        ops->conv2d_destroy(&b.conv);
    void *arrays[] = {b.x, b.w, b.b, b.y, b.dy, b.dw, b.db, b.dx, b.wide_dw, b.wide_db};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        free(arrays[i]);
}

#define DENSE(m, k, n, dx)                                                                                             \
    {                                                                                                                  \
        "dense " #m " x " #k " -> " #n, m, {1, 1, k, n, 1, 1, 1, 1, 0, 0, OPS_RELU, dx}, 1                             \
    }
#define CONV(m, size, c, n, kernel, pad, dx)                                                                           \
    {                                                                                                                  \
        "conv " #m " x " #size "^2 x " #c " -> " #n, m,                                                                \
            {size, size, c, n, kernel, kernel, 1, 1, pad, pad, OPS_RELU, dx}, 0                                        \
    }

static const layer layers[] = {
    DENSE(8, 784, 512, 0),          DENSE(8, 512, 512, 1),          DENSE(8, 512, 10, 1),
    DENSE(16, 784, 512, 0),         DENSE(16, 512, 512, 1),         DENSE(16, 512, 10, 1),
    DENSE(64, 784, 512, 0),         DENSE(64, 512, 512, 1),         DENSE(64, 512, 10, 1),
    DENSE(64, 784, 4096, 0),        DENSE(64, 4096, 4096, 1),       DENSE(128, 4096, 4096, 1),
    DENSE(64, 9216, 128, 1),        CONV(64, 28, 1, 32, 3, 0, 0),   CONV(64, 26, 32, 64, 3, 0, 1),
    CONV(64, 32, 3, 32, 3, 1, 0),   CONV(64, 16, 64, 64, 3, 1, 1),  CONV(64, 8, 128, 128, 3, 1, 1),
    CONV(64, 4, 256, 512, 3, 1, 1), CONV(64, 8, 128, 256, 1, 0, 1), CONV(16, 8, 256, 256, 3, 1, 1),
};

int main(int argc, char **argv)
{
    threads = argc > 1 ? atoi(argv[1]) : threads;
    seconds_a_line = argc > 2 ? atof(argv[2]) : seconds_a_line;
    base_pool *pool = NULL;
    if (base_pool_create(&pool, threads) != BASE_OK)
        return 1;
    static const char *const names[] = {"openblas", "onednn", "bf16"};
    const ops_options ways[] = {{.pool = pool, .gemm = "openblas"},
                                {.pool = pool, .gemm = "onednn"},
                                {.pool = pool, .gemm = "auto", .precision = OPS_BF16}};
    enum { WAYS = sizeof ways / sizeof ways[0] };
    const ops_table *ops = ops_host();
    ops_context *contexts[WAYS] = {NULL};
    for (int i = 0; i < WAYS; i++) {
        if (ops->open(&ways[i], &contexts[i]) != BASE_OK)
            fprintf(stderr, "%s: left out: %s\n", names[i], base_status_message());
        else
            printf("%s, %d threads, %s\n", ops->name, threads, ops->libraries(contexts[i]));
    }
    printf("%-28s %-9s %8s %8s %12s\n", "", "", "forward", "backward", "samples/s");
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        for (int j = 0; j < WAYS; j++) {
            if (contexts[j])
                measure(ops, contexts[j], names[j], &layers[i]);
        }
    }
    for (int i = 0; i < WAYS; i++)
        ops->close(&contexts[i]);
    base_pool_destroy(&pool);
    return 0;
}
