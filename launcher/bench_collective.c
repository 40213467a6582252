#include "bench_collective.h"

#include "base_time.h"
#include "bench.h"

#include <string.h>

enum { ITERATIONS_LEAST = 5, ITERATIONS_MOST = 1000, TIMEOUT_MS = 60 * 1000 };

base_status bench_collective_open(comm_world *world, comm_kind kind, const comm_device *device, size_t count_max,
                                  bench_collective *self)
{
    *self = (bench_collective){.device = *device};
    BASE_TRY(base_arena_create(&self->arena, "benchmark"));
    self->times = BASE_NEW_ARRAY(self->arena, double, ITERATIONS_MOST);
    self->values = BASE_NEW_ARRAY(self->arena, float, count_max);
    BASE_TRY(comm_world_agree(world, self->times && self->values ? BASE_OK : BASE_ERROR));
    comm_group_options group = {.kind = kind, .timeout_ms = TIMEOUT_MS, .device = *device};
    BASE_TRY(comm_group_create(world, &group, &self->group));
    BASE_TRY(comm_slab_create(self->group, COMM_SLAB_OWN, COMM_F32, count_max, &self->gradients));
    return comm_slab_create(self->group, COMM_SLAB_ONE, COMM_F32, count_max, &self->params);
}

void bench_collective_close(bench_collective *self)
{
    comm_slab_destroy(&self->params);
    comm_slab_destroy(&self->gradients);
    comm_group_destroy(&self->group);
    base_arena_destroy(&self->arena);
}

static base_status run_once(bench_collective *self, bench_form form, size_t count)
{
    comm_request *request;
    if (form == BENCH_ALLREDUCE) {
        BASE_TRY(comm_all_reduce_start(self->group, self->gradients, 0, count, &request));
        return comm_request_wait(&request);
    }
    BASE_TRY(comm_reduce_scatter_start(self->group, self->gradients, 0, count, &request));
    BASE_TRY(comm_request_wait(&request));
    BASE_TRY(comm_all_gather_start(self->group, self->params, 0, count, NULL, &request));
    return comm_request_wait(&request);
}

/* Between the memory of the host and that of the device. */
static base_status move(bench_collective *self, void *to, const void *from, size_t count)
{
    const comm_device *device = &self->device;
    if (device->table)
        BASE_TRY(device->table->copy(device->device, device->stream, to, from, count * sizeof(float)));
    else
        memcpy(to, from, count * sizeof(float));
    return comm_group_synchronize(self->group);
}

base_status bench_collective_check(bench_collective *self, size_t count)
{
    int size = comm_group_size(self->group);
    for (size_t i = 0; i < count; i++)
        self->values[i] = (float)(comm_group_rank(self->group) + 1);
    BASE_TRY(move(self, comm_slab_data(self->gradients), self->values, count));
    BASE_TRY(run_once(self, BENCH_ALLREDUCE, count));
    BASE_TRY(move(self, self->values, comm_slab_data(self->gradients), count));
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong += self->values[i] != 0.5f * (float)size * (float)(size + 1);
    memset(self->values, 0, count * sizeof *self->values);
    BASE_TRY(move(self, comm_slab_data(self->gradients), self->values, count));
    if (wrong)
        return BASE_FAIL(BASE_ERROR,
                         "the all-reduce of %zu floats gave %zu wrong sums: this is a bug of ddpt or of the MPI "
                         "library",
                         count, wrong);
    return BASE_OK;
}

static base_status time_once(bench_collective *self, bench_form form, size_t count, double *seconds)
{
    BASE_TRY(comm_barrier(self->group));
    double began = base_time_now();
    BASE_TRY(run_once(self, form, count));
    BASE_TRY(comm_group_synchronize(self->group));
    *seconds = base_time_now() - began;
    return BASE_OK;
}

/* All ranks must do the same number of iterations, so they go by the slowest. */
static base_status count_iterations(bench_collective *self, bench_form form, size_t count, double seconds_wanted,
                                    int *iterations)
{
    double warm = 0.0, seconds = 0.0;
    for (int i = 0; i < 3; i++) {
        BASE_TRY(time_once(self, form, count, &seconds));
        warm = i == 0 || seconds < warm ? seconds : warm;
    }
    BASE_TRY(comm_small_all_reduce(self->group, &warm, 1, COMM_F64, COMM_MAX));
    double wanted = seconds_wanted / (warm + 1e-9);
    *iterations = wanted > ITERATIONS_MOST    ? ITERATIONS_MOST
                  : wanted < ITERATIONS_LEAST ? ITERATIONS_LEAST
                                              : (int)wanted;
    return BASE_OK;
}

base_status bench_collective_measure(bench_collective *self, bench_form form, size_t count, double seconds,
                                     bench_timing *timing)
{
    BASE_TRY(count_iterations(self, form, count, seconds, &timing->iterations));
    for (int i = 0; i < timing->iterations; i++)
        BASE_TRY(time_once(self, form, count, &self->times[i]));
    BASE_TRY(comm_small_all_reduce(self->group, self->times, (size_t)timing->iterations, COMM_F64, COMM_MAX));
    timing->median = bench_median(self->times, timing->iterations);
    timing->min = self->times[0];
    return BASE_OK;
}
