#include "bench.h"
#include "bench_device.h"
#include "bench_host.h"

#include "run_measure.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>

typedef struct gemm_options {
    long long m, n, k, threads; /* 0: not given */
    ops_precision precision;
    int on_gpu, json, help;
} gemm_options;

typedef struct gemm_shape {
    int64_t m, n, k;
} gemm_shape;

/* c (M, N) = a (M, K) b (K, N). A dense layer of a small and of a large batch, a wide one, a square one, the gradient
 * of a square one's weights, and the yardstick of MFU. */
static const gemm_shape usual[] = {{128, 512, 784},   {64, 512, 784},    {16, 512, 784},    {128, 4096, 784},
                                   {128, 4096, 4096}, {4096, 4096, 128}, {1024, 1024, 1024}};
enum { USUAL_COUNT = sizeof usual / sizeof *usual, WAY_COUNT = 3 };

/* What multiplies: a library in fp32, ddpt's own kernels in bf16. */
typedef struct gemm_way {
    const char *name, *library;
    ops_precision precision;
} gemm_way;

static const gemm_way on_host[WAY_COUNT] = {
    {"openblas", "openblas", OPS_FP32}, {"onednn", "onednn", OPS_FP32}, {"bf16", "auto", OPS_BF16}};
#define SECONDS 0.25

/* What was measured on: rates[columns] a shape, in GFLOP/s; NaN for a library that is not in this build,
 * and for bf16 where the cpu has none. */
typedef struct gemm_results {
    const char *precision;
    int threads;
    char gpu[128]; /* "": on this many threads */
    int columns;
    const gemm_way *ways; /* one a column */
    const gemm_shape *shapes;
    int count;
    double rates[USUAL_COUNT * WAY_COUNT];
} gemm_results;

static base_status parse(int argc, char **argv, gemm_options *options)
{
    static const struct option known[] = {{"m", required_argument, NULL, 'm'},
                                          {"n", required_argument, NULL, 'n'},
                                          {"k", required_argument, NULL, 'k'},
                                          {"threads", required_argument, NULL, 't'},
                                          {"device", required_argument, NULL, 'd'},
                                          {"precision", required_argument, NULL, 'p'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":m:n:k:t:h", known, NULL)) != -1;) {
        switch (c) {
        case 'm': BASE_TRY(command_number("--m", optarg, 1, 65536, &options->m)); break;
        case 'n': BASE_TRY(command_number("--n", optarg, 1, 65536, &options->n)); break;
        case 'k': BASE_TRY(command_number("--k", optarg, 1, 65536, &options->k)); break;
        case 't': BASE_TRY(command_number("--threads", optarg, 1, 4096, &options->threads)); break;
        case 'd': BASE_TRY(bench_device_parse(optarg, &options->on_gpu)); break;
        case 'p': BASE_TRY(bench_device_parse_precision(optarg, &options->precision)); break;
        case 'j': options->json = 1; break;
        case 'h': options->help = 1; return BASE_OK;
        default: return command_bad_option("bench gemm", argv, optind);
        }
    }
    if (optind < argc)
        return BASE_FAIL(BASE_USAGE, "ddpt bench gemm takes no operand, but got '%s'; see: ddpt help bench",
                         argv[optind]);
    int given = (options->m > 0) + (options->n > 0) + (options->k > 0);
    if (given != 0 && given != 3)
        return BASE_FAIL(BASE_USAGE,
                         "ddpt bench gemm: give all three of --m, --n and --k, or none for the usual shapes");
    if (options->on_gpu && options->threads > 0)
        return BASE_FAIL(BASE_USAGE, "ddpt bench gemm: --threads is for the cpu");
    if (!options->on_gpu && options->precision != OPS_FP32)
        return BASE_FAIL(BASE_USAGE, "ddpt bench gemm: --precision %s needs --device gpu",
                         bench_device_precision_name(options->precision));
    return BASE_OK;
}

