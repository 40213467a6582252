/* launch_cores.h: the cores of this machine divided among the workers of a job. */
#ifndef LAUNCH_CORES_H
#define LAUNCH_CORES_H

#include "base_status.h"

#include <hwloc.h>

/* Divides `allowed` (processors by the system's numbers) among `workers`: sets that share no core, with all the
 * hardware threads of a core that are allowed, near each other, as equal as may be; together all of `allowed`. *text
 * becomes "0-1;2-3", a list for each worker (LAUNCH_CORES_VARIABLE), which the caller frees; NULL where there are more
 * workers than cores. *count: how many cores there are.
 *
 * `near`: (workers) the processors that each would rather have, those near its GPU; or NULL. The sets go to the workers
 * in the order of these on the machine: near where GPUs are spread over it as cores are, and never at the cost of a
 * core that nobody has. */
base_status launch_cores_divide(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, int workers,
                                const hwloc_bitmap_t *near, char **text, int *count);

/* The same for the processors that this process may use. `buses`: (gpu_count) where the GPUs are on the PCI bus; worker
 * i has number i modulo gpu_count. */
base_status launch_cores_plan(int workers, const char *const *buses, int gpu_count, char **text, int *count);

#endif
