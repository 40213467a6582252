#include "command.h"
#include "doctor.h"
#include "run_job.h"

#include <getopt.h>
#include <hwloc.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

enum { RANKS_PRINTED = 64 };

/* ---- gathering ---- */

/* With a world: every rank says of itself, rank 0 knows all. */
static base_status gather_ranks(comm_world *world, base_arena *arena, doctor_facts *facts)
{
    const comm_world_info *info = comm_world_get_info(world);
    int cores;
    doctor_rank *all = BASE_NEW_ARRAY(arena, doctor_rank, info->size);
    doctor_rank *mine = BASE_NEW(arena, doctor_rank);
    BASE_TRY(comm_world_agree(world, all && mine ? doctor_probe_rank(mine) : BASE_ERROR));
    BASE_TRY(comm_world_agree(world, run_job_threads(world, &mine->threads, &cores)));
    BASE_TRY(comm_world_all_gather(world, mine, sizeof *mine, all));
    snprintf(facts->mpi, sizeof facts->mpi, "%s", info->library);
    snprintf(facts->launcher, sizeof facts->launcher, "%s", info->launcher);
    facts->ranks = all;
    facts->size = info->size;
    facts->nodes = info->nodes;
    return BASE_OK;
}

/* Without one: this process is all there is to look at. */
static base_status look_alone(base_arena *arena, doctor_facts *facts)
{
    doctor_rank *mine = BASE_NEW(arena, doctor_rank);
    snprintf(facts->world_error, sizeof facts->world_error, "%.1023s", base_status_message());
    base_status_clear();
    BASE_TRY(mine ? doctor_probe_rank(mine) : BASE_ERROR);
    facts->ranks = mine;
    facts->size = facts->nodes = 1;
    return BASE_OK;
}

/* ---- for people ---- */

static void print_programs(const doctor_facts *f)
{
    printf("programs\n");
    printf("  ddpt         %s (%s)\n", DDPT_VERSION, DDPT_COMPILER);
    printf("  MPI          %s\n", *f->mpi ? f->mpi : "cannot be used, see below");
    if (*f->launcher)
        printf("  started by   %s: %d rank%s on %d node%s\n",
               strcmp(f->launcher, "none") == 0 ? "no launcher" : f->launcher, f->size, f->size == 1 ? "" : "s",
               f->nodes, f->nodes == 1 ? "" : "s");
    printf("  mpiexec      %s%s%s%s\n", *f->mpiexec ? f->mpiexec : "none on PATH", *f->mpiexec ? " (" : "",
           f->mpiexec_version, *f->mpiexec ? ")" : "");
    printf("  mathematics  %s\n", f->ranks[0].libraries);
    printf("  kernels      %s\n", f->ranks[0].kernels);
    printf("  libraries    hwloc %s, libconfig %d.%d.%d, jansson %s\n", HWLOC_VERSION, LIBCONFIG_VER_MAJOR,
           LIBCONFIG_VER_MINOR, LIBCONFIG_VER_REVISION, JANSSON_VERSION);
}

static void print_machine(const doctor_facts *f)
{
    const double gib = 1024.0 * 1024.0 * 1024.0;
    printf("\nthis machine (%s)\n", f->ranks[0].host);
    printf("  processor    %s\n", f->ranks[0].processor);
    printf("  cores        %d package%s, %d core%s, %d hardware thread%s, %d NUMA node%s\n", f->packages,
           f->packages == 1 ? "" : "s", f->cores, f->cores == 1 ? "" : "s", f->cpus, f->cpus == 1 ? "" : "s",
           f->numa_nodes, f->numa_nodes == 1 ? "" : "s");
    printf("  caches       L1d %llu KiB, L2 %llu KiB, L3 %llu KiB\n", (unsigned long long)(f->cache_bytes[0] >> 10),
           (unsigned long long)(f->cache_bytes[1] >> 10), (unsigned long long)(f->cache_bytes[2] >> 10));
    printf("  memory       %.1f GiB, /dev/shm %.1f GiB (%.1f free)\n", (double)f->memory_bytes / gib,
           (double)f->shm_bytes / gib, (double)f->shm_free_bytes / gib);
    printf("  load         %.1f%s%s\n", f->load, *f->governor ? ", CPU governor " : "", f->governor);
}

static void print_ranks(const doctor_facts *f)
{
    int width = (int)strlen("host");
    for (int r = 0; r < f->size; r++)
        width = (int)strlen(f->ranks[r].host) > width ? (int)strlen(f->ranks[r].host) : width;
    printf("\n%6s  %-*s  %5s  %7s  binding (hardware threads)\n", "rank", width, "host", "cores", "threads");
    for (int r = 0; r < f->size && r < RANKS_PRINTED; r++) {
        char threads[16] = "-";
        if (f->ranks[r].threads > 0)
            snprintf(threads, sizeof threads, "%d", f->ranks[r].threads);
        printf("%6d  %-*s  %5d  %7s  %s\n", r, width, f->ranks[r].host, f->ranks[r].cores, threads,
               f->ranks[r].binding);
    }
    if (f->size > RANKS_PRINTED)
        printf("   ... and %d more (all with --json)\n", f->size - RANKS_PRINTED);
}

