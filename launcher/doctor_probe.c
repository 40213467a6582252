#include "base_switch.h"
#include "bench_host.h"
#include "doctor.h"
#include "run_config.h"
#include "run_measure.h"

#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SECONDS 0.2

/* ---- programs ---- */

static int find_on_path(const char *program, char *found, size_t size)
{
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t length = strcspn(path, ":");
        int n = snprintf(found, size, "%.*s/%s", (int)length, path, program);
        if (n > 0 && (size_t)n < size && access(found, X_OK) == 0)
            return 1;
        path += length + (path[length] == ':');
    }
    *found = '\0';
    return 0;
}

/* The first line says who it is; hydra puts its version on a line of its own. */
void doctor_probe_programs(doctor_facts *facts)
{
    char command[sizeof facts->mpiexec + 32], line[256], version[64] = "";
    if (!find_on_path("mpiexec", facts->mpiexec, sizeof facts->mpiexec))
        return;
    snprintf(command, sizeof command, "'%s' --version 2>&1", facts->mpiexec);
    FILE *f = popen(command, "r");
    if (!f)
        return;
    char *first = facts->mpiexec_version;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (!*first)
            snprintf(first, sizeof facts->mpiexec_version, "%.100s", line);
        if (!*version)
            sscanf(line, " Version: %31s", version);
    }
    pclose(f);
    if (strncmp(first, "HYDRA", 5) == 0)
        snprintf(first, sizeof facts->mpiexec_version, "HYDRA %s", version);
}

/* ---- machine ---- */

static void read_line(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "re");
    if (!f || !fgets(text, (int)size, f))
        *text = '\0';
    if (f)
        fclose(f);
    text[strcspn(text, "\n")] = '\0';
}

/* Control groups, version 2 then 1: microseconds of computing allowed in a period. */
static double read_quota(void)
{
    char quota[64], period[64];
    read_line("/sys/fs/cgroup/cpu.max", quota, sizeof quota);
    char *space = strchr(quota, ' ');
    if (space) {
        snprintf(period, sizeof period, "%s", space + 1);
    } else {
        read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota, sizeof quota);
        read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period, sizeof period);
    }
    double allowed = strtod(quota, NULL), of = strtod(period, NULL); /* "max" and -1 are no limit */
    return allowed > 0.0 && of > 0.0 ? allowed / of : 0.0;
}

static base_status open_topology(hwloc_topology_t *topology)
{
    if (hwloc_topology_init(topology) != 0)
        return BASE_FAIL(BASE_ERROR, "hwloc cannot be initialised");
    if (hwloc_topology_load(*topology) != 0) {
        hwloc_topology_destroy(*topology);
        return BASE_FAIL(BASE_ERROR, "hwloc cannot read this machine's topology");
    }
    return BASE_OK;
}

static int count_of(hwloc_topology_t topology, hwloc_obj_type_t type)
{
    int n = hwloc_get_nbobjs_by_type(topology, type);
    return n > 0 ? n : 0;
}

static base_status probe_topology(doctor_facts *facts)
{
    static const hwloc_obj_type_t caches[DOCTOR_CACHES] = {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE};
    hwloc_topology_t topology;
    BASE_TRY(open_topology(&topology));
    facts->packages = count_of(topology, HWLOC_OBJ_PACKAGE);
    facts->cores = count_of(topology, HWLOC_OBJ_CORE);
    facts->cpus = count_of(topology, HWLOC_OBJ_PU);
    facts->numa_nodes = count_of(topology, HWLOC_OBJ_NUMANODE);
    for (int i = 0; i < DOCTOR_CACHES; i++) {
        hwloc_obj_t cache = hwloc_get_obj_by_type(topology, caches[i], 0);
        facts->cache_bytes[i] = cache ? cache->attr->cache.size : 0;
    }
    hwloc_topology_destroy(topology);
    return BASE_OK;
}

