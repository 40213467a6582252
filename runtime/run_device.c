#include "run_device.h"

#include "base_log.h"
#include "base_switch.h"

#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a rank tells the others. */
typedef struct claim {
    int has;
    char host[256], bus[32];
} claim;

/* The plug-in brings some 200 MB of libraries with it: not loaded in vain on every machine without a GPU. Who names a
 * plug-in means it. */
int run_device_seems_to_be_there(void)
{
    static const char *const signs[] = {"/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg", "/dev/kfd"};
    const char *given = getenv("DDPT_GPU_PLUGIN");
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (access(signs[i], F_OK) == 0)
            return 1;
    return given && *given;
}

/* *count: how many there are. */
static base_status find_gpu(int node_rank, run_device_choice *choice, int *count)
{
    run_plugin_gpu gpu;
    BASE_TRY(run_plugin_load(&choice->plugin));
    BASE_TRY(choice->plugin->count(count));
    choice->index = node_rank % *count;
    BASE_TRY(choice->plugin->describe(choice->index, &gpu));
    snprintf(choice->name, sizeof choice->name, "%s", gpu.name);
    snprintf(choice->bus, sizeof choice->bus, "%s", gpu.bus);
    return BASE_OK;
}

static int may_share(void)
{
    return base_switch_index(BASE_SWITCH_SHARE_GPUS) == 1;
}

/* The first rank that has none, or -1. */
static int first_without(const claim *all, int size)
{
    for (int r = 0; r < size; r++)
        if (!all[r].has)
            return r;
    return -1;
}

/* The first rank that has the same GPU as `rank`. */
static int first_owner(const claim *all, int rank)
{
    int r = 0;
    while (strcmp(all[r].host, all[rank].host) != 0 || strcmp(all[r].bus, all[rank].bus) != 0)
        r++;
    return r;
}

/* The first rank whose GPU another has, too, or -1. */
static int first_sharer(const claim *all, int size)
{
    for (int r = 0; r < size; r++)
        if (all[r].has && first_owner(all, r) != r)
            return r;
    return -1;
}

static int count_gpus(const claim *all, int size)
{
    int count = 0;
    for (int r = 0; r < size; r++)
        count += first_owner(all, r) == r;
    return count;
}

static base_status refuse_sharing(const claim *all, int rank)
{
    return BASE_FAIL(BASE_DEVICE,
                     "ranks %d and %d of %s would share the GPU %s: start at most a rank a GPU, or let them share with "
                     "--share-gpus",
                     first_owner(all, rank), rank, all[rank].host, all[rank].bus);
}

/* All ranks come to the same end: they look at the same claims. */
static base_status settle(run_device wanted, const claim *all, int size, run_device_choice *choice)
{
    int without = first_without(all, size), sharer = first_sharer(all, size);
    choice->shared = sharer >= 0;
    choice->gpus = count_gpus(all, size);
    if (wanted == RUN_DEVICE_GPU)
        return choice->shared && !may_share() ? refuse_sharing(all, sharer) : BASE_OK;
    if (without < 0 && (!choice->shared || may_share()))
        return BASE_OK;
    if (without > 0 && all[0].has)
        BASE_INFO("train.device = \"auto\": rank %d has no GPU that it could use, so all compute on the cpu", without);
    if (without < 0)
        BASE_INFO("train.device = \"auto\": there are more ranks than GPUs, so all compute on the cpu");
    *choice = (run_device_choice){0};
    return BASE_OK;
}

base_status run_device_choose(comm_world *world, run_device wanted, run_device_choice *choice)
{
    const comm_world_info *info = comm_world_get_info(world);
    *choice = (run_device_choice){0};
    if (wanted == RUN_DEVICE_CPU)
        return BASE_OK;
    base_status status = BASE_OK;
    int count = 0;
    if (wanted == RUN_DEVICE_GPU || run_device_seems_to_be_there())
        status = find_gpu(info->node_rank, choice, &count);
    claim mine = {.has = status == BASE_OK && choice->plugin};
    claim *all = calloc((size_t)info->size, sizeof *all);
    if (wanted == RUN_DEVICE_AUTO && status != BASE_OK) {
        if (info->rank == 0) /* there seems to be one */
            BASE_WARN("train.device = \"auto\": on the cpu, since %s", base_status_message());
        base_status_clear();
        status = BASE_OK;
    }
    if (!all)
        status = BASE_FAIL(BASE_ERROR, "out of memory for the ranks' devices");
    snprintf(mine.host, sizeof mine.host, "%s", info->host);
    snprintf(mine.bus, sizeof mine.bus, "%s", choice->bus);
    status = comm_world_agree(world, status);
    if (status == BASE_OK)
        status = comm_world_all_gather(world, &mine, sizeof mine, all);
    if (status == BASE_OK)
        status = settle(wanted, all, info->size, choice);
    free(all);
    return status;
}

int run_device_has_for(int ranks, char note[RUN_DEVICE_NOTE])
{
    run_device_choice choice = {0};
    int count = 0, has = 0;
    if (!run_device_seems_to_be_there())
        snprintf(note, RUN_DEVICE_NOTE, "no GPU seems to be here");
    else if (find_gpu(0, &choice, &count) != BASE_OK)
        snprintf(note, RUN_DEVICE_NOTE, "%s", base_status_message());
    else if (ranks > count && !may_share())
        snprintf(note, RUN_DEVICE_NOTE, "there are more ranks than GPUs (%d)", count);
    else {
        has = 1;
        snprintf(note, RUN_DEVICE_NOTE, "%s", choice.name);
    }
    base_status_clear();
    return has;
}

/* ---- the cores next to it ---- */

static hwloc_const_cpuset_t cores_near(hwloc_topology_t topology, const char *bus)
{
    hwloc_obj_t device = hwloc_get_pcidev_by_busidstring(topology, bus);
    hwloc_obj_t place = device ? hwloc_get_non_io_ancestor_obj(topology, device) : NULL;
    return place ? place->cpuset : NULL;
}

static void bind_to(hwloc_topology_t topology, hwloc_const_cpuset_t near)
{
    hwloc_cpuset_t mine = hwloc_bitmap_alloc(), both = hwloc_bitmap_alloc();
    if (mine && both && hwloc_get_cpubind(topology, mine, HWLOC_CPUBIND_PROCESS) == 0) {
        hwloc_bitmap_and(both, mine, near);
        if (!hwloc_bitmap_iszero(both) && !hwloc_bitmap_isequal(both, mine))
            hwloc_set_cpubind(topology, both, HWLOC_CPUBIND_PROCESS);
    }
    hwloc_bitmap_free(mine);
    hwloc_bitmap_free(both);
}

void run_device_bind(const run_device_choice *choice)
{
    hwloc_topology_t topology;
    if (!choice->plugin || hwloc_topology_init(&topology) != 0)
        return;
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_PCI_DEVICE, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_const_cpuset_t near = hwloc_topology_load(topology) == 0 ? cores_near(topology, choice->bus) : NULL;
    if (near)
        bind_to(topology, near);
    hwloc_topology_destroy(topology);
}
