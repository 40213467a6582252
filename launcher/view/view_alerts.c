#include "view_alerts.h"

#include "base_status.h"
#include "base_utf8.h"
#include "view_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int view_run_is_over(const coordinator_run_view *run)
{
    return run->state != COORDINATOR_RUNNING && run->state != COORDINATOR_SILENT;
}

int view_rank_is_silent(const coordinator_run_view *run, const coordinator_rank_view *rank)
{
    return !view_run_is_over(run) && rank->silent_s >= VIEW_SILENT_S;
}

int view_rank_is_stuck(const coordinator_run_view *run, const coordinator_rank_view *rank)
{
    return !view_run_is_over(run) && rank->silent_s < VIEW_SILENT_S && rank->stuck_s >= VIEW_STUCK_S;
}

static int compare_hosts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int view_run_hosts(const coordinator_run_view *run)
{
    const char **hosts = run->rank_count > 0 ? malloc((size_t)run->rank_count * sizeof *hosts) : NULL;
    if (!hosts)
        return 0;
    for (int i = 0; i < run->rank_count; i++)
        hosts[i] = run->ranks[i].host;
    qsort(hosts, (size_t)run->rank_count, sizeof *hosts, compare_hosts);
    int count = 1;
    for (int i = 1; i < run->rank_count; i++)
        count += strcmp(hosts[i], hosts[i - 1]) != 0;
    free(hosts);
    return count;
}

const coordinator_straggler *view_rank_straggler(const coordinator_run_view *run, int rank)
{
    for (int i = 0; i < run->straggler_count; i++)
        if (run->stragglers[i].rank == rank)
            return &run->stragglers[i];
    return NULL;
}

double view_rank_phase_ms(const coordinator_rank_view *rank, base_phase phase)
{
    double ms = rank->phases_ms[phase];
    return ms > 0.0 && ms < 1e12 ? ms : 0.0;
}

double view_rank_step_ms(const coordinator_rank_view *rank)
{
    double sum = 0.0;
    for (int p = 0; p < BASE_PHASE_COUNT; p++)
        sum += view_rank_phase_ms(rank, (base_phase)p);
    return sum;
}