static int is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* The places of run_data_lookup that do not depend on a config. */
static base_status probe_places(doctor_facts *facts, base_arena *arena)
{
    const char *paths[DOCTOR_PLACES] = {facts->ddpt_data, ".", "data"};
    static const run_data_format formats[] = {RUN_DATA_MNIST, RUN_DATA_CIFAR10};
    for (int i = 0; i < DOCTOR_PLACES; i++) {
        doctor_place *place = &facts->places[i];
        *place = (doctor_place){.path = paths[i], .exists = paths[i] && is_folder(paths[i]), .sets = ""};
        for (size_t f = 0; place->exists && f < sizeof formats / sizeof *formats; f++) {
            const char *name = run_data_format_name(formats[f]);
            const char *set = base_arena_format(arena, "%s/%s", place->path, name);
            if (set && is_folder(set))
                place->sets = base_arena_format(arena, "%s%s%s", place->sets, *place->sets ? ", " : "", name);
            if (!set || !place->sets)
                return BASE_ERROR;
        }
    }
    return BASE_OK;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static base_status probe_switches(doctor_facts *facts, base_arena *arena)
{
    if (base_switch_check() == BASE_OK)
        return BASE_OK;
    facts->bad_switch = base_arena_string(arena, base_status_message());
    base_status_clear();
    return facts->bad_switch ? BASE_OK : BASE_ERROR;
}

base_status doctor_probe_machine(doctor_facts *facts, base_arena *arena)
{
    struct statvfs shm;
    if (statvfs("/dev/shm", &shm) == 0) {
        facts->shm_bytes = (uint64_t)shm.f_blocks * shm.f_frsize;
        facts->shm_free_bytes = (uint64_t)shm.f_bavail * shm.f_frsize;
    }
    read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", facts->governor, sizeof facts->governor);
    /* Not hwloc's sum over NUMA nodes, which virtual machines are known to state wrongly. */
    facts->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (getloadavg(&facts->load, 1) != 1)
        facts->load = 0.0;
    facts->cpu_quota = read_quota();
    facts->openblas_num_threads = variable("OPENBLAS_NUM_THREADS");
    facts->omp_num_threads = variable("OMP_NUM_THREADS");
    facts->openblas_coretype = variable("OPENBLAS_CORETYPE");
    facts->ddpt_isa = variable("DDPT_ISA");
    facts->ddpt_data = variable("DDPT_DATA");
    BASE_TRY(probe_switches(facts, arena));
    BASE_TRY(probe_places(facts, arena));
    return probe_topology(facts);
}

/* ---- a rank ---- */

/* Cores of which `set` holds at least one hardware thread. */
static int cores_in(hwloc_topology_t topology, hwloc_const_bitmap_t set)
{
    int cores = 0;
    for (hwloc_obj_t core = NULL; (core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core));)
        cores += hwloc_bitmap_intersects(core->cpuset, set);
    return cores;
}

static base_status probe_binding(doctor_rank *rank)
{
    hwloc_topology_t topology;
    BASE_TRY(open_topology(&topology));
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set && hwloc_get_cpubind(topology, set, HWLOC_CPUBIND_PROCESS) == 0) {
        hwloc_bitmap_list_snprintf(rank->binding, sizeof rank->binding, set);
        rank->cores = cores_in(topology, set);
    }
    hwloc_bitmap_free(set);
    hwloc_topology_destroy(topology);
    return BASE_OK;
}

base_status doctor_probe_rank(doctor_rank *rank)
{
    bench_host host;
    memset(rank, 0, sizeof *rank); /* padding too: it is sent */
    gethostname(rank->host, sizeof rank->host - 1);
    if (sched_getaffinity(0, sizeof rank->mask, &rank->mask) != 0)
        CPU_SET(0, &rank->mask);
    rank->cpus = CPU_COUNT(&rank->mask);
    rank->machine_cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    base_status status = bench_host_open(&host, 1, "auto", OPS_FP32);
    if (status == BASE_OK) {
        base_device_info info;
        base_device_host.info(host.device, &info);
        snprintf(rank->processor, sizeof rank->processor, "%.63s", info.name);
        snprintf(rank->libraries, sizeof rank->libraries, "%.127s", host.ops->libraries(host.context));
        snprintf(rank->kernels, sizeof rank->kernels, "%.31s", host.ops->name);
    }
    bench_host_close(&host);
    BASE_TRY(status);
    return probe_binding(rank);
}

/* ---- rates ---- */

/* 0 where the host cannot. */
static base_status measure_bf16(int threads, double *gemm)
{
    bench_host host;
    base_status status = bench_host_open(&host, threads, "auto", OPS_BF16);
    int missing = status == BASE_DEVICE;
    *gemm = 0.0;
    if (missing)
        base_status_clear();
    else if (status == BASE_OK)
        status = run_measure_gemm(host.ops, host.context, 1024, 1024, 1024, SECONDS, gemm);
    bench_host_close(&host);
    return missing ? BASE_OK : status;
}

static base_status measure(int threads, double *gemm, double *memory)
{
    bench_host host;
    base_status status = bench_host_open(&host, threads, "auto", OPS_FP32);
    if (status == BASE_OK)
        status = run_measure_gemm(host.ops, host.context, 1024, 1024, 1024, SECONDS, gemm);
    if (status == BASE_OK)
        status = run_measure_memory(host.pool, SECONDS, memory);
    bench_host_close(&host);
    return status;
}

base_status doctor_measure(doctor_facts *facts, int threads)
{
    facts->threads_all = threads;
    BASE_TRY(measure_bf16(1, &facts->gemm_bf16_one));
    BASE_TRY(measure_bf16(threads, &facts->gemm_bf16_all));
    BASE_TRY(measure(1, &facts->gemm_one, &facts->memory_one));
    return measure(threads, &facts->gemm_all, &facts->memory_all);
}