static base_status measure_host(gemm_results *results)
{
    results->columns = WAY_COUNT;
    results->ways = on_host;
    for (int l = 0; l < WAY_COUNT; l++) {
        bench_host host;
        base_status status = bench_host_open(&host, results->threads, on_host[l].library, on_host[l].precision);
        int missing = status == BASE_DEVICE;
        for (int s = 0; s < results->count; s++) {
            const gemm_shape *shape = &results->shapes[s];
            double *rate = &results->rates[s * WAY_COUNT + l];
            *rate = NAN;
            if (status == BASE_OK)
                status = run_measure_gemm(host.ops, host.context, shape->m, shape->n, shape->k, SECONDS, rate);
        }
        bench_host_close(&host);
        if (!missing)
            BASE_TRY(status);
    }
    base_status_clear();
    return BASE_OK;
}

static base_status measure_gpu(gemm_results *results, ops_precision precision)
{
    static const gemm_way on_gpu = {.name = "gpu"};
    bench_device device;
    base_status status = bench_device_open(&device, precision);
    results->columns = 1;
    results->ways = &on_gpu;
    snprintf(results->gpu, sizeof results->gpu, "%s", device.gpu.name);
    for (int s = 0; s < results->count && status == BASE_OK; s++) {
        const gemm_shape *shape = &results->shapes[s];
        status = run_measure_device_gemm(&device.on, shape->m, shape->n, shape->k, &results->rates[s]);
    }
    bench_device_close(&device);
    return status;
}

static void print_text(const gemm_results *r)
{
    if (*r->gpu)
        printf("%s GEMM, %s", r->precision, r->gpu);
    else
        printf("GEMM, fp32 by library and bf16, %d thread%s", r->threads, r->threads == 1 ? "" : "s");
    printf(", GFLOP/s: c (M, N) = a (M, K) b (K, N)\n\n%7s %7s %7s", "M", "N", "K");
    for (int l = 0; l < r->columns; l++)
        printf(" %10s", r->ways[l].name);
    putchar('\n');
    for (int s = 0; s < r->count; s++) {
        printf("%7" PRId64 " %7" PRId64 " %7" PRId64, r->shapes[s].m, r->shapes[s].n, r->shapes[s].k);
        for (int l = 0; l < r->columns; l++) {
            double rate = r->rates[s * r->columns + l];
            if (isnan(rate))
                printf(" %10s", "-");
            else
                printf(" %10.1f", rate);
        }
        putchar('\n');
    }
}

static base_status print_json(const gemm_results *r)
{
    json_t *json = json_object(), *points = json_array();
    for (int s = 0; s < r->count; s++) {
        json_t *point = json_object(), *gflops = json_object();
        for (int l = 0; l < r->columns; l++) {
            double rate = r->rates[s * r->columns + l];
            json_t *value = isnan(rate) ? json_null() : json_real(rate);
            if (!*r->gpu && r->ways[l].precision == OPS_BF16)
                json_object_set_new(point, "gflops_bf16", value);
            else
                json_object_set_new(gflops, r->ways[l].name, value);
        }
        json_object_set_new(point, "m", json_integer(r->shapes[s].m));
        json_object_set_new(point, "n", json_integer(r->shapes[s].n));
        json_object_set_new(point, "k", json_integer(r->shapes[s].k));
        json_object_set_new(point, "gflops", gflops);
        json_array_append_new(points, point);
    }
    json_object_set_new(json, "schema", json_string("ddpt.bench.gemm.v1"));
    if (*r->gpu)
        json_object_set_new(json, "gpu", json_string(r->gpu));
    else
        json_object_set_new(json, "threads", json_integer(r->threads));
    json_object_set_new(json, "precision", json_string(r->precision)); /* of gflops */
    json_object_set_new(json, "points", points);
    return command_print_json(json);
}

static base_status measure_and_print(const void *given, int threads)
{
    const gemm_options *options = given;
    gemm_shape one = {options->m, options->n, options->k};
    gemm_results results = {.precision = bench_device_precision_name(options->precision),
                            .threads = threads,
                            .shapes = options->m > 0 ? &one : usual,
                            .count = options->m > 0 ? 1 : USUAL_COUNT};
    BASE_TRY(options->on_gpu ? measure_gpu(&results, options->precision) : measure_host(&results));
    if (options->json)
        return print_json(&results);
    print_text(&results);
    return BASE_OK;
}

base_status bench_gemm(int argc, char **argv)
{
    gemm_options options = {0};
    BASE_TRY(parse(argc, argv, &options));
    if (options.help)
        return fputs(command_bench.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    return bench_alone(options.threads, measure_and_print, &options);
}