static void print_rest(const doctor_facts *f, const doctor_findings *found)
{
    printf("\nmeasured\n");
    printf("  GEMM 1024^3  %.1f GFLOP/s with 1 thread, %.1f with %d\n", f->gemm_one, f->gemm_all, f->threads_all);
    if (f->gemm_bf16_one > 0.0)
        printf("  in bf16      %.1f GFLOP/s with 1 thread, %.1f with %d\n", f->gemm_bf16_one, f->gemm_bf16_all,
               f->threads_all);
    else
        printf("  in bf16      not on this cpu, which has no AVX512_BF16 that ddpt may use\n");
    printf("  memory       %.1f GB/s with 1 thread, %.1f with %d (triad)\n", f->memory_one, f->memory_all,
           f->threads_all);
    printf("\ndata are looked for in, besides the config's own folder\n");
    for (int i = 0; i < DOCTOR_PLACES; i++)
        if (f->places[i].path)
            printf("  %s%s%s\n", f->places[i].path, f->places[i].exists ? ": " : ": no such folder",
                   !f->places[i].exists ? ""
                   : *f->places[i].sets ? f->places[i].sets
                                        : "no data set known by name");
    if (!f->ddpt_data)
        printf("  (DDPT_DATA is not set)\n");
    printf(found->count ? "\nwhat is wrong\n" : "\nnothing wrong found\n");
    for (int i = 0; i < found->count; i++)
        printf("  - %s\n", found->lines[i]);
}

/* ---- for programs ---- */

static json_t *text_json(const char *text)
{
    return text && *text ? json_string(text) : json_null();
}

static json_t *programs_json(const doctor_facts *f)
{
    json_t *json = json_object();
    json_object_set_new(json, "ddpt", json_string(DDPT_VERSION));
    json_object_set_new(json, "compiler", json_string(DDPT_COMPILER));
    json_object_set_new(json, "mpi", text_json(f->mpi));
    json_object_set_new(json, "launcher", text_json(f->launcher));
    json_object_set_new(json, "mpiexec", text_json(f->mpiexec));
    json_object_set_new(json, "mpiexec_version", text_json(f->mpiexec_version));
    json_object_set_new(json, "blas", json_string(f->ranks[0].libraries));
    json_object_set_new(json, "kernels", json_string(f->ranks[0].kernels));
    json_object_set_new(json, "hwloc", json_string(HWLOC_VERSION));
    json_object_set_new(json, "libconfig",
                        json_sprintf("%d.%d.%d", LIBCONFIG_VER_MAJOR, LIBCONFIG_VER_MINOR, LIBCONFIG_VER_REVISION));
    json_object_set_new(json, "jansson", json_string(JANSSON_VERSION));
    return json;
}

static json_t *machine_json(const doctor_facts *f)
{
    json_t *json = json_object();
    json_object_set_new(json, "processor", json_string(f->ranks[0].processor));
    json_object_set_new(json, "packages", json_integer(f->packages));
    json_object_set_new(json, "cores", json_integer(f->cores));
    json_object_set_new(json, "hardware_threads", json_integer(f->cpus));
    json_object_set_new(json, "numa_nodes", json_integer(f->numa_nodes));
    json_object_set_new(json, "l1d_bytes", json_integer((json_int_t)f->cache_bytes[0]));
    json_object_set_new(json, "l2_bytes", json_integer((json_int_t)f->cache_bytes[1]));
    json_object_set_new(json, "l3_bytes", json_integer((json_int_t)f->cache_bytes[2]));
    json_object_set_new(json, "memory_bytes", json_integer((json_int_t)f->memory_bytes));
    json_object_set_new(json, "shm_bytes", json_integer((json_int_t)f->shm_bytes));
    json_object_set_new(json, "shm_free_bytes", json_integer((json_int_t)f->shm_free_bytes));
    json_object_set_new(json, "governor", text_json(f->governor));
    json_object_set_new(json, "load", json_real(f->load));
    json_object_set_new(json, "cpu_quota", f->cpu_quota > 0.0 ? json_real(f->cpu_quota) : json_null());
    return json;
}

static json_t *ranks_json(const doctor_facts *f)
{
    json_t *ranks = json_array();
    for (int r = 0; r < f->size; r++) {
        json_t *json = json_object();
        json_object_set_new(json, "host", json_string(f->ranks[r].host));
        json_object_set_new(json, "cores", json_integer(f->ranks[r].cores));
        json_object_set_new(json, "hardware_threads", json_integer(f->ranks[r].cpus));
        json_object_set_new(json, "threads", json_integer(f->ranks[r].threads));
        json_object_set_new(json, "binding", json_string(f->ranks[r].binding));
        json_array_append_new(ranks, json);
    }
    return ranks;
}

