#include "bench.h"
#include "bench_device.h"

#include "base_pool.h"

#include <getopt.h>

typedef struct memory_options {
    int on_gpu, json, help;
} memory_options;

#define SECONDS 0.25
enum { COPY_BYTES = 512 << 20 }; /* many times what a cache holds */

static base_status parse(int argc, char **argv, memory_options *options)
{
    static const struct option known[] = {{"device", required_argument, NULL, 'd'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        switch (c) {
        case 'd': BASE_TRY(bench_device_parse(optarg, &options->on_gpu)); break;
        case 'j': options->json = 1; break;
        case 'h': options->help = 1; return BASE_OK;
        default: return command_bad_option("bench memory", argv, optind);
        }
    }
    if (optind < argc)
        return BASE_FAIL(BASE_USAGE, "ddpt bench memory takes no operand, but got '%s'; see: ddpt help bench",
                         argv[optind]);
    return BASE_OK;
}

static base_status measure_host(int threads, double *rate)
{
    base_pool *pool = NULL;
    BASE_TRY(base_pool_create(&pool, threads));
    base_status status = run_measure_memory(pool, SECONDS, rate);
    base_pool_destroy(&pool);
    return status;
}

static base_status measure_gpu(bench_device *device, double *rate)
{
    base_status status = bench_device_open(device, OPS_FP32);
    if (status == BASE_OK)
        status = run_measure_device_memory(&device->on, COPY_BYTES, rate);
    bench_device_close(device);
    return status;
}

static base_status measure_and_print(const void *given, int threads)
{
    const memory_options *options = given;
    bench_device device;
    double rate;
    BASE_TRY(options->on_gpu ? measure_gpu(&device, &rate) : measure_host(threads, &rate));
    const char *how = options->on_gpu ? "copy" : "triad";
    if (!options->json) {
        printf("%s: %.1f GB/s, read and written together\n", how, rate);
        return BASE_OK;
    }
    json_t *json = json_object();
    json_object_set_new(json, "schema", json_string("ddpt.bench.memory.v1"));
    if (options->on_gpu)
        json_object_set_new(json, "gpu", json_string(device.gpu.name));
    else
        json_object_set_new(json, "threads", json_integer(threads));
    json_object_set_new(json, "how", json_string(how));
    json_object_set_new(json, "gbytes_per_second", json_real(rate));
    return command_print_json(json);
}

base_status bench_memory(int argc, char **argv)
{
    memory_options options = {0};
    BASE_TRY(parse(argc, argv, &options));
    if (options.help)
        return fputs(command_bench.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    return bench_alone(0, measure_and_print, &options);
}
