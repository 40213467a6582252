#include "bench.h"

#include "base_arena.h"
#include "base_time.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES_MAX = 64, ITERATIONS_LEAST = 5, ITERATIONS_MOST = 1000, TIMEOUT_MS = 60 * 1000 };
static const double seconds_a_size = 0.3;
static const size_t bytes_most = (size_t)1 << 30;

typedef struct allreduce_options {
    comm_kind kind;
    int size_count;
    size_t sizes[SIZES_MAX]; /* bytes */
    int json, help;
} allreduce_options;

typedef enum sum_form { FORM_ALLREDUCE, FORM_SHARDED, FORM_COUNT } sum_form;
static const char *const form_names[FORM_COUNT] = {"allreduce", "sharded"};

/* Seconds of the slowest rank. */
typedef struct timing {
    int iterations;
    double min, median;
} timing;

typedef struct bench {
    base_arena *arena;
    comm_group *group;
    comm_slab *gradients, *params;
    double *times; /* (ITERATIONS_MOST) */
} bench;

/* ---- command line ---- */

static base_status add_size(allreduce_options *options, const char *text, size_t length)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    end += shift != 0;
    if (length == 0 || *text < '0' || *text > '9' || (size_t)(end - text) != length || n > bytes_most ||
        (n << shift) % sizeof(float) != 0 || n == 0 || n << shift > bytes_most)
        return BASE_FAIL(BASE_USAGE,
                         "--sizes: '%.*s': a size is 4 to 1G bytes, a multiple of 4, with K, M or G for powers of "
                         "1024, e.g. 4,64K,16M",
                         (int)length, text);
    if (options->size_count == SIZES_MAX)
        return BASE_FAIL(BASE_USAGE, "--sizes: at most %d sizes", SIZES_MAX);
    options->sizes[options->size_count++] = (size_t)n << shift;
    return BASE_OK;
}

static base_status parse_sizes(allreduce_options *options, const char *text)
{
    options->size_count = 0;
    for (;; text++) {
        size_t length = strcspn(text, ",");
        BASE_TRY(add_size(options, text, length));
        text += length;
        if (*text == '\0')
            return BASE_OK;
    }
}

static base_status parse_kind(allreduce_options *options, const char *text)
{
    static const comm_kind kinds[] = {COMM_AUTO, COMM_LOCAL, COMM_SHM, COMM_MPI};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(text, comm_kind_name(kinds[i])) == 0) {
            options->kind = kinds[i];
            return BASE_OK;
        }
    return BASE_FAIL(BASE_USAGE, "--comm = '%s': must be auto, local, shm or mpi", text);
}

static base_status parse(int argc, char **argv, allreduce_options *options)
{
    static const struct option known[] = {{"sizes", required_argument, NULL, 's'},
                                          {"comm", required_argument, NULL, 'c'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *options = (allreduce_options){.kind = COMM_AUTO};
    BASE_TRY(parse_sizes(options, "4,64,1K,16K,64K,256K,1M,4M,16M,64M"));
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":s:c:h", known, NULL)) != -1;) {
        switch (c) {
        case 's': BASE_TRY(parse_sizes(options, optarg)); break;
        case 'c': BASE_TRY(parse_kind(options, optarg)); break;
        case 'j': options->json = 1; break;
        case 'h': options->help = 1; return BASE_OK;
        default: return command_bad_option("bench allreduce", argv, optind);
        }
    }
    if (optind < argc)
        return BASE_FAIL(BASE_USAGE, "ddpt bench allreduce takes no operand, but got '%s'; see: ddpt help bench",
                         argv[optind]);
    return BASE_OK;
}

/* ---- measurement ---- */

static base_status run_once(bench *self, sum_form form, size_t count)
{
    comm_request *request;
    if (form == FORM_ALLREDUCE) {
        BASE_TRY(comm_all_reduce_start(self->group, self->gradients, 0, count, &request));
        return comm_request_wait(&request);
    }
    BASE_TRY(comm_reduce_scatter_start(self->group, self->gradients, 0, count, &request));
    BASE_TRY(comm_request_wait(&request));
    BASE_TRY(comm_all_gather_start(self->group, self->params, 0, count, NULL, &request));
    return comm_request_wait(&request);
}

