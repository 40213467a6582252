#include "coordinator_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A rank is slow whose own time is above the median by more than this share of it, and by more than so many median
 * absolute deviations, which is what chance does to some rank; it is a straggler after so many windows in a row. */
#define SLOWER_THAN 0.05
#define COSTS 0.02 /* and without which a step would take so much less */
#define DEVIATIONS 3.0
enum { WINDOWS = 3 };

static const base_phase own_phases[] = {BASE_PHASE_DATA, BASE_PHASE_FORWARD, BASE_PHASE_BACKWARD, BASE_PHASE_UPDATE,
                                        BASE_PHASE_OTHER};
enum { OWN_PHASES = sizeof own_phases / sizeof *own_phases };

/* The ranks that take part in a round, and a place to sort numbers of them. */
typedef struct field {
    coordinator_rank **ranks;
    int count;
    double *numbers; /* (count) */
} field;

double coordinator_straggler_own(const double phases[BASE_PHASE_COUNT])
{
    double sum = 0.0;
    for (int i = 0; i < OWN_PHASES; i++)
        sum += phases[own_phases[i]];
    return sum;
}

static double own_time(const coordinator_rank *rank)
{
    return coordinator_straggler_own(rank->window.phases) / (double)rank->window.steps;
}

/* Of a step, without what lies between steps. */
static double step_time(const coordinator_rank *rank)
{
    const double *phases = rank->window.phases;
    return own_time(rank) + (phases[BASE_PHASE_WAIT] + phases[BASE_PHASE_REDUCE]) / (double)rank->window.steps;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of field->numbers, which are sorted by it. */
static double median(field *self)
{
    qsort(self->numbers, (size_t)self->count, sizeof *self->numbers, ascending);
    return 0.5 * (self->numbers[(self->count - 1) / 2] + self->numbers[self->count / 2]);
}

/* Of two ranks the other one is the measure. */
static const coordinator_rank *other_of_two(const field *self, const coordinator_rank *rank)
{
    return self->count == 2 ? self->ranks[self->ranks[0] == rank] : NULL;
}

static double typical_phase(field *self, const coordinator_rank *rank, base_phase phase)
{
    const coordinator_rank *other = other_of_two(self, rank);
    if (other)
        return other->window.phases[phase] / (double)other->window.steps;
    for (int i = 0; i < self->count; i++)
        self->numbers[i] = self->ranks[i]->window.phases[phase] / (double)self->ranks[i]->window.steps;
    return median(self);
}

static coordinator_straggler describe(field *self, const coordinator_rank *rank, double typical)
{
    coordinator_straggler to = {.rank = rank->rank, .cost = (own_time(rank) - typical) / step_time(rank)};
    double most = -INFINITY;
    for (int i = 0; i < OWN_PHASES; i++) {
        base_phase phase = own_phases[i];
        double usual = typical_phase(self, rank, phase);
        double excess = rank->window.phases[phase] / (double)rank->window.steps - usual;
        if (excess <= most)
            continue;
        most = excess;
        to.phase = phase;
        /* Where the others spend nothing at all in it, it is measured against all that they do. */
        to.slower = excess / (usual > 0.0 ? usual : typical);
    }
    return to;
}

/* By cost, the largest first; the least of too many falls out. */
static void insert(coordinator_run *run, const coordinator_straggler *straggler)
{
    int at = run->straggler_count;
    while (at > 0 && run->stragglers[at - 1].cost < straggler->cost)
        at--;
    if (at == COORDINATOR_STRAGGLERS)
        return;
    if (run->straggler_count < COORDINATOR_STRAGGLERS)
        run->straggler_count++;
    memmove(&run->stragglers[at + 1], &run->stragglers[at],
            (size_t)(run->straggler_count - 1 - at) * sizeof *run->stragglers);
    run->stragglers[at] = *straggler;
}

static void judge(coordinator_run *run, field *self)
{
    for (int i = 0; i < self->count; i++)
        self->numbers[i] = own_time(self->ranks[i]);
    double middle = median(self);
    for (int i = 0; i < self->count; i++)
        self->numbers[i] = fabs(self->numbers[i] - middle);
    double deviation = self->count > 2 ? median(self) : 0.0;
    run->straggler_count = 0;
    for (int i = 0; i < self->count; i++) {
        coordinator_rank *rank = self->ranks[i];
        const coordinator_rank *other = other_of_two(self, rank);
        double typical = other ? own_time(other) : middle;
        double excess = own_time(rank) - typical;
        rank->fresh = 0;
        int slow =
            excess > SLOWER_THAN * typical && excess > DEVIATIONS * deviation && excess > COSTS * step_time(rank);
        rank->slow = slow ? rank->slow + 1 : 0;
        if (rank->slow >= WINDOWS) {
            coordinator_straggler straggler = describe(self, rank, typical);
            insert(run, &straggler);
        }
    }
}

static int takes_part(const coordinator_run *run, const coordinator_rank *rank, double now)
{
    return now - rank->heard <= 2.0 * coordinator_run_late(run);
}

void coordinator_straggler_judge(coordinator_run *run, double now)
{
    size_t count = 0;
    for (int i = 0; i < run->rank_count; i++) {
        if (!takes_part(run, run->ranks[i], now))
            continue;
        if (!run->ranks[i]->fresh)
            return;
        count++;
    }
    if (count < 2)
        return;
    field self = {.ranks = malloc(count * sizeof *self.ranks), .numbers = malloc(count * sizeof *self.numbers)};
    if (self.ranks && self.numbers) {
        for (int i = 0; i < run->rank_count; i++)
            if (takes_part(run, run->ranks[i], now))
                self.ranks[self.count++] = run->ranks[i];
        judge(run, &self);
    }
    free(self.ranks);
    free(self.numbers);
}
