#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Enough for every rule once and the three that look at hosts on each of many. */
enum { LINES_MAX = 96 };
#define MIB ((uint64_t)1 << 20)

typedef struct finder {
    const doctor_facts *facts;
    base_arena *arena;
    doctor_findings *found;
    int failed;
} finder;

static void add(finder *self, const char *fmt, ...) BASE_PRINTF(2, 3);
static void add(finder *self, const char *fmt, ...)
{
    char text[1536];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const char *line = base_arena_string(self->arena, text);
    if (!line)
        self->failed = 1;
    else if (self->found->count < LINES_MAX)
        self->found->lines[self->found->count++] = line;
}

/* ---- programs ---- */

typedef enum mpi_family { MPI_UNKNOWN, MPI_OPEN, MPI_MPICH } mpi_family;

static int contains_any(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strstr(text, *words))
            return 1;
    return 0;
}

/* MPICH and what is derived from it share launchers and protocol. */
static mpi_family family_of(const char *text)
{
    static const char *const open[] = {"Open MPI", "OpenRTE", "PRRTE", "prte", NULL};
    static const char *const mpich[] = {"MPICH", "HYDRA", "Intel", "MVAPICH", NULL};
    return contains_any(text, open) ? MPI_OPEN : contains_any(text, mpich) ? MPI_MPICH : MPI_UNKNOWN;
}

static void find_mpi(finder *self)
{
    const doctor_facts *f = self->facts;
    mpi_family launcher = family_of(f->mpiexec_version), library = family_of(f->mpi);
    if (*f->world_error)
        add(self, "MPI cannot be used: %s", f->world_error);
    if (launcher != MPI_UNKNOWN && library != MPI_UNKNOWN && launcher != library)
        add(self,
            "%s belongs to another MPI (%s) than ddpt was built with (%s): it would start copies that do not find each "
            "other; put that library's mpiexec first on PATH",
            f->mpiexec, f->mpiexec_version, f->mpi);
    if (!*f->mpiexec && strcmp(f->launcher, "none") == 0)
        add(self,
            "there is no mpiexec on PATH: ddpt runs with one rank, unless another launcher such as srun starts it");
}

/* `harmless`: a number of threads that is no mistake either. */
static void find_threads_variable(finder *self, const char *name, const char *value, int harmless)
{
    int threads = self->facts->ranks[0].threads;
    long wanted = value ? strtol(value, NULL, 10) : 0;
    if (value && threads > 0 && wanted != threads && wanted != harmless)
        add(self,
            "%s=%s does not count: ddpt runs %d thread%s a rank, by the cores that the rank may use; train.threads in "
            "the config sets another number",
            name, value, threads, threads == 1 ? "" : "s");
}

static void find_environment(finder *self)
{
    const doctor_facts *f = self->facts;
    find_threads_variable(self, "OPENBLAS_NUM_THREADS", f->openblas_num_threads, 1);
    find_threads_variable(self, "OMP_NUM_THREADS", f->omp_num_threads, -1);
    if (f->openblas_coretype)
        add(self, "OPENBLAS_CORETYPE=%s forces OpenBLAS's kernel; unset it unless that is meant", f->openblas_coretype);
    if (f->ddpt_isa)
        add(self, "DDPT_ISA=%s forces ddpt's kernels; unset it unless that is meant", f->ddpt_isa);
    if (f->bad_switch)
        add(self, "%s: no job begins until then", f->bad_switch);
    if (f->ddpt_data && !f->places[0].exists)
        add(self, "DDPT_DATA=%s is not a folder: data sets are not looked for there", f->ddpt_data);
}

/* ---- machine ---- */

static void find_machine(finder *self)
{
    const doctor_facts *f = self->facts;
    if (f->shm_bytes > 0 && (f->shm_bytes < 256 * MIB || f->shm_free_bytes < 64 * MIB))
        add(self,
            "/dev/shm has %llu MiB, %llu of them free: MPI passes messages between the ranks of a node through it and "
            "may fail to start; enlarge it (containers: docker run --shm-size=1g) or clean it up",
            (unsigned long long)(f->shm_bytes / MIB), (unsigned long long)(f->shm_free_bytes / MIB));
    if (strcmp(f->governor, "powersave") == 0)
        add(self,
            "the CPU governor is powersave: cores may run below their clock; cpupower frequency-set -g performance");
    if (f->cpu_quota > 0.0 && f->cpu_quota < 0.99 * f->ranks[0].machine_cpus)
        add(self,
            "this container may compute on %.2g of the %d hardware threads that it sees: start no more ranks times "
            "threads than that (train.threads)",
            f->cpu_quota, f->ranks[0].machine_cpus);
    if (f->ranks[0].cpus > 0 && f->load > 0.5 * f->ranks[0].machine_cpus + 0.5)
        add(self,
            "this machine is busy: %.1f programs were running at a time over the last minute, on %d hardware threads; "
            "what was measured here is low",
            f->load, f->ranks[0].machine_cpus);
}