BASE_PRINTF(3, 4) static void say(view_alert *alert, view_severity severity, const char *fmt, ...)
{
    char text[sizeof alert->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    alert->severity = severity;
    base_utf8_copy(text, alert->text, sizeof alert->text);
}

/* ---- the end ---- */

static int find_end(const coordinator_run_view *run, view_alert *alert)
{
    const char *colon = run->reason[0] ? ": " : "";
    switch (run->state) {
    case COORDINATOR_DIVERGED: say(alert, VIEW_ALARM, "the run diverged%s%s", colon, run->reason); return 1;
    case COORDINATOR_FAILED: say(alert, VIEW_ALARM, "the run failed%s%s", colon, run->reason); return 1;
    case COORDINATOR_STOPPED: say(alert, VIEW_NOTE, "the run was stopped%s%s", colon, run->reason); return 1;
    case COORDINATOR_DONE: say(alert, VIEW_NOTE, "the run is done%s%s", colon, run->reason); return 1;
    default: return 0;
    }
}

/* ---- ranks that say nothing or do nothing ---- */

typedef int (*rank_test)(const coordinator_run_view *run, const coordinator_rank_view *rank);

static const coordinator_rank_view *rank_at(const coordinator_run_view *run, int i)
{
    return i < run->rank_count ? &run->ranks[i] : NULL;
}

/* "rank 3", "ranks 3, 5-9 and 14 more", "all 8 ranks" that pass the test; returns how many, the first in *first. */
static int list_ranks(const coordinator_run_view *run, rank_test test, char *text, size_t size,
                      const coordinator_rank_view **first)
{
    enum { RANGES = 6 };
    int count = 0, shown = 0, ranges = 0;
    size_t used = 0;
    for (int i = 0; i < run->rank_count; i++) {
        if (!test(run, &run->ranks[i]))
            continue;
        int end = i; /* a range of neighbours ends here */
        while (rank_at(run, end + 1) && run->ranks[end + 1].rank == run->ranks[end].rank + 1 &&
               test(run, &run->ranks[end + 1]))
            end++;
        if (count == 0)
            *first = &run->ranks[i];
        count += end - i + 1;
        if (ranges++ < RANGES && used < size) {
            used += (size_t)snprintf(text + used, size - used, "%s%d", shown ? ", " : "", run->ranks[i].rank);
            if (end > i && used < size)
                used += (size_t)snprintf(text + used, size - used, "-%d", run->ranks[end].rank);
            shown += end - i + 1;
        }
        i = end;
    }
    if (count > shown && used < size)
        snprintf(text + used, size - used, " and %d more", count - shown);
    return count;
}

static double least(const coordinator_run_view *run, rank_test test, size_t field)
{
    double value = INFINITY;
    for (int i = 0; i < run->rank_count; i++)
        if (test(run, &run->ranks[i]))
            value = fmin(value, *(const double *)((const char *)&run->ranks[i] + field));
    return value;
}

static int find_ranks(const coordinator_run_view *run, rank_test test, size_t field, const char *what,
                      view_alert *alert)
{
    char list[256] = "", step[VIEW_TEXT];
    const coordinator_rank_view *first = NULL;
    int count = list_ranks(run, test, list, sizeof list, &first);
    if (count == 0)
        return 0;
    double seconds = least(run, test, field);
    if (count == 1)
        say(alert, VIEW_ALARM, "rank %d (%s) %s for %.0f s: %s %s, after step %s", first->rank, first->host, what,
            seconds, field == offsetof(coordinator_rank_view, silent_s) ? "last seen in" : "in",
            base_phase_name(first->phase), view_text_count(first->step, step));
    else if (count == run->size)
        say(alert, VIEW_ALARM, "all %d ranks %s for %.0f s", count, what, seconds);
    else
        say(alert, VIEW_ALARM, "ranks %s %s for %.0f s or more", list, what, seconds);
    return 1;
}

static int find_absent(const coordinator_run_view *run, view_alert *alert)
{
    if (view_run_is_over(run) || run->rank_count >= run->size)
        return 0;
    if (run->rank_count == 0)
        say(alert, VIEW_NOTE, "no rank has spoken yet");
    else
        say(alert, VIEW_NOTE, "%d of %d ranks have not spoken yet", run->size - run->rank_count, run->size);
    return 1;
}

/* ---- stragglers ---- */

static void say_straggler(const coordinator_run_view *run, const coordinator_straggler *straggler, int hosts,
                          view_alert *alert)
{
    char host[80] = "";
    for (int i = 0; hosts > 1 && i < run->rank_count; i++)
        if (run->ranks[i].rank == straggler->rank)
            snprintf(host, sizeof host, " (%s)", run->ranks[i].host);
    say(alert, VIEW_WARNING, "rank %d%s is %.0f %% slower in %s; without it a step takes %.0f %% less", straggler->rank,
        host, 100.0 * straggler->slower, base_phase_name(straggler->phase), 100.0 * straggler->cost);
}

int view_alerts_find(const coordinator_run_view *run, view_alert alerts[VIEW_ALERTS])
{
    int count = find_end(run, alerts), hosts = run->straggler_count > 0 ? view_run_hosts(run) : 0;
    count += find_ranks(run, view_rank_is_silent, offsetof(coordinator_rank_view, silent_s), "silent", &alerts[count]);
    count += find_ranks(run, view_rank_is_stuck, offsetof(coordinator_rank_view, stuck_s), "stuck", &alerts[count]);
    for (int i = 0; i < run->straggler_count && i < COORDINATOR_STRAGGLERS; i++)
        say_straggler(run, &run->stragglers[i], hosts, &alerts[count++]);
    count += find_absent(run, &alerts[count]);
    return count;
}