/* A benchmark of wrong sums is worth nothing. Leaves zeros, which stay zeros however often they are summed. */
static base_status check_sums(bench *self, size_t count)
{
    float *data = comm_slab_data(self->gradients);
    int size = comm_group_size(self->group);
    for (size_t i = 0; i < count; i++)
        data[i] = (float)(comm_group_rank(self->group) + 1);
    BASE_TRY(run_once(self, FORM_ALLREDUCE, count));
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong += data[i] != 0.5f * (float)size * (float)(size + 1);
    memset(data, 0, count * sizeof *data);
    if (wrong)
        return BASE_FAIL(BASE_ERROR,
                         "the all-reduce of %zu floats gave %zu wrong sums: this is a bug of ddpt or of the MPI "
                         "library",
                         count, wrong);
    return BASE_OK;
}

static base_status time_once(bench *self, sum_form form, size_t count, double *seconds)
{
    BASE_TRY(comm_barrier(self->group));
    double began = base_time_now();
    BASE_TRY(run_once(self, form, count));
    *seconds = base_time_now() - began;
    return BASE_OK;
}

/* All ranks must do the same number of iterations, so they go by the slowest. */
static base_status count_iterations(bench *self, sum_form form, size_t count, int *iterations)
{
    double warm = 0.0, seconds = 0.0;
    for (int i = 0; i < 3; i++) {
        BASE_TRY(time_once(self, form, count, &seconds));
        warm = i == 0 || seconds < warm ? seconds : warm;
    }
    BASE_TRY(comm_small_all_reduce(self->group, &warm, 1, COMM_F64, COMM_MAX));
    double wanted = seconds_a_size / (warm + 1e-9);
    *iterations = wanted > ITERATIONS_MOST    ? ITERATIONS_MOST
                  : wanted < ITERATIONS_LEAST ? ITERATIONS_LEAST
                                              : (int)wanted;
    return BASE_OK;
}

static base_status measure(bench *self, sum_form form, size_t count, timing *result)
{
    BASE_TRY(count_iterations(self, form, count, &result->iterations));
    for (int i = 0; i < result->iterations; i++)
        BASE_TRY(time_once(self, form, count, &self->times[i]));
    BASE_TRY(comm_small_all_reduce(self->group, self->times, (size_t)result->iterations, COMM_F64, COMM_MAX));
    result->median = bench_median(self->times, result->iterations);
    result->min = self->times[0];
    return BASE_OK;
}

static base_status open_bench(bench *self, comm_world *world, const allreduce_options *options)
{
    size_t most = 0;
    for (int i = 0; i < options->size_count; i++)
        most = options->sizes[i] > most ? options->sizes[i] : most;
    BASE_TRY(base_arena_create(&self->arena, "benchmark"));
    self->times = BASE_NEW_ARRAY(self->arena, double, ITERATIONS_MOST);
    BASE_TRY(comm_world_agree(world, self->times ? BASE_OK : BASE_ERROR));
    comm_group_options group = {.kind = options->kind, .timeout_ms = TIMEOUT_MS};
    BASE_TRY(comm_group_create(world, &group, &self->group));
    BASE_TRY(comm_slab_create(self->group, COMM_SLAB_OWN, COMM_F32, most / sizeof(float), &self->gradients));
    return comm_slab_create(self->group, COMM_SLAB_ONE, COMM_F32, most / sizeof(float), &self->params);
}

static void close_bench(bench *self)
{
    comm_slab_destroy(&self->params);
    comm_slab_destroy(&self->gradients);
    comm_group_destroy(&self->group);
    base_arena_destroy(&self->arena);
}

/* ---- report ---- */

static double bus_factor(int size)
{
    return 2.0 * (double)(size - 1) / (double)size;
}

