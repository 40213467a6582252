#include "doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { RANKS = 4 };

/* A healthy machine: 4 ranks, bound to one core each, on one host of 4. Tests make it sick. */
typedef struct patient {
    doctor_facts facts;
    doctor_rank ranks[RANKS];
    base_arena *arena;
    const doctor_findings *found;
} patient;

static patient p;

static void bind(doctor_rank *rank, int from, int to)
{
    CPU_ZERO(&rank->mask);
    for (int cpu = from; cpu <= to; cpu++)
        CPU_SET((size_t)cpu, &rank->mask);
    rank->cpus = rank->cores = to - from + 1;
    snprintf(rank->binding, sizeof rank->binding, from == to ? "%d" : "%d-%d", from, to);
}

static int setup(void **state)
{
    (void)state;
    memset(&p, 0, sizeof p);
    for (int r = 0; r < RANKS; r++) {
        p.ranks[r] = (doctor_rank){.host = "n1",
                                   .processor = "a processor",
                                   .libraries = "OpenBLAS 0.3.21 Zen",
                                   .kernels = "host-avx2",
                                   .machine_cpus = 4,
                                   .threads = 1};
        bind(&p.ranks[r], r, r);
    }
    p.facts = (doctor_facts){.mpiexec = "/usr/bin/mpiexec",
                             .mpiexec_version = "HYDRA 4.0.2",
                             .mpi = "MPICH Version: 4.0.2",
                             .launcher = "hydra",
                             .nodes = 1,
                             .size = RANKS,
                             .ranks = p.ranks,
                             .shm_bytes = (uint64_t)8 << 30,
                             .shm_free_bytes = (uint64_t)8 << 30,
                             .governor = "performance",
                             .load = 0.3};
    return base_arena_create(&p.arena, "doctor test");
}

static int teardown(void **state)
{
    (void)state;
    base_arena_destroy(&p.arena);
    return 0;
}

static void examine(void)
{
    p.found = doctor_find(&p.facts, p.arena);
    assert_non_null(p.found);
}

/* Exactly one thing is wrong, and its line says both words. */
static void assert_finds(const char *word, const char *other)
{
    examine();
    if (p.found->count != 1)
        fail_msg("%d findings, the first: %s", p.found->count, p.found->count ? p.found->lines[0] : "none");
    if (!strstr(p.found->lines[0], word) || !strstr(p.found->lines[0], other))
        fail_msg("'%s' and '%s' are not both in: %s", word, other, p.found->lines[0]);
}

static void healthy_machine_has_no_findings(void **state)
{
    (void)state;
    examine();
    assert_int_equal(p.found->count, 0);
}

static void world_that_cannot_be_opened(void **state)
{
    (void)state;
    snprintf(p.facts.world_error, sizeof p.facts.world_error, "the launcher started 4 processes, but MPI sees 1");
    p.facts.mpi[0] = '\0';
    assert_finds("MPI cannot be used", "MPI sees 1");
}

static void launcher_of_another_mpi(void **state)
{
    (void)state;
    snprintf(p.facts.mpiexec_version, sizeof p.facts.mpiexec_version, "mpiexec (OpenRTE) 4.1.4");
    assert_finds("another MPI", "OpenRTE");
}

static void relatives_of_one_mpi_are_fine(void **state)
{
    (void)state;
    static const char *const launchers[] = {"HYDRA 4.2", "Intel(R) MPI Library for Linux* OS, Version 2021.9", ""};
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        snprintf(p.facts.mpiexec_version, sizeof p.facts.mpiexec_version, "%s", launchers[i]);
        examine();
        assert_int_equal(p.found->count, 0);
    }
}

static void no_launcher_at_all(void **state)
{
    (void)state;
    p.facts.mpiexec[0] = p.facts.mpiexec_version[0] = '\0';
    snprintf(p.facts.launcher, sizeof p.facts.launcher, "srun");
    examine();
    assert_int_equal(p.found->count, 0);
    snprintf(p.facts.launcher, sizeof p.facts.launcher, "none");
    assert_finds("no mpiexec", "srun");
}

static void more_ranks_than_cores(void **state)
{
    (void)state;
    for (int r = 0; r < RANKS; r++) {
        p.ranks[r].machine_cpus = 2;
        bind(&p.ranks[r], 0, 1);
    }
    assert_finds("4 ranks share 2", "at most 2");
}

static void all_ranks_on_one_core(void **state)
{
    (void)state;
    for (int r = 0; r < RANKS; r++)
        bind(&p.ranks[r], 2, 2);
    assert_finds("all 4 ranks of n1 are bound to hardware thread 2 of 4", "srun");
}

static void cores_that_nobody_uses(void **state)
{
    (void)state;
    p.facts.size = 2;
    assert_finds("may use 2 of its 4", "-bind-to");
}

/* Each host is looked at by itself: the same core numbers on two hosts are different cores. */
static void hosts_are_told_apart(void **state)
{
    (void)state;
    for (int r = 0; r < RANKS; r++) {
        p.ranks[r].machine_cpus = 2;
        snprintf(p.ranks[r].host, sizeof p.ranks[r].host, "n%d", 1 + r % 2);
        bind(&p.ranks[r], r / 2, r / 2);
    }
    p.facts.nodes = 2;
    examine();
    assert_int_equal(p.found->count, 0);
    bind(&p.ranks[3], 0, 0); /* n2's two ranks now share core 0 */
    assert_finds("n2", "bound to hardware thread 0");
}

static void hosts_that_differ(void **state)
{
    (void)state;
    snprintf(p.ranks[2].kernels, sizeof p.ranks[2].kernels, "host-avx512");
    assert_finds("different kernels", "rank 2");
    snprintf(p.ranks[1].processor, sizeof p.ranks[1].processor, "another");
    assert_finds("different processors", "rank 1");
}

