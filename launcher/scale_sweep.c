#include "scale_sweep.h"

#include "base_json.h"
#include "base_log.h"
#include "base_time.h"
#include "run_environment.h"
#include "scale_schedule.h"

#include <stdlib.h>

enum { WARM_STEPS = 10, SEED = 1 };

/* Half of the interval, as a part of the step, that is narrow enough; and the trials that it needs at least, since what
 * differs from start to start cannot be seen in one. */
static const double narrow = 0.01;
enum { NARROW_TRIALS = 2 };

/* Where memory is too short to tell, it is not. */
static int is_narrow(const scaling_sweep *sweep, int workers)
{
    int count = 0, enough = 0;
    scaling_value step;
    scaling_trial *trials = calloc((size_t)sweep->count + 1, sizeof *trials);
    for (int i = 0; trials && i < sweep->count; i++)
        if (sweep->trials[i].workers == workers)
            trials[count++] = sweep->trials[i];
    if (count >= NARROW_TRIALS && scaling_step_interval(trials, count, SEED, &step) == BASE_OK)
        enough = 0.5 * (step.high - step.low) <= narrow * step.value;
    free(trials);
    return enough;
}

/* The warm-up shows that it can be done and has the machine awake. */
static base_status warm_up(const scale_runner *runner, const scale_options *options, scaling_sweep *sweep)
{
    BASE_TRY(runner->run(runner->self, options->workers[options->worker_count - 1], 0, WARM_STEPS, sweep));
    if (sweep->count > 0)
        free(sweep->trials[--sweep->count].steps_s);
    return BASE_OK;
}

static void print_trial(const scaling_trial *trial, const scale_options *options, const scale_schedule *schedule)
{
    char left[64] = "";
    double seconds = scale_schedule_left(schedule);
    if (scale_schedule_next(schedule) >= 0)
        snprintf(left, sizeof left, seconds < 90.0 ? "; about %.0f s left" : "; about %.0f min left",
                 seconds < 90.0 ? seconds : seconds / 60.0);
    BASE_INFO("%d worker%s, trial %d of %d: %.*f ms a step%s", trial->workers, trial->workers == 1 ? "" : "s",
              trial->repeat + 1, options->repeats, trial->step_s < 0.1 ? 3 : 1, 1e3 * trial->step_s, left);
}

static base_status next_trial(const scale_runner *runner, const scale_options *options, const scale_keeper *keeper,
                              scale_schedule *schedule, scaling_sweep *sweep)
{
    int point = scale_schedule_next(schedule), workers = options->workers[point], enough = 0;
    double began = base_time_now();
    BASE_TRY(runner->run(runner->self, workers, schedule->done[point], options->steps, sweep));
    if (sweep->count > 0) /* on rank 0 */
        enough = is_narrow(sweep, workers);
    if (runner->share)
        BASE_TRY(runner->share(runner->self, &enough));
    scale_schedule_done(schedule, base_time_now() - began, enough);
    if (sweep->count > 0 && !options->trials_only)
        print_trial(&sweep->trials[sweep->count - 1], options, schedule);
    if (sweep->count > 0)
        keeper->keep(keeper->self);
    return BASE_OK;
}

base_status scale_sweep_run(const scale_runner *runner, const scale_options *options, const scale_keeper *keeper,
                            scaling_sweep *sweep)
{
    scale_schedule schedule;
    scale_schedule_start(&schedule, options->worker_count, options->repeats, SEED);
    if (!options->trials_only)
        BASE_TRY(warm_up(runner, options, sweep));
    while (scale_schedule_next(&schedule) >= 0)
        BASE_TRY(next_trial(runner, options, keeper, &schedule, sweep));
    return BASE_OK;
}

void scale_sweep_warn(scaling_sweep *sweep, const char *text)
{
    if (!sweep->environment)
        return;
    json_t *warnings = json_object_get(sweep->environment, "warnings");
    if (!warnings && json_object_set_new(sweep->environment, "warnings", json_array()) == 0)
        warnings = json_object_get(sweep->environment, "warnings");
    json_array_append_new(warnings, base_json_text(text));
}
