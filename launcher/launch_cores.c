#include "launch_cores.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The processors of `allowed` that share a core with `pu`; that alone where the topology knows no cores. */
static void core_of(hwloc_obj_t pu, hwloc_const_bitmap_t allowed, hwloc_bitmap_t core)
{
    hwloc_obj_t at = pu;
    while (at && at->type != HWLOC_OBJ_CORE)
        at = at->parent;
    hwloc_bitmap_and(core, at ? at->cpuset : pu->cpuset, allowed);
}

/* The cores that have a processor in `allowed`, in the order of the machine's tree, in which neighbours share caches
 * and memory; their number. `cores` has room for as many as there are processors. */
static int list_cores(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, hwloc_bitmap_t *cores)
{
    hwloc_bitmap_t seen = hwloc_bitmap_alloc();
    int count = 0;
    for (hwloc_obj_t pu = NULL; seen && (pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)) != NULL;) {
        if (!hwloc_bitmap_isset(allowed, pu->os_index) || hwloc_bitmap_isset(seen, pu->os_index))
            continue;
        cores[count] = hwloc_bitmap_alloc();
        if (!cores[count])
            break;
        core_of(pu, allowed, cores[count]);
        hwloc_bitmap_or(seen, seen, cores[count]);
        count++;
    }
    hwloc_bitmap_free(seen);
    return count;
}

static int print_part(hwloc_bitmap_t *cores, int count, FILE *to)
{
    hwloc_bitmap_t part = hwloc_bitmap_alloc();
    char *list = NULL;
    for (int i = 0; part && i < count; i++)
        hwloc_bitmap_or(part, part, cores[i]);
    int good = part && hwloc_bitmap_list_asprintf(&list, part) >= 0 && fputs(list, to) >= 0;
    free(list);
    hwloc_bitmap_free(part);
    return good;
}

/* The place on the machine of the first processor of `near`; -1: there is none. */
static int place_of(hwloc_topology_t topology, hwloc_const_bitmap_t near)
{
    for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)) != NULL;)
        if (hwloc_bitmap_isset(near, pu->os_index))
            return (int)pu->logical_index;
    return -1;
}

/* Which of the runs of cores each worker gets: turns[worker]. In their own order where a place is not known. */
static void order(hwloc_topology_t topology, const hwloc_bitmap_t *near, int workers, int *places, int *turns)
{
    int known = near != NULL;
    for (int i = 0; i < workers && known; i++)
        known = (places[i] = place_of(topology, near[i])) >= 0;
    for (int i = 0; i < workers; i++) {
        turns[i] = known ? 0 : i;
        for (int other = 0; other < workers && known; other++)
            turns[i] += places[other] < places[i] || (places[other] == places[i] && other < i);
    }
}

/* Runs of cores that differ in length by one at most: all workers wait for the one with the fewest. */
static int print_parts(hwloc_bitmap_t *cores, int count, const int *turns, int workers, char **text)
{
    size_t length;
    FILE *to = open_memstream(text, &length);
    int good = to != NULL;
    for (int i = 0; good && i < workers; i++) {
        int begin = (int)((int64_t)turns[i] * count / workers), end = (int)((int64_t)(turns[i] + 1) * count / workers);
        good = (i == 0 || fputc(';', to) != EOF) && print_part(cores + begin, end - begin, to);
    }
    if (to && fclose(to) != 0)
        good = 0;
    if (good)
        return 1;
    free(*text);
    *text = NULL;
    return 0;
}

base_status launch_cores_divide(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, int workers,
                                const hwloc_bitmap_t *near, char **text, int *count)
{
    int processors = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
    hwloc_bitmap_t *cores = processors > 0 ? calloc((size_t)processors, sizeof(hwloc_bitmap_t)) : NULL;
    int *places = calloc((size_t)workers, sizeof *places), *turns = calloc((size_t)workers, sizeof *turns);
    *text = NULL;
    *count = cores ? list_cores(topology, allowed, cores) : 0;
    int good = *count > 0 && places && turns;
    if (good && workers <= *count) {
        order(topology, near, workers, places, turns);
        good = print_parts(cores, *count, turns, workers, text);
    }
    for (int i = 0; i < *count; i++)
        hwloc_bitmap_free(cores[i]);
    free(cores);
    free(places);
    free(turns);
    return good ? BASE_OK : BASE_FAIL(BASE_ERROR, "cannot divide the cores among %d workers", workers);
}

static int allowed_here(hwloc_const_bitmap_t known, hwloc_bitmap_t allowed)
{
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) != 0)
        return 0;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &mask))
            hwloc_bitmap_set(allowed, cpu);
    hwloc_bitmap_and(allowed, allowed, known);
    return 1;
}

/* Processors near the device at `bus`; an empty set where the system does not say. */
static hwloc_bitmap_t near_device(const char *bus)
{
    char path[128], list[1024] = "";
    hwloc_bitmap_t near = hwloc_bitmap_alloc();
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/local_cpulist", bus);
    FILE *f = fopen(path, "re");
    if (near && (!f || !fgets(list, sizeof list, f) || hwloc_bitmap_list_sscanf(near, list) != 0))
        hwloc_bitmap_zero(near);
    if (f)
        fclose(f);
    return near;
}

/* As launch_cores_divide. */
static base_status divide_near(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, int workers,
                               const char *const *buses, int gpu_count, char **text, int *cores)
{
    hwloc_bitmap_t *near = gpu_count > 0 ? calloc((size_t)workers, sizeof(hwloc_bitmap_t)) : NULL;
    int made = 0;
    for (; near && made < workers; made++) {
        near[made] = near_device(buses[made % gpu_count]);
        if (!near[made])
            break;
        hwloc_bitmap_and(near[made], near[made], allowed);
    }
    base_status status = launch_cores_divide(topology, allowed, workers, made == workers ? near : NULL, text, cores);
    for (int i = 0; i < made; i++)
        hwloc_bitmap_free(near[i]);
    free(near);
    return status;
}

base_status launch_cores_plan(int workers, const char *const *buses, int gpu_count, char **text, int *cores)
{
    hwloc_topology_t topology;
    *text = NULL;
    if (hwloc_topology_init(&topology) != 0)
        return BASE_FAIL(BASE_ERROR, "cannot find the cores of this machine");
    hwloc_bitmap_t allowed = hwloc_bitmap_alloc();
    base_status status = BASE_ERROR;
    if (!allowed || hwloc_topology_load(topology) != 0 ||
        !allowed_here(hwloc_topology_get_allowed_cpuset(topology), allowed))
        status = BASE_FAIL(BASE_ERROR, "cannot find the cores of this machine");
    else
        status = divide_near(topology, allowed, workers, buses, gpu_count, text, cores);
    hwloc_bitmap_free(allowed);
    hwloc_topology_destroy(topology);
    return status;
}