static void find_gpus(finder *self)
{
    const doctor_gpus *gpus = &self->facts->gpus;
    if (gpus->expected && *gpus->missing)
        add(self, "this machine seems to have a GPU, but %s", gpus->missing);
    if (gpus->count > 1 && *gpus->nccl_missing)
        add(self,
            "without NCCL gradients travel from GPU to GPU through the memory of the host (train.comm = \"staged\"), "
            "which is slower: %s",
            gpus->nccl_missing);
}

/* ---- ranks ---- */

/* The ranks of one host together. */
typedef struct host_use {
    int ranks, cpus; /* hardware threads that any of them may use */
    int same;        /* all ranks have the same set of them */
} host_use;

static host_use use_of(const doctor_facts *f, int first)
{
    host_use use = {.same = 1};
    cpu_set_t all;
    CPU_ZERO(&all);
    for (int r = first; r < f->size; r++) {
        if (strcmp(f->ranks[r].host, f->ranks[first].host) != 0)
            continue;
        CPU_OR(&all, &all, &f->ranks[r].mask);
        use.ranks++;
        use.same &= CPU_EQUAL(&f->ranks[r].mask, &f->ranks[first].mask) != 0;
    }
    use.cpus = CPU_COUNT(&all);
    return use;
}

static void find_binding(finder *self, const doctor_rank *rank, host_use use)
{
    if (use.ranks > 1 && use.same && use.cpus == 1 && rank->machine_cpus > 1) {
        add(self,
            "all %d ranks of %s are bound to hardware thread %s of %d: bind each to its own (mpiexec -bind-to core, "
            "srun --cpu-bind=cores) or to none",
            use.ranks, rank->host, rank->binding, rank->machine_cpus);
        return;
    }
    if (use.ranks > use.cpus)
        add(self,
            "%d ranks share %d hardware thread%s of %s: more ranks than that do not compute faster; start at most %d "
            "there",
            use.ranks, use.cpus, use.cpus == 1 ? "" : "s", rank->host, use.cpus);
    if (use.cpus < rank->machine_cpus)
        add(self,
            "the %d rank%s of %s may use %d of its %d hardware threads: if the others are meant for this job, start "
            "more "
            "ranks or widen the binding (mpiexec -bind-to none, srun --cpus-per-task)",
            use.ranks, use.ranks == 1 ? "" : "s", rank->host, use.cpus, rank->machine_cpus);
}

static void find_hosts(finder *self)
{
    const doctor_facts *f = self->facts;
    for (int r = 0; r < f->size; r++) {
        int seen = 0;
        for (int i = 0; i < r && !seen; i++)
            seen = strcmp(f->ranks[i].host, f->ranks[r].host) == 0;
        if (!seen)
            find_binding(self, &f->ranks[r], use_of(f, r));
    }
}

static void find_differences(finder *self)
{
    const doctor_rank *ranks = self->facts->ranks;
    for (int r = 1; r < self->facts->size; r++) {
        const char *what = strcmp(ranks[r].processor, ranks[0].processor) != 0   ? "processors"
                           : strcmp(ranks[r].kernels, ranks[0].kernels) != 0     ? "kernels"
                           : strcmp(ranks[r].libraries, ranks[0].libraries) != 0 ? "libraries"
                                                                                 : NULL;
        if (!what)
            continue;
        add(self,
            "the ranks have different %s: rank 0 (%s) %s, %s, %s; rank %d (%s) %s, %s, %s: the slowest sets the pace, "
            "and results differ in the last bits from a run on equal hosts",
            what, ranks[0].host, ranks[0].processor, ranks[0].kernels, ranks[0].libraries, r, ranks[r].host,
            ranks[r].processor, ranks[r].kernels, ranks[r].libraries);
        return;
    }
}

static void find_hardware_threads(finder *self)
{
    const doctor_rank *rank = &self->facts->ranks[0];
    if (rank->cores > 0 && rank->cpus > rank->cores && rank->threads > rank->cores)
        add(self,
            "a rank runs %d threads on %d cores, since a core has several hardware threads: for arithmetic one a core "
            "is as fast; set train.threads = %d",
            rank->threads, rank->cores, rank->cores);
}

const doctor_findings *doctor_find(const doctor_facts *facts, base_arena *arena)
{
    doctor_findings *found = BASE_NEW(arena, doctor_findings);
    finder self = {.facts = facts, .arena = arena, .found = found};
    if (!found)
        return NULL;
    found->lines = BASE_NEW_ARRAY(arena, const char *, LINES_MAX);
    if (!found->lines)
        return NULL;
    find_mpi(&self);
    find_hosts(&self);
    find_hardware_threads(&self);
    find_differences(&self);
    find_environment(&self);
    find_machine(&self);
    find_gpus(&self);
    return self.failed ? NULL : found;
}
