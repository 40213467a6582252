/* run_device.h: which device each rank computes on: train.device, the GPUs that are there, and who else wants them.
 *
 * A rank takes the GPU of its number among the ranks of its node, counted among those that the process may use
 * (CUDA_VISIBLE_DEVICES). Ranks share a GPU only where that is allowed: `ddpt train --share-gpus`, which sets
 * DDPT_SHARE_GPUS=1. device = "auto" takes GPUs where every rank gets one, the CPU otherwise.
 */
#ifndef RUN_DEVICE_H
#define RUN_DEVICE_H

#include "comm.h"
#include "run_config.h"
#include "run_plugin.h"

typedef struct run_device_choice {
    const run_plugin *plugin; /* NULL: the host */
    int index;                /* of the GPU among those of this process */
    char name[128], bus[32];  /* "" on the host */
    int shared;               /* some ranks share a GPU ... */
    int gpus;                 /* ... of so many in all; the same on all ranks */
} run_device_choice;

/* Local. Does this machine look as if it had a GPU? Asks for no library. */
int run_device_seems_to_be_there(void);

/* Local. What device = "auto" would take for `ranks` ranks of this node: 1: GPUs, of which `note` names the first; 0:
 * the CPU, and `note` says why. */
enum { RUN_DEVICE_NOTE = 512 };
int run_device_has_for(int ranks, char note[RUN_DEVICE_NOTE]);

/* Collective; all ranks get GPUs or none does. BASE_DEVICE, on all alike, for device = "gpu" where a rank has none, or
 * has to share it and may not. */
base_status run_device_choose(comm_world *world, run_device wanted, run_device_choice *choice);

/* Local. Keeps this process to those of the cores it may use that lie next to its GPU, if any does. */
void run_device_bind(const run_device_choice *choice);

#endif
