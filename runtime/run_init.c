#include "run_init.h"

#include "base_random.h"

#include <math.h>

static void fill_uniform(base_random random, double bound, int64_t from, int64_t to, float *values)
{
    uint32_t words[4];
    for (int64_t block = from / 4; block * 4 < to; block++) {
        base_random_block(&random, 0, (uint32_t)block, words);
        for (int64_t i = 0; i < 4; i++)
            if (block * 4 + i >= from && block * 4 + i < to)
                values[block * 4 + i] = (float)(bound * (2.0 * (double)base_random_uniform(words[i]) - 1.0));
    }
}

static void fill_constant(float value, int64_t from, int64_t to, float *values)
{
    for (int64_t i = from; i < to; i++)
        values[i] = value;
}

static void fill_param(const run_param *param, int number, uint64_t seed, int64_t from, int64_t to, float *values)
{
    base_random random = base_random_stream(seed, BASE_STREAM_INIT, (uint64_t)number);
    if (param->role == RUN_PARAM_GAMMA)
        fill_constant(1.0f, from, to, values);
    else if (param->role == RUN_PARAM_WEIGHT && param->init == RUN_INIT_HE)
        fill_uniform(random, sqrt(6.0 / (double)param->fan_in), from, to, values);
    else if (param->role == RUN_PARAM_WEIGHT && param->init == RUN_INIT_GLOROT)
        fill_uniform(random, sqrt(6.0 / (double)(param->fan_in + param->fan_out)), from, to, values);
    else
        fill_constant(0.0f, from, to, values);
}

void run_init_fill(const run_graph *graph, const run_plan *plan, uint64_t seed, size_t begin, size_t end, float *slab)
{
    /* Padding keeps the zeros that the slab was created with. */
    for (int p = 0; p < graph->param_count; p++) {
        size_t first = plan->param_offset[p], last = first + (size_t)graph->params[p].count;
        size_t from = begin > first ? begin : first, to = end < last ? end : last;
        if (from < to)
            fill_param(&graph->params[p], p, seed, (int64_t)(from - first), (int64_t)(to - first), slab + first);
    }
}