static json_t *measured_json(const doctor_facts *f)
{
    json_t *json = json_object();
    json_object_set_new(json, "threads", json_integer(f->threads_all));
    json_object_set_new(json, "gemm_gflops_one_thread", json_real(f->gemm_one));
    json_object_set_new(json, "gemm_gflops", json_real(f->gemm_all));
    json_object_set_new(json, "gemm_bf16_gflops_one_thread",
                        f->gemm_bf16_one > 0.0 ? json_real(f->gemm_bf16_one) : json_null());
    json_object_set_new(json, "gemm_bf16_gflops", f->gemm_bf16_all > 0.0 ? json_real(f->gemm_bf16_all) : json_null());
    json_object_set_new(json, "memory_gbytes_per_second_one_thread", json_real(f->memory_one));
    json_object_set_new(json, "memory_gbytes_per_second", json_real(f->memory_all));
    return json;
}

static base_status print_json(const doctor_facts *f, const doctor_findings *found)
{
    json_t *json = json_object(), *data = json_array(), *findings = json_array();
    for (int i = 0; i < DOCTOR_PLACES; i++)
        if (f->places[i].path)
            json_array_append_new(data, json_pack("{s:s, s:b, s:s}", "path", f->places[i].path, "exists",
                                                  f->places[i].exists, "sets", f->places[i].sets));
    for (int i = 0; i < found->count; i++)
        json_array_append_new(findings, json_string(found->lines[i]));
    json_object_set_new(json, "schema", json_string("ddpt.doctor.v1"));
    json_object_set_new(json, "world_size", json_integer(f->size));
    json_object_set_new(json, "nodes", json_integer(f->nodes));
    json_object_set_new(json, "programs", programs_json(f));
    json_object_set_new(json, "machine", machine_json(f));
    json_object_set_new(json, "gpu", doctor_gpus_json(&f->gpus));
    json_object_set_new(json, "ranks", ranks_json(f));
    json_object_set_new(json, "measured", measured_json(f));
    json_object_set_new(json, "data", data);
    json_object_set_new(json, "can_train", json_boolean(!*f->world_error));
    json_object_set_new(json, "findings", findings);
    return command_print_json(json);
}

/* ---- the command ---- */

static base_status examine_and_print(doctor_facts *facts, base_arena *arena, int json)
{
    BASE_TRY(doctor_probe_machine(facts, arena));
    BASE_TRY(doctor_gpus_probe(&facts->gpus, arena));
    BASE_TRY(doctor_measure(facts, facts->ranks[0].cpus));
    const doctor_findings *found = doctor_find(facts, arena);
    if (!found)
        return BASE_ERROR;
    if (json)
        return print_json(facts, found);
    print_programs(facts);
    print_machine(facts);
    doctor_gpus_print(&facts->gpus, stdout);
    print_ranks(facts);
    print_rest(facts, found);
    return BASE_OK;
}

static base_status examine(base_arena *arena, doctor_facts *facts, int json)
{
    comm_world *world = NULL;
    if (command_speaks())
        doctor_probe_programs(facts);
    base_status opened = command_open_world(&world);
    if (opened == BASE_OK) {
        BASE_TRY(gather_ranks(world, arena, facts));
        return comm_world_agree(world, command_speaks() ? examine_and_print(facts, arena, json) : BASE_OK);
    }
    BASE_TRY(look_alone(arena, facts));
    if (command_speaks())
        BASE_TRY(examine_and_print(facts, arena, json));
    return BASE_FAIL(opened, "MPI cannot be used: training is not possible");
}

static base_status parse(int argc, char **argv, int *json, int *help)
{
    static const struct option known[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        switch (c) {
        case 'j': *json = 1; break;
        case 'h': *help = 1; return BASE_OK;
        default: return command_bad_option("doctor", argv, optind);
        }
    }
    if (optind < argc)
        return BASE_FAIL(BASE_USAGE, "ddpt doctor takes no operand, but got '%s'; see: ddpt help doctor", argv[optind]);
    return BASE_OK;
}

static base_status run(int argc, char **argv)
{
    int json = 0, help = 0;
    BASE_TRY(parse(argc, argv, &json, &help));
    if (help)
        return fputs(command_doctor.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    base_arena *arena;
    BASE_TRY(base_arena_create(&arena, "doctor"));
    doctor_facts *facts = BASE_NEW(arena, doctor_facts);
    base_status status = facts ? examine(arena, facts, json) : BASE_ERROR;
    base_arena_destroy(&arena);
    return status;
}

const command command_doctor = {
    .name = "doctor",
    .summary = "what was found on this machine, and what is wrong with it",
    .usage =
        "usage: [mpirun -n N] ddpt doctor [--json]\n"
        "\n"
        "Looks at what a run depends on: versions, MPI and its launcher, the cores and the binding of every rank,\n"
        "GPUs or what is missing for them, the arithmetic kernels, the measured rates of GEMM and memory (about a\n"
        "second, on rank 0), the places where data are looked for; then says in one line each what is wrong and what\n"
        "to do. Start it as you start training.\n"
        "\n"
        "      --json   the same as JSON (schema ddpt.doctor.v1)\n"
        "  -h, --help   this text\n"
        "\n"
        "Exit status: 0 training is possible, whatever was found; 1 it is not; 2 usage.\n",
    .run = run,
};
