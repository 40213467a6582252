#include "bench.h"

#include "base_switch.h"
#include "run_job.h"

#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return 0.5 * (values[(count - 1) / 2] + values[count / 2]);
}

base_status bench_alone(long long wanted, base_status (*measure)(const void *options, int threads), const void *options)
{
    comm_world *world;
    int threads, cores;
    BASE_TRY(command_open_world(&world));
    BASE_TRY(comm_world_agree(world, base_switch_check()));
    BASE_TRY(comm_world_agree(world, run_job_threads(world, &threads, &cores)));
    if (wanted > 0)
        threads = (int)wanted;
    int speaks = comm_world_get_info(world)->rank == 0;
    return comm_world_agree(world, speaks ? measure(options, threads) : BASE_OK);
}

static const struct {
    const char *name;
    base_status (*run)(int argc, char **argv);
} benchmarks[] = {{"gemm", bench_gemm}, {"memory", bench_memory}, {"allreduce", bench_allreduce}, {"step", bench_step}};

static base_status run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return fputs(command_bench.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    for (size_t i = 0; i < sizeof benchmarks / sizeof *benchmarks; i++)
        if (strcmp(benchmarks[i].name, name) == 0)
            return benchmarks[i].run(argc - 1, argv + 1);
    return BASE_FAIL(BASE_USAGE,
                     "ddpt bench needs what to measure, gemm, memory, allreduce or step%s%s%s; see: ddpt help bench",
                     *name ? ", not '" : "", name, *name ? "'" : "");
}

const command command_bench = {
    .name = "bench",
    .summary = "micro-benchmarks: gemm, memory, allreduce, step",
    .usage =
        "usage: ddpt bench gemm [--m M --n N --k K] [--threads T] [--device D] [--precision P] [--json]\n"
        "       ddpt bench memory [--device D] [--json]\n"
        "       [mpirun -n N] ddpt bench allreduce [--sizes LIST] [--comm KIND] [--json]\n"
        "       [mpirun -n N] ddpt bench step [--steps N] [--set KEY=VALUE]... [--share-gpus] [--json]\n"
        "                               CONFIG\n"
        "\n"
        "gemm: the best rate of c (M, N) = a (M, K) b (K, N), in GFLOP/s, in fp32 through each library of this build, "
        "in bf16\n"
        "where the cpu has it, for one shape or for those that training meets. Threads: the cores of this process, "
        "unless\n"
        "--threads says otherwise.\n"
        "      --device D      cpu or gpu (default: cpu); gpu: this process' first GPU\n"
        "      --precision P   fp32, tf32 or bf16 on a GPU (default: fp32)\n"
        "\n"
        "memory: the best rate of memory in GB/s, read and written together: STREAM's triad on the cores of this "
        "process, or\n"
        "copies of 512 MiB within a GPU's memory.\n"
        "\n"
        "allreduce: sums vectors of floats over all ranks.\n"
        "      --sizes LIST    bytes, e.g. 4,64K,16M (default: 4 bytes to 64M)\n"
        "      --comm KIND     auto, local, shm or mpi, as train.comm (default: auto)\n"
        "  Times are the slowest rank's, after a barrier. Algorithm bandwidth is size / median time. Bus bandwidth is "
        "that\n"
        "  times 2 (n - 1) / n for n ranks, the traffic of each rank in an all-reduce that wastes none, so that it "
        "compares\n"
        "  with the hardware's whatever n is (as in nccl-tests). `sharded` is what train.sync = \"sharded\" does "
        "instead: a\n"
        "  reduce-scatter and an all-gather of the parameters, rated by the same formulas; where ranks share memory "
        "the\n"
        "  parameters are one copy and gathering moves nothing.\n"
        "\n"
        "step: training steps of CONFIG, without evaluation and without a run folder.\n"
        "  -n, --steps N       steps (default: 100); the first tenth of them, at most 10, are warm-up and not counted\n"
        "  -s, --set KEY=VALUE override a key of the config; may be repeated\n"
        "      --share-gpus    more ranks than GPUs are no mistake: some share one\n"
        "  Prints samples/s, step times, the phases of rank 0, and the arithmetic rate beside what a GEMM of 1024^3 "
        "reaches,\n"
        "  measured in the same process, times the cores at work; on GPUs a GEMM of up to 8192^3, times the GPUs. "
        "There\n"
        "  steps are timed in some 20 blocks, of 50 to 1000: min, p50 and p90 are of the blocks' means, of 10 at "
        "least.\n"
        "\n"
        "      --json          the result as JSON (schemas ddpt.bench.gemm.v1, ddpt.bench.memory.v1,\n"
        "                      ddpt.bench.allreduce.v1, ddpt.bench.step.v1)\n"
        "  -h, --help          this text\n"
        "\n"
        "Exit status: 0 measured; 1 an error of ddpt or the system; 2 usage or configuration; 3 data; 5 back end not\n"
        "available; 6 a rank was lost; 7 the loss is no longer finite; 130 interrupted (Ctrl-C).\n",
    .run = run,
};
