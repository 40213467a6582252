/* A node's ranks: finding them, their memory, their barrier. */
#include "comm_node.h"

#include "comm_native.h"
#include "comm_segment.h"
#include "comm_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct comm_node_memory {
    comm_segment segment;
};

static void append_file(char *text, size_t size, const char *path)
{
    size_t used = strlen(text);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (!fgets(text + used, (int)(size - used), file))
        text[used] = '\0';
    fclose(file);
}

static void append_link(char *text, size_t size, const char *path)
{
    size_t used = strlen(text);
    ssize_t n = readlink(path, text + used, size - used - 1);
    text[used + (n > 0 ? (size_t)n : 0)] = '\0';
}

/* Ranks share a node when all of this is equal. It is stricter than shared memory needs (an emulated cluster, or
 * containers on one machine, are as many nodes as they look like), because a node too many costs speed and one too few
 * fails. */
static void describe_node(const char *host, char *text, size_t size)
{
    const char *slurm = getenv("SLURMD_NODENAME");
    snprintf(text, size, "%s %s ", host, slurm ? slurm : "");
    append_file(text, size, "/proc/sys/kernel/random/boot_id");
    append_link(text, size, "/proc/self/ns/pid");
    append_link(text, size, "/proc/self/ns/net");
}

enum { KEY_BYTES = 512 };

/* `keys`: (size) texts of KEY_BYTES. A node's index is the lowest of its ranks. */
static int node_of(const char *keys, int rank)
{
    for (int r = 0; r < rank; r++)
        if (strcmp(keys + (size_t)r * KEY_BYTES, keys + (size_t)rank * KEY_BYTES) == 0)
            return r;
    return rank;
}

base_status comm_node_find(comm_world *world, int *index)
{
    comm_world_info *info = &world->info;
    char key[KEY_BYTES] = "";
    describe_node(info->host, key, sizeof key);
    char *keys = calloc((size_t)info->size, KEY_BYTES);
    if (!keys)
        comm_world_no_memory(world);
    base_status status = comm_native_all_gather(world->all, key, KEY_BYTES, keys, &world->patience);
    *index = status == BASE_OK ? node_of(keys, info->rank) : 0;
    info->nodes = info->node_size = info->node_rank = 0;
    for (int r = 0; status == BASE_OK && r < info->size; r++) {
        int node = node_of(keys, r);
        info->nodes += node == r;
        info->node_size += node == *index;
        info->node_rank += node == *index && r < info->rank;
    }
    free(keys);
    return status;
}

base_status comm_node_memory_create(comm_world *self, size_t nbytes, comm_node_memory **memory)
{
    comm_node_memory *made = calloc(1, sizeof *made);
    base_status status = made ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for a node's memory");
    status = comm_native_agree(self, self->node, status);
    if (status == BASE_OK)
        status = comm_segment_create(self, nbytes, &made->segment);
    if (status != BASE_OK) {
        free(made);
        return base_status_frame(status, __FILE__, __LINE__);
    }
    *memory = made;
    return BASE_OK;
}

void *comm_node_memory_data(const comm_node_memory *memory)
{
    return memory->segment.data;
}

void comm_node_memory_destroy(comm_node_memory **memory)
{
    if (!*memory)
        return;
    comm_segment_destroy(&(*memory)->segment);
    free(*memory);
    *memory = NULL;
}

base_status comm_node_barrier(comm_world *self)
{
    if (self->info.node_size == 1)
        return BASE_OK;
    return comm_native_barrier(self->node, &self->patience);
}
