#include "run_balance.h"

#include "run_stats.h"

#include <stdlib.h>
#include <string.h>

/* Own times that all ranks together note: what is gathered and held by each. */
enum { TIMES_MAX = 1 << 20, TIMES_A_RANK = 4096 };

struct run_balance_log {
    int64_t warmup, seen, skipped;
    int64_t stride; /* every stride-th step is kept */
    int64_t capacity, kept;
    double *own; /* (capacity) s */
    double sums[BASE_PHASE_COUNT];
};

static double own_time(const double *phases)
{
    double own = 0.0;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        own += base_phase_is_own((base_phase)i) ? phases[i] : 0.0;
    return own;
}

base_status run_balance_log_create(base_arena *arena, int64_t steps, int ranks, run_balance_log **out)
{
    run_balance_log *self = BASE_NEW(arena, run_balance_log);
    if (!self)
        return BASE_ERROR;
    int64_t most = TIMES_MAX / ranks < TIMES_A_RANK ? TIMES_MAX / ranks : TIMES_A_RANK;
    if (most < 1)
        most = 1;
    self->stride = steps / most + 1;
    self->capacity = steps / self->stride + 1;
    self->warmup = run_stats_warmup(steps);
    self->own = BASE_NEW_ARRAY(arena, double, self->capacity);
    if (!self->own)
        return BASE_ERROR;
    *out = self;
    return BASE_OK;
}

void run_balance_log_add(run_balance_log *self, int64_t steps, const base_phases *phases)
{
    int64_t number = self->seen - self->warmup;
    self->seen += steps;
    if (number < 0) {
        self->skipped += steps;
        return;
    }
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        self->sums[i] += phases->seconds[i];
    double own = own_time(phases->seconds) / (double)steps;
    for (int64_t n = number; n < number + steps; n++)
        if (n % self->stride == 0 && self->kept < self->capacity)
            self->own[self->kept++] = own;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of `count` values; sorts them. */
static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return 0.5 * (values[(count - 1) / 2] + values[count / 2]);
}

/* Mean over the kept steps of the longest own time; `all` (ranks, width). */
static double mean_longest(const double *all, int ranks, size_t width, int64_t kept)
{
    double sum = 0.0;
    for (int64_t s = 0; s < kept; s++) {
        double longest = 0.0;
        for (int r = 0; r < ranks; r++) {
            double own = all[(size_t)r * width + BASE_PHASE_COUNT + (size_t)s];
            longest = own > longest ? own : longest;
        }
        sum += longest;
    }
    return kept > 0 ? sum / (double)kept : 0.0;
}

static double mean_of(const double *values, int64_t count)
{
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++)
        sum += values[i];
    return count > 0 ? sum / (double)count : 0.0;
}

/* `scratch` (ranks). What a rank sends: means a step of its phases, then the own times of its kept steps. */
static void compare_ranks(const double *all, int ranks, size_t width, int64_t kept, double *scratch, run_balance *b)
{
    for (int r = 1; r < ranks; r++)
        if (own_time(all + (size_t)r * width) > own_time(all + (size_t)b->slowest * width))
            b->slowest = r;
    const double *slowest = all + (size_t)b->slowest * width;
    double waiting = 0.0;
    for (int i = 0; i < BASE_PHASE_COUNT; i++) {
        if (!base_phase_is_own((base_phase)i)) {
            waiting += slowest[i];
            continue;
        }
        b->own_s[i] = slowest[i];
        int others = 0;
        for (int r = 0; r < ranks; r++)
            if (r != b->slowest || ranks == 1)
                scratch[others++] = all[(size_t)r * width + (size_t)i];
        b->median_s[i] = median(scratch, others);
    }
    /* The kept steps may not be all, so the difference is taken among them. */
    b->imbalance_s = mean_longest(all, ranks, width, kept) - mean_of(slowest + BASE_PHASE_COUNT, kept);
    b->exposed_s = waiting - b->imbalance_s;
}

base_status run_balance_gather(comm_world *world, const run_balance_log *log, run_balance *balance)
{
    int ranks = comm_world_get_info(world)->size;
    int64_t steps = log->seen - log->skipped;
    size_t width = BASE_PHASE_COUNT + (size_t)log->kept;
    double *mine = calloc(width, sizeof *mine), *all = calloc((size_t)ranks * width, sizeof *all);
    double *scratch = calloc((size_t)ranks, sizeof *scratch);
    base_status status = mine && all && scratch ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for the ranks' times");
    status = comm_world_agree(world, status);
    *balance = (run_balance){.steps = steps};
    if (status == BASE_OK && steps > 0) {
        for (int i = 0; i < BASE_PHASE_COUNT; i++)
            mine[i] = log->sums[i] / (double)steps;
        memcpy(mine + BASE_PHASE_COUNT, log->own, (size_t)log->kept * sizeof *mine);
        status = comm_world_all_gather(world, mine, width * sizeof *mine, all);
        if (status == BASE_OK)
            compare_ranks(all, ranks, width, log->kept, scratch, balance);
    }
    free(scratch);
    free(all);
    free(mine);
    return status;
}

static json_t *phases_json(const double *seconds)
{
    json_t *json = json_object();
    for (int i = 0; i <= BASE_PHASE_OTHER; i++)
        if (base_phase_is_own((base_phase)i))
            json_object_set_new(json, base_phase_name((base_phase)i), json_real(1e3 * seconds[i]));
    return json;
}

json_t *run_balance_json(const run_balance *b)
{
    json_t *json = json_object();
    json_object_set_new(json, "steps", json_integer(b->steps));
    json_object_set_new(json, "slowest_rank", json_integer(b->slowest));
    json_object_set_new(json, "own_ms", phases_json(b->own_s));
    json_object_set_new(json, "median_ms", phases_json(b->median_s));
    json_object_set_new(json, "imbalance_ms", json_real(1e3 * b->imbalance_s));
    json_object_set_new(json, "exposed_ms", json_real(1e3 * b->exposed_s));
    return json;
}
