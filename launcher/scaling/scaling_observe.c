#include "scaling_observe.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAMED_MAX = 6 };

/* "n = 4, 8 and 16 share 2 cores" of the points that do not count. */
static void name_left_out(const scaling_trials *trials, const scaling_point *points, int count, char *text, size_t size)
{
    int total = 0, named = 0, cores = 0;
    size_t at = 0;
    for (int i = 0; i < count; i++)
        total += !points[i].fitted;
    for (int i = 0; i < trials->count; i++)
        if (scaling_shares_cores(trials->trials[i]))
            cores = trials->trials[i]->cores;
    for (int i = 0; i < count && named < NAMED_MAX; i++) {
        if (points[i].fitted)
            continue;
        const char *before = named == 0 ? "n = " : named + 1 == total ? " and " : ", ";
        at += (size_t)snprintf(text + at, size - at, "%s%d", before, points[i].workers);
        named++;
    }
    if (total > named)
        at += (size_t)snprintf(text + at, size - at, " and %d more", total - named);
    if (total > 0)
        snprintf(text + at, size - at, " share%s %d core%s", total == 1 ? "s" : "", cores, cores == 1 ? "" : "s");
}

/* Workers with different numbers of threads are not the same worker. */
static void compare_threads(scaling_observations *seen, const scaling_trial *first, const scaling_trial *trial)
{
    if (seen->obstacle[0] || first->threads <= 0 || trial->threads <= 0 || first->threads == trial->threads)
        return;
    snprintf(seen->obstacle, sizeof seen->obstacle,
             "a worker has %d thread%s at n = %d and %d at n = %d; set train.threads to have one kind of worker",
             first->threads, first->threads == 1 ? "" : "s", first->workers, trial->threads, trial->workers);
}

static base_status make_room(base_arena *arena, int count, scaling_observations *seen)
{
    seen->workers = BASE_NEW_ARRAY(arena, int, count);
    seen->step_s = BASE_NEW_ARRAY(arena, double, count);
    seen->parts_s = base_arena_array(arena, (size_t)count, sizeof *seen->parts_s);
    seen->spread = BASE_NEW_ARRAY(arena, double, count);
    seen->x = BASE_NEW_ARRAY(arena, double, (size_t)count *SCALING_TERMS_MAX);
    seen->y = BASE_NEW_ARRAY(arena, double, count);
    seen->scale = BASE_NEW_ARRAY(arena, double, count);
    int complete = seen->workers && seen->step_s && seen->parts_s && seen->spread && seen->x && seen->y && seen->scale;
    return complete ? BASE_OK : BASE_ERROR;
}

base_status scaling_observe(base_arena *arena, scaling_mode mode, const scaling_trials *trials,
                            const scaling_point *points, int point_count, scaling_observations *seen)
{
    *seen = (scaling_observations){.mode = mode, .parts_known = 1};
    BASE_TRY(make_room(arena, trials->count, seen));
    const scaling_trial *first = NULL;
    int at = 0, spreads_known = 1;
    for (int i = 0; i < trials->count; i++) {
        const scaling_trial *trial = trials->trials[i];
        int k = seen->count;
        while (points[at].workers < trial->workers)
            at++;
        if (!points[at].fitted)
            continue;
        first = first ? first : trial;
        compare_threads(seen, first, trial);
        seen->distinct += k == 0 || seen->workers[k - 1] != trial->workers;
        seen->workers[k] = trial->workers;
        seen->step_s[k] = trial->step_s;
        seen->parts_known &= scaling_parts_scale(trial->parts_s, trial->step_s, seen->parts_s[k]);
        seen->spread[k] = trials->spreads[i].error;
        seen->spread_df += trials->spreads[i].df;
        spreads_known &= trials->spreads[i].count > 0;
        seen->count++;
    }
    seen->spread_df = spreads_known ? seen->spread_df : 0.0;
    seen->smallest = seen->count ? seen->workers[0] : 0;
    seen->largest = seen->count ? seen->workers[seen->count - 1] : 0;
    name_left_out(trials, points, point_count, seen->left_out, sizeof seen->left_out);
    return BASE_OK;
}

void scaling_refuse(scaling_law *law, const scaling_observations *seen, const char *fmt, ...)
{
    va_list args;
    law->ok = 0;
    va_start(args, fmt);
    vsnprintf(law->reason, sizeof law->reason, fmt, args);
    va_end(args);
    size_t used = strlen(law->reason);
    if (seen->left_out[0])
        snprintf(law->reason + used, sizeof law->reason - used, " (%s)", seen->left_out);
}
