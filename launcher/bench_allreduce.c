#include "bench.h"

#include "bench_collective.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES_MAX = 64 };
static const double seconds_a_size = 0.3;
static const size_t bytes_most = (size_t)1 << 30;

typedef struct allreduce_options {
    comm_kind kind;
    int size_count;
    size_t sizes[SIZES_MAX]; /* bytes */
    int json, help;
} allreduce_options;

static const char *const form_names[BENCH_FORM_COUNT] = {"allreduce", "sharded"};

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

static void print_head(const bench_collective *self, const comm_world_info *info)
{
    printf("%d rank%s on %d node%s, comm %s, floats; times in us, the slowest rank's; bandwidths in GB/s\n\n",
           info->size, info->size == 1 ? "" : "s", info->nodes, info->nodes == 1 ? "" : "s",
           comm_kind_name(comm_group_kind(self->group)));
    printf("%10s | %-43s | %-43s\n%10s |", "", "all-reduce", "sharded (reduce-scatter, all-gather)", "size");
    for (int f = 0; f < BENCH_FORM_COUNT; f++)
        printf(" %10s %10s %10s %10s%s", "min", "median", "algorithm", "bus", f + 1 < BENCH_FORM_COUNT ? " |" : "\n");
}

static void print_line(int ranks, size_t nbytes, const bench_timing timings[BENCH_FORM_COUNT])
{
    char text[32];
    printf("%10s |", size_text(nbytes, text));
    for (int f = 0; f < BENCH_FORM_COUNT; f++) {
        double rate = 1e-9 * (double)nbytes / timings[f].median;
        printf(" %10.1f %10.1f %10.3f %10.3f%s", 1e6 * timings[f].min, 1e6 * timings[f].median, rate,
               rate * bus_factor(ranks), f + 1 < BENCH_FORM_COUNT ? " |" : "\n");
    }
    fflush(stdout);
}

static json_t *line_json(int ranks, size_t nbytes, const bench_timing timings[BENCH_FORM_COUNT])
{
    json_t *json = json_object();
    json_object_set_new(json, "nbytes", json_integer((json_int_t)nbytes));
    for (int f = 0; f < BENCH_FORM_COUNT; f++) {
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

static base_status measure_all(bench_collective *self, const comm_world_info *info, const allreduce_options *options,
                               json_t *points)
{
    int prints = info->rank == 0 && !options->json;
    if (prints)
        print_head(self, info);
    for (int i = 0; i < options->size_count; i++) {
        bench_timing timings[BENCH_FORM_COUNT] = {0};
        size_t count = options->sizes[i] / sizeof(float);
        BASE_TRY(bench_collective_check(self, count));
        for (int f = 0; f < BENCH_FORM_COUNT; f++)
            BASE_TRY(bench_collective_measure(self, (bench_form)f, count, seconds_a_size, &timings[f]));
        json_array_append_new(points, line_json(info->size, options->sizes[i], timings));
        if (prints)
            print_line(info->size, options->sizes[i], timings);
    }
    return BASE_OK;
}

static base_status print_json(const bench_collective *self, const comm_world_info *info, json_t *points)
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

static size_t most_bytes(const allreduce_options *options)
{
    size_t most = 0;
    for (int i = 0; i < options->size_count; i++)
        most = options->sizes[i] > most ? options->sizes[i] : most;
    return most;
}

base_status bench_allreduce(int argc, char **argv)
{
    allreduce_options options;
    comm_world *world;
    bench_collective self;
    BASE_TRY(parse(argc, argv, &options));
    if (options.help)
        return fputs(command_bench.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    BASE_TRY(command_open_world(&world));
    const comm_world_info *info = comm_world_get_info(world);
    json_t *points = json_array();
    base_status status =
        bench_collective_open(world, options.kind, &(comm_device){0}, most_bytes(&options) / sizeof(float), &self);
    if (status == BASE_OK)
        status = measure_all(&self, info, &options, points);
    if (status == BASE_OK && options.json && info->rank == 0)
        status = print_json(&self, info, points);
    json_decref(points);
    /* What is left of a group that lost a rank cannot be taken down together. */
    if (status != BASE_PEER)
        bench_collective_close(&self);
    return status;
}
