#include "launch_mpiexec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *launch_mpiexec(void)
{
    const char *chosen = getenv("DDPT_MPIEXEC");
    if (chosen && *chosen)
        return chosen;
    return access(DDPT_MPIEXEC, X_OK) == 0 ? DDPT_MPIEXEC : "mpiexec";
}

static int is_on_path(const char *name)
{
    char file[PATH_MAX];
    for (const char *path = getenv("PATH"); path; path = strchr(path, ':') ? strchr(path, ':') + 1 : NULL) {
        int n = snprintf(file, sizeof file, "%.*s/%s", (int)strcspn(path, ":"), path, name);
        if (n > 0 && (size_t)n < sizeof file && access(file, X_OK) == 0)
            return 1;
    }
    return 0;
}

base_status launch_mpiexec_check(void)
{
    const char *name = launch_mpiexec();
    if (strchr(name, '/') ? access(name, X_OK) == 0 : is_on_path(name))
        return BASE_OK;
    return BASE_FAIL(BASE_ERROR,
                     "no mpiexec to start workers with (%s is not there): install the one of the MPI that ddpt was "
                     "built with (it was %s; Debian and Ubuntu: apt-get install mpich, or openmpi-bin), or set "
                     "DDPT_MPIEXEC to its path",
                     name, DDPT_MPIEXEC);
}

void launch_mpiexec_unbind(void)
{
    setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 0);
    setenv("PRTE_MCA_hwloc_default_binding_policy", "none", 0);
    setenv("HYDRA_BINDING", "none", 0);
    setenv("I_MPI_PIN", "0", 0);
}

void launch_mpiexec_without_blas_threads(void)
{
    setenv("OPENBLAS_NUM_THREADS", "1", 0);
}

/* Open MPI counts slots. Hydra would start its helpers through a batch system or ssh, out of our reach. */
void launch_mpiexec_stay_here(void)
{
    setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 0);
    setenv("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe", 0);
    setenv("HYDRA_RMK", "user", 1);
    setenv("HYDRA_LAUNCHER", "fork", 1);
    unsetenv("HYDRA_HOST_FILE");
}

base_status launch_mpiexec_program(char program[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", program, PATH_MAX - 1);
    if (n < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot find this program: /proc/self/exe");
    program[n] = '\0';
    return BASE_OK;
}
