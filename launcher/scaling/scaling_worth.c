#include "scaling_worth.h"

#include <math.h>

/* Which of a figure: its value or an end of its interval. */
typedef enum which { LOW, VALUE, HIGH } which;

typedef struct search {
    const scaling_analysis *analysis;
    scaling_expectation *expectation; /* or NULL */
    double target;
    int most; /* largest n that is looked at */
} search;

static double part_of(const scaling_value *figure, which part)
{
    return part == LOW ? figure->low : part == HIGH ? figure->high : figure->value;
}

/* As measured; an interval that is not known is that of the expectation. */
static scaling_value measured(const search *self, const scaling_point *point)
{
    scaling_value e = point->efficiency;
    if (isnan(e.low) && self->expectation) {
        scaling_value expected = scaling_expectation_at(self->expectation, point->workers).efficiency;
        e.low = fmin(expected.low, e.value);
        e.high = fmax(expected.high, e.value);
    }
    return e;
}

static int is_expected(const search *self, int n, which part)
{
    scaling_value e = scaling_expectation_at(self->expectation, n).efficiency;
    return part_of(&e, part) >= self->target;
}

/* The last measured n that reaches the target, or 0; *next: the one after it, NULL for none. */
static int last_measured(const search *self, which part, const scaling_point **next)
{
    int last = self->target <= 1.0; /* E(1) = 1, measured or not */
    *next = NULL;
    for (int i = 0; i < self->analysis->point_count; i++) {
        const scaling_point *point = &self->analysis->points[i];
        if (!point->fitted)
            continue;
        scaling_value e = measured(self, point);
        if (part_of(&e, part) >= self->target) {
            last = point->workers;
            *next = NULL;
        } else if (!*next) {
            *next = point;
        }
    }
    return last;
}

/* The last n that is expected to reach the target, where `good` does and `bad` does not. */
static int halve(const search *self, int good, int bad, which part)
{
    while (bad - good > 1) {
        int middle = good + (bad - good) / 2;
        if (is_expected(self, middle, part))
            good = middle;
        else
            bad = middle;
    }
    return good;
}

static int find_beyond(const search *self, int from, which part)
{
    int good = from, bad = 0;
    for (int64_t n = 2 * (int64_t)from; n < 2 * (int64_t)self->most; n *= 2) {
        int at = n < self->most ? (int)n : self->most, is = is_expected(self, at, part);
        good = is ? at : good;
        bad = is ? 0 : bad == 0 ? at : bad;
    }
    return bad ? halve(self, good, bad, part) : good;
}

static int find_last(const search *self, which part)
{
    const scaling_point *next;
    int last = last_measured(self, part, &next);
    if (last == 0)
        return 0;
    return next ? halve(self, last, next->workers, part) : find_beyond(self, last, part);
}

/* With expectations at every n. */
static void find_by_expectation(const search *self, const scaling_observations *seen, scaling_analysis *out)
{
    int low = find_last(self, LOW), high = find_last(self, HIGH);
    out->worth_workers = find_last(self, VALUE);
    out->worth_interval = (scaling_value){out->worth_workers, low, high == self->most ? (double)INFINITY : high};
    if (low <= 1 && high == self->most && self->most > 1)
        scaling_refuse(&out->worth_law, seen, "the measurement allows anything from 1 worker to more than %d",
                       self->most);
}

/* Does the interval of a point hold the target, or is it not known? Refuses then. */
static int is_undecided(const search *self, const scaling_observations *seen, const scaling_point *point,
                        scaling_law *law)
{
    scaling_value e = point->efficiency;
    if (isnan(e.low))
        scaling_refuse(law, seen, "there are too few timings to tell how sure the efficiency on %d worker%s is",
                       point->workers, point->workers == 1 ? "" : "s");
    else if (e.low < self->target && e.high >= self->target)
        scaling_refuse(law, seen, "the efficiency on %d workers may be anything from %.3g to %.3g %%", point->workers,
                       100.0 * e.low, 100.0 * e.high);
    else
        return 0;
    return 1;
}

static void find_by_measurement(const search *self, const scaling_observations *seen, scaling_analysis *out)
{
    const scaling_point *next;
    int last = last_measured(self, VALUE, &next);
    out->worth_workers = last;
    out->worth_interval = (scaling_value){last, last, next ? next->workers - 1 : (double)INFINITY};
    for (int i = 0; i < out->point_count; i++) {
        const scaling_point *point = &out->points[i];
        int decides = point == next || (point->workers == last && last > 1);
        if (decides && is_undecided(self, seen, point, &out->worth_law))
            return;
    }
}

/* "Up to so many" says that fewer are worth it too: a measured number of workers among them that surely is not makes it
 * untrue. */
static void refuse_dip(const search *self, const scaling_observations *seen, const scaling_analysis *analysis,
                       scaling_law *law)
{
    for (int i = 0; law->ok && i < analysis->point_count; i++) {
        const scaling_point *point = &analysis->points[i];
        if (point->fitted && point->workers < analysis->worth_workers && point->efficiency.high < self->target)
            scaling_refuse(law, seen,
                           "the efficiency does not fall steadily with the number of workers: it is %.3g %% on %d, and "
                           "above %.3g %% on more",
                           100.0 * point->efficiency.value, point->workers, 100.0 * self->target);
    }
}

void scaling_worth_find(const scaling_observations *seen, scaling_expectation *expectation, scaling_analysis *analysis)
{
    search self = {analysis, expectation, analysis->target_efficiency, seen->largest};
    scaling_law *law = &analysis->worth_law;
    *law = (scaling_law){.ok = 1};
    for (int i = 0; i < analysis->prediction_count; i++)
        self.most = analysis->prediction[i].workers > self.most ? analysis->prediction[i].workers : self.most;
    if (!analysis->speedup_law.ok)
        *law = analysis->speedup_law;
    else if (seen->distinct < 2)
        scaling_refuse(law, seen, "the efficiency is not known");
    else if (expectation)
        find_by_expectation(&self, seen, analysis);
    else
        find_by_measurement(&self, seen, analysis);
    if (law->ok && analysis->worth_workers == 0)
        scaling_refuse(law, seen, "no number of workers has an efficiency of %.3g %%", 100.0 * self.target);
    refuse_dip(&self, seen, analysis, law);
    analysis->worth_most = self.most;
    analysis->worth_beyond = law->ok && analysis->worth_workers == self.most;
}
