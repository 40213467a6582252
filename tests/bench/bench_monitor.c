/* bench_monitor.c: what the step loop pays for being watched, a step: phases that are stamped for a watcher and a record
 * in the ring, against phases alone. The fastest of REPEATS turns each; a step of training has eight phases here.
 */
#include "run_monitor.h"

#include <stdio.h>
#include <stdlib.h>

enum { REPEATS = 20, STEPS = 100000, PHASES = 8 };

static void make_step(base_phases *phases, run_monitor *monitor, run_monitor_record *record)
{
    base_phases_start(phases, BASE_PHASE_DATA);
    for (int i = 1; i < PHASES; i++)
        base_phases_switch(phases, (base_phase)i);
    if (!monitor)
        return;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        record->seconds[i] += phases->seconds[i];
    record->step++;
    record->clock = phases->since;
    run_monitor_add(monitor, record);
}

/* ns a step */
static double time_steps(run_monitor *monitor)
{
    double least = 0.0;
    for (int i = 0; i < REPEATS; i++) {
        base_phases phases = {.watch = monitor ? run_monitor_watch(monitor) : NULL};
        run_monitor_record record = {0};
        double start = base_time_now();
        for (int step = 0; step < STEPS; step++)
            make_step(&phases, monitor, &record);
        double seconds = base_time_now() - start;
        if (i == 0 || seconds < least)
            least = seconds;
    }
    return 1e9 * least / STEPS;
}

int main(void)
{
    run_monitor *monitor;
    if (run_monitor_create(&monitor) != BASE_OK)
        return EXIT_FAILURE;
    double alone = time_steps(NULL), watched = time_steps(monitor);
    printf("phases alone %.0f ns, watched %.0f ns a step\n", alone, watched);
    run_monitor_destroy(&monitor);
    return EXIT_SUCCESS;
}