static void hardware_threads_of_one_core(void **state)
{
    (void)state;
    p.facts.size = 1;
    bind(&p.ranks[0], 0, 3);
    p.ranks[0].cores = 2;
    p.ranks[0].threads = 4;
    assert_finds("4 threads on 2 cores", "train.threads = 2");
}

static void variables_that_do_not_count(void **state)
{
    (void)state;
    p.facts.omp_num_threads = "1"; /* what ddpt does anyway */
    examine();
    assert_int_equal(p.found->count, 0);
    p.facts.omp_num_threads = "8";
    assert_finds("OMP_NUM_THREADS=8", "train.threads");
    p.facts.omp_num_threads = NULL;
    p.ranks[0].threads = 2;
    p.facts.openblas_num_threads = "1"; /* keeps its threads away */
    examine();
    assert_int_equal(p.found->count, 0);
    p.facts.openblas_num_threads = "16";
    assert_finds("OPENBLAS_NUM_THREADS=16", "train.threads");
}

static void forced_kernels(void **state)
{
    (void)state;
    p.facts.openblas_coretype = "Haswell";
    assert_finds("OPENBLAS_CORETYPE=Haswell", "unset");
    p.facts.openblas_coretype = NULL;
    p.facts.ddpt_isa = "generic";
    assert_finds("DDPT_ISA=generic", "unset");
}

static void switch_with_a_value_that_it_may_not_have(void **state)
{
    (void)state;
    p.facts.bad_switch = "DDPT_GPU_OWN is \"no\"; it may be \"0\"";
    assert_finds("DDPT_GPU_OWN is \"no\"", "it may be \"0\"");
}

static void data_folder_that_is_not_there(void **state)
{
    (void)state;
    p.facts.ddpt_data = "/nowhere";
    p.facts.places[0] = (doctor_place){.path = "/nowhere", .exists = 0, .sets = ""};
    assert_finds("DDPT_DATA=/nowhere", "not a folder");
}

static void small_or_full_shared_memory(void **state)
{
    (void)state;
    p.facts.shm_bytes = p.facts.shm_free_bytes = (uint64_t)64 << 20; /* what a container gets */
    assert_finds("/dev/shm has 64 MiB", "--shm-size");
    p.facts.shm_bytes = (uint64_t)8 << 30;
    p.facts.shm_free_bytes = 5 << 20;
    assert_finds("/dev/shm", "5 of them free");
    p.facts.shm_bytes = p.facts.shm_free_bytes = 0; /* not known */
    examine();
    assert_int_equal(p.found->count, 0);
}

static void slow_or_limited_processor(void **state)
{
    (void)state;
    snprintf(p.facts.governor, sizeof p.facts.governor, "powersave");
    assert_finds("powersave", "cpupower");
    p.facts.governor[0] = '\0';
    p.facts.cpu_quota = 1.5;
    assert_finds("1.5 of the 4", "train.threads");
    p.facts.cpu_quota = 4.0;
    examine();
    assert_int_equal(p.found->count, 0);
}

static void busy_machine(void **state)
{
    (void)state;
    p.facts.load = 6.5;
    assert_finds("busy", "6.5");
}

/* Hundreds of hosts with something wrong: the list ends, the program does not. */
static void gpus_that_cannot_be_used(void **state)
{
    (void)state;
    doctor_gpus *gpus = &p.facts.gpus;
    snprintf(gpus->missing, sizeof gpus->missing, "no GPU can be used: there is no driver");
    examine();
    assert_int_equal(p.found->count, 0); /* there is none, and nothing looks like one */
    gpus->expected = 1;
    assert_finds("seems to have a GPU", "there is no driver");
}

static void gpus_without_nccl(void **state)
{
    (void)state;
    doctor_gpus *gpus = &p.facts.gpus;
    gpus->count = 1;
    snprintf(gpus->nccl_missing, sizeof gpus->nccl_missing, "NCCL is not there");
    examine();
    assert_int_equal(p.found->count, 0); /* one needs none */
    gpus->count = 2;
    assert_finds("staged", "NCCL is not there");
}

static void very_many_findings(void **state)
{
    (void)state;
    enum { MANY = 500 };
    doctor_rank *ranks = BASE_NEW_ARRAY(p.arena, doctor_rank, MANY);
    assert_non_null(ranks);
    for (int r = 0; r < MANY; r++) {
        ranks[r] = p.ranks[0];
        snprintf(ranks[r].host, sizeof ranks[r].host, "n%d", r);
    }
    p.facts.ranks = ranks;
    p.facts.size = p.facts.nodes = MANY;
    examine();
    assert_in_range(p.found->count, 10, MANY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(healthy_machine_has_no_findings),
        TEST(world_that_cannot_be_opened),
        TEST(launcher_of_another_mpi),
        TEST(relatives_of_one_mpi_are_fine),
        TEST(no_launcher_at_all),
        TEST(more_ranks_than_cores),
        TEST(all_ranks_on_one_core),
        TEST(cores_that_nobody_uses),
        TEST(hosts_are_told_apart),
        TEST(hosts_that_differ),
        TEST(hardware_threads_of_one_core),
        TEST(variables_that_do_not_count),
        TEST(forced_kernels),
        TEST(switch_with_a_value_that_it_may_not_have),
        TEST(data_folder_that_is_not_there),
        TEST(small_or_full_shared_memory),
        TEST(slow_or_limited_processor),
        TEST(busy_machine),
        TEST(gpus_that_cannot_be_used),
        TEST(gpus_without_nccl),
        TEST(very_many_findings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