static const char *size_text(size_t nbytes, char text[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    int unit = 0;
    while (unit < 3 && nbytes >= 1024 && nbytes % 1024 == 0) {
        nbytes /= 1024;
        unit++;
    }
    snprintf(text, 32, "%zu %s", nbytes, units[unit]);
    return text;
}

static void print_head(const bench *self, const comm_world_info *info)
{
    printf("%d rank%s on %d node%s, comm %s, floats; times in us, the slowest rank's; bandwidths in GB/s\n\n",
           info->size, info->size == 1 ? "" : "s", info->nodes, info->nodes == 1 ? "" : "s",
           comm_kind_name(comm_group_kind(self->group)));
    printf("%10s | %-43s | %-43s\n%10s |", "", "all-reduce", "sharded (reduce-scatter, all-gather)", "size");
    for (int f = 0; f < FORM_COUNT; f++)
        printf(" %10s %10s %10s %10s%s", "min", "median", "algorithm", "bus", f + 1 < FORM_COUNT ? " |" : "\n");
}

static void print_line(int ranks, size_t nbytes, const timing timings[FORM_COUNT])
{
    char text[32];
    printf("%10s |", size_text(nbytes, text));
    for (int f = 0; f < FORM_COUNT; f++) {
        double rate = 1e-9 * (double)nbytes / timings[f].median;
        printf(" %10.1f %10.1f %10.3f %10.3f%s", 1e6 * timings[f].min, 1e6 * timings[f].median, rate,
               rate * bus_factor(ranks), f + 1 < FORM_COUNT ? " |" : "\n");
    }
    fflush(stdout);
}

static json_t *line_json(int ranks, size_t nbytes, const timing timings[FORM_COUNT])
{
    json_t *json = json_object();
    json_object_set_new(json, "nbytes", json_integer((json_int_t)nbytes));
    for (int f = 0; f < FORM_COUNT; f++) {
        double rate = 1e-9 * (double)nbytes / timings[f].median;
        json_t *one = json_object();
        json_object_set_new(one, "iterations", json_integer(timings[f].iterations));
        json_object_set_new(one, "min_us", json_real(1e6 * timings[f].min));
        json_object_set_new(one, "median_us", json_real(1e6 * timings[f].median));
        json_object_set_new(one, "algorithm_gbytes_per_second", json_real(rate));
        json_object_set_new(one, "bus_gbytes_per_second", json_real(rate * bus_factor(ranks)));
        json_object_set_new(json, form_names[f], one);
    }
    return json;
}

static base_status measure_all(bench *self, const comm_world_info *info, const allreduce_options *options,
                               json_t *points)
{
    int prints = info->rank == 0 && !options->json;
    if (prints)
        print_head(self, info);
    for (int i = 0; i < options->size_count; i++) {
        timing timings[FORM_COUNT] = {0};
        size_t count = options->sizes[i] / sizeof(float);
        BASE_TRY(check_sums(self, count));
        for (int f = 0; f < FORM_COUNT; f++)
            BASE_TRY(measure(self, (sum_form)f, count, &timings[f]));
        json_array_append_new(points, line_json(info->size, options->sizes[i], timings));
        if (prints)
            print_line(info->size, options->sizes[i], timings);
    }
    return BASE_OK;
}

static base_status print_json(const bench *self, const comm_world_info *info, json_t *points)
{
    json_t *json = json_object();
    json_object_set_new(json, "schema", json_string("ddpt.bench.allreduce.v1"));
    json_object_set_new(json, "world_size", json_integer(info->size));
    json_object_set_new(json, "nodes", json_integer(info->nodes));
    json_object_set_new(json, "comm", json_string(comm_kind_name(comm_group_kind(self->group))));
    json_object_set_new(json, "mpi", json_string(info->library));
    json_object_set_new(json, "points", json_incref(points));
    return command_print_json(json);
}

base_status bench_allreduce(int argc, char **argv)
{
    allreduce_options options;
    comm_world *world;
    bench self = {0};
    BASE_TRY(parse(argc, argv, &options));
    if (options.help)
        return fputs(command_bench.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    BASE_TRY(command_open_world(&world));
    const comm_world_info *info = comm_world_get_info(world);
    json_t *points = json_array();
    base_status status = open_bench(&self, world, &options);
    if (status == BASE_OK)
        status = measure_all(&self, info, &options, points);
    if (status == BASE_OK && options.json && info->rank == 0)
        status = print_json(&self, info, points);
    json_decref(points);
    /* What is left of a group that lost a rank cannot be taken down together. */
    if (status != BASE_PEER)
        close_bench(&self);
    return status;
}
