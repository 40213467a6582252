#include "scaling_synthetic.h"

#include "scaling_bootstrap.h"

#include <math.h>
#include <stdlib.h>

enum { BATCH = 1 << 20 };
#define STEP_NOISE 0.03

double synthetic_factor(scaling_random *random, double sd, int lognormal)
{
    double z = scaling_random_normal(random);
    return lognormal ? exp(sd * z) : fmax(1.0 + sd * z, 0.01);
}

static double all_reduce(const synthetic_truth *truth, int n, double nbytes)
{
    return n > 1 ? truth->alpha_s * log2(n) + truth->beta_s_per_byte * nbytes * 2.0 * (n - 1.0) / n : 0.0;
}

double synthetic_step(const synthetic_truth *truth, int n, double *parts_s)
{
    double parts[SCALING_PART_COUNT], sum = 0.0, t1 = 0.0;
    for (int p = 0; p < SCALING_PART_COUNT; p++) {
        parts[p] = truth->fixed_s[p] + truth->divided_s[p] / (truth->mode == SCALING_WEAK ? 1.0 : n);
        t1 += truth->fixed_s[p] + truth->divided_s[p];
    }
    double left = all_reduce(truth, n, (double)truth->bytes) - truth->overlap * parts[SCALING_BACKWARD];
    parts[SCALING_IMBALANCE] += truth->imbalance_log_s * log2(n) + truth->jitter_s * log2(n) / n;
    parts[SCALING_REDUCE] += fmax(left, 0.0);
    parts[SCALING_REDUCE] += t1 * (truth->contention * (n - 1.0) / n + truth->coherency * (n - 1.0));
    for (int p = 0; p < SCALING_PART_COUNT; p++)
        sum += parts[p];
    for (int p = 0; parts_s && p < SCALING_PART_COUNT; p++)
        parts_s[p] = parts[p];
    return sum;
}

/* Steps around `step_s`, the median among them. */
static void add_steps(scaling_trial *trial, double step_s, const synthetic_noise *noise, scaling_random *random)
{
    double *sorted = malloc((size_t)noise->steps * sizeof *sorted);
    trial->steps_s = malloc((size_t)noise->steps * sizeof *trial->steps_s);
    trial->steps_count = noise->steps;
    if (!sorted || !trial->steps_s)
        abort();
    for (int i = 0; i < noise->steps; i++) {
        double step = step_s * synthetic_factor(random, STEP_NOISE, 0);
        if (scaling_random_below(random, 30) == 0)
            step *= 1.0 + 3.0 * scaling_random_uniform(random);
        trial->steps_s[i] = sorted[i] = step;
    }
    trial->step_s = scaling_median(sorted, noise->steps);
    free(sorted);
}

static void measure_all_reduce(const synthetic_truth *truth, scaling_trial *trial, const synthetic_noise *noise,
                               scaling_random *random)
{
    static const int64_t sizes[] = {1 << 10, 1 << 16, 1 << 20};
    for (int i = 0; i < 4 && truth->allreduce && trial->workers > 1; i++) {
        int64_t nbytes = i < 3 ? sizes[i] : truth->bytes;
        double seconds = all_reduce(truth, trial->workers, (double)nbytes);
        trial->allreduce[trial->allreduce_count++] =
            (scaling_allreduce){nbytes, seconds * synthetic_factor(random, noise->relative, noise->lognormal)};
    }
}

void synthetic_sweep(const synthetic_truth *truth, const int *workers, int count, int repeats,
                     const synthetic_noise *noise, scaling_random *random, scaling_sweep *sweep)
{
    sweep->mode = truth->mode;
    sweep->gradient_bytes = truth->bytes;
    for (int i = 0; i < count * repeats; i++) {
        int n = workers[i / repeats];
        scaling_trial trial = {
            .workers = n, .repeat = i % repeats, .nodes = 1, .threads = 1, .cores = n, .slowest = -1};
        double common = synthetic_factor(random, noise->relative, noise->lognormal);
        trial.batch = truth->mode == SCALING_WEAK ? (int64_t)n * 64 : BATCH;
        synthetic_step(truth, n, trial.parts_s);
        for (int p = 0; p < SCALING_PART_COUNT; p++) {
            trial.parts_s[p] *= common * synthetic_factor(random, noise->parts, noise->lognormal);
            trial.step_s += trial.parts_s[p];
        }
        if (noise->steps > 0)
            add_steps(&trial, trial.step_s, noise, random);
        measure_all_reduce(truth, &trial, noise, random);
        if (scaling_sweep_add(sweep, &trial) != BASE_OK)
            abort();
    }
}
