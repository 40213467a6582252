#include "comm_launcher.h"

#include <stddef.h>
#include <stdlib.h>

/* In this order: mpiexec inside an allocation starts its own helpers with srun, whose count is then the number of nodes
 * and not of ranks, so SLURM's variables count only where nobody closer to the process has spoken. */
static const struct {
    const char *name, *variable;
} known[] = {
    {"Open MPI", "OMPI_COMM_WORLD_SIZE"},
    {"PALS", "PALS_SIZE"},
    {"flux", "FLUX_JOB_SIZE"},
    {"jsrun", "JSM_NAMESPACE_SIZE"},
    {"MVAPICH", "MV2_COMM_WORLD_SIZE"},
    {"hydra", "PMI_SIZE"},
    {"srun", "SLURM_STEP_NUM_TASKS"},
};

static int positive(const char *text)
{
    char *end;
    long value = text ? strtol(text, &end, 10) : 0;
    return text && *text && *end == '\0' && value > 0 && value < 100000000 ? (int)value : 0;
}

comm_launcher comm_launcher_detect(void)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        int size = positive(getenv(known[i].variable));
        if (!size)
            continue;
        comm_launcher found = {.name = known[i].name, .variable = known[i].variable, .size = size};
        /* srun and Cray's launcher speak hydra's protocol and set its variables too. */
        if (getenv("PMI_SIZE") && !getenv("HYDI_CONTROL_FD") && getenv("SLURM_STEP_ID"))
            found.name = "srun";
        return found;
    }
    return (comm_launcher){.name = getenv("PMIX_RANK") ? "PMIx" : "none"};
}
