#include "run_measure.h"

#include "base_arena.h"
#include "base_time.h"

#include <float.h>

static void fill(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(i % 13) * 0.125f - 0.5f;
}

static base_status time_gemm(const ops_table *ops, ops_context *context, int64_t m, int64_t n, int64_t k,
                             const float *a, const float *b, float *c, double seconds, double *best)
{
    BASE_TRY(ops->gemm(context, 0, 0, m, n, k, a, k, b, n, 0, c, n));
    /* Small products are timed in groups, so that the clock does not count. */
    int group = 1 + (int)(2e7 / (2.0 * (double)m * (double)n * (double)k));
    *best = DBL_MAX;
    for (double end = base_time_now() + seconds, now = 0.0; now < end;) {
        double start = base_time_now();
        for (int i = 0; i < group; i++)
            BASE_TRY(ops->gemm(context, 0, 0, m, n, k, a, k, b, n, 0, c, n));
        now = base_time_now();
        if ((now - start) / group < *best)
            *best = (now - start) / group;
    }
    return BASE_OK;
}

base_status run_measure_gemm(const ops_table *ops, ops_context *context, int64_t m, int64_t n, int64_t k,
                             double seconds, double *gflops)
{
    base_arena *arena;
    BASE_TRY(base_arena_create(&arena, "measurement"));
    float *a = BASE_NEW_ARRAY(arena, float, m *k);
    float *b = BASE_NEW_ARRAY(arena, float, k *n);
    float *c = BASE_NEW_ARRAY(arena, float, m *n);
    double best = 0.0;
    base_status status = a && b && c ? BASE_OK : BASE_ERROR;
    if (status == BASE_OK) {
        fill(a, m * k);
        fill(b, k * n);
        status = time_gemm(ops, context, m, n, k, a, b, c, seconds, &best);
    }
    base_arena_destroy(&arena);
    BASE_TRY(status);
    *gflops = 2e-9 * (double)m * (double)n * (double)k / best;
    return BASE_OK;
}

base_status run_measure_peak(const ops_table *ops, ops_context *context, double seconds, double *gflops)
{
    return run_measure_gemm(ops, context, 1024, 1024, 1024, seconds, gflops);
}

enum { TRIAD_ELEMENTS = 16 * 1024 * 1024 };

typedef struct triad {
    float *a;
    const float *b, *c;
} triad;

static void triad_task(void *context, int task, int ntasks, int thread)
{
    (void)thread;
    const triad *t = context;
    int64_t begin, end;
    base_pool_range(TRIAD_ELEMENTS, 1024, task, ntasks, &begin, &end);
    for (int64_t i = begin; i < end; i++)
        t->a[i] = t->b[i] + 0.5f * t->c[i];
}

base_status run_measure_memory(base_pool *pool, double seconds, double *gbytes_per_second)
{
    base_arena *arena;
    BASE_TRY(base_arena_create(&arena, "measurement"));
    float *a = BASE_NEW_ARRAY(arena, float, TRIAD_ELEMENTS);
    float *b = BASE_NEW_ARRAY(arena, float, TRIAD_ELEMENTS);
    float *c = BASE_NEW_ARRAY(arena, float, TRIAD_ELEMENTS);
    if (!a || !b || !c) {
        base_arena_destroy(&arena);
        return BASE_ERROR;
    }
    triad t = {a, b, c};
    double best = DBL_MAX;
    for (double end = base_time_now() + seconds, now = 0.0; now < end;) {
        double start = base_time_now();
        base_pool_run(pool, base_pool_size(pool), triad_task, &t);
        now = base_time_now();
        if (now - start < best)
            best = now - start;
    }
    base_arena_destroy(&arena);
    *gbytes_per_second = 12e-9 * (double)TRIAD_ELEMENTS / best;
    return BASE_OK;
}
