#include "run_checkpoint_manifest.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- layout ---- */

static base_status gather_pieces(run_job *job, base_arena *arena, run_checkpoint_layout *layout)
{
    const run_state *state = layout->state;
    int64_t count = state->save_count;
    int64_t *counts = BASE_NEW_ARRAY(arena, int64_t, job->info.size);
    BASE_TRY(comm_world_agree(job->world, counts ? BASE_OK : BASE_ERROR));
    BASE_TRY(comm_world_all_gather(job->world, &count, sizeof count, counts));
    for (int r = 0; r < job->info.size; r++)
        if (counts[r] > layout->most_pieces)
            layout->most_pieces = counts[r];
    size_t most = (size_t)layout->most_pieces;
    run_checkpoint_piece *mine = BASE_NEW_ARRAY(arena, run_checkpoint_piece, most);
    run_checkpoint_piece *all = BASE_NEW_ARRAY(arena, run_checkpoint_piece, most * (size_t)job->info.size);
    BASE_TRY(comm_world_agree(job->world, mine && all ? BASE_OK : BASE_ERROR));
    for (int i = 0; i < state->save_count; i++)
        mine[i] =
            (run_checkpoint_piece){state->save[i].tensor, (int64_t)state->save[i].first, (int64_t)state->save[i].count};
    layout->piece_counts = counts;
    layout->pieces = all;
    return comm_world_all_gather(job->world, mine, most * sizeof *mine, all);
}

static base_status describe(run_job *job, base_arena *arena, run_checkpoint_layout *layout)
{
    BASE_TRY(run_state_describe(job, arena, &layout->state));
    BASE_TRY(run_state_graph_digest(job, layout->graph_digest));
    BASE_TRY(run_data_digest(job->train_data, layout->data_digest));
    char *json = json_dumps(job->config->echo, JSON_COMPACT | JSON_REAL_PRECISION(15));
    layout->config_json = json ? base_arena_string(arena, json) : NULL;
    free(json);
    return layout->config_json ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for the configuration");
}

base_status run_checkpoint_layout_create(run_job *job, base_arena *arena, run_checkpoint_layout *layout)
{
    layout->job = job;
    BASE_TRY(comm_world_agree(job->world, describe(job, arena, layout)));
    return gather_pieces(job, arena, layout);
}

/* ---- manifest ---- */

static int by_first(const void *a, const void *b)
{
    uint64_t x = ((const ckpt_piece *)a)->first, y = ((const ckpt_piece *)b)->first;
    return (x > y) - (x < y);
}

typedef struct builder {
    const run_checkpoint_layout *layout;
    const uint64_t *(*checksums)(void *context, int rank);
    void *context;
    ckpt_tensor *tensors;
    ckpt_piece **pieces;   /* a tensor */
    uint64_t *shard_bytes; /* a rank */
} builder;

static const run_checkpoint_piece *pieces_of(const run_checkpoint_layout *layout, int rank)
{
    return layout->pieces + (int64_t)rank * layout->most_pieces;
}

/* Room for each tensor's pieces. */
static base_status count_pieces(builder *self, base_arena *arena)
{
    const run_checkpoint_layout *layout = self->layout;
    for (int r = 0; r < layout->job->info.size; r++)
        for (int64_t i = 0; i < layout->piece_counts[r]; i++)
            self->tensors[pieces_of(layout, r)[i].tensor].piece_count++;
    for (int t = 0; t < layout->state->tensor_count; t++) {
        self->pieces[t] = BASE_NEW_ARRAY(arena, ckpt_piece, self->tensors[t].piece_count);
        if (!self->pieces[t])
            return BASE_ERROR;
        self->tensors[t].pieces = self->pieces[t];
        self->tensors[t].piece_count = 0;
    }
    return BASE_OK;
}

static void add_shard(builder *self, int rank)
{
    const run_checkpoint_layout *layout = self->layout;
    const uint64_t *checksums = self->checksums(self->context, rank);
    for (int64_t i = 0; i < layout->piece_counts[rank]; i++) {
        const run_checkpoint_piece *piece = &pieces_of(layout, rank)[i];
        ckpt_tensor *tensor = &self->tensors[piece->tensor];
        uint64_t nbytes = (uint64_t)piece->count * ckpt_dtype_size(tensor->dtype);
        self->pieces[piece->tensor][tensor->piece_count++] = (ckpt_piece){.shard = (uint32_t)rank,
                                                                          .offset = self->shard_bytes[rank],
                                                                          .nbytes = nbytes,
                                                                          .first = (uint64_t)piece->first,
                                                                          .xxh64 = checksums[i]};
        self->shard_bytes[rank] += nbytes;
    }
}

static base_status add_tensors(builder *self, base_arena *arena)
{
    const run_checkpoint_layout *layout = self->layout;
    int count = layout->state->tensor_count, size = layout->job->info.size;
    self->tensors = BASE_NEW_ARRAY(arena, ckpt_tensor, count);
    self->pieces = BASE_NEW_ARRAY(arena, ckpt_piece *, count);
    self->shard_bytes = BASE_NEW_ARRAY(arena, uint64_t, size);
    if (!self->tensors || !self->pieces || !self->shard_bytes)
        return BASE_ERROR;
    memcpy(self->tensors, layout->state->tensors, (size_t)count * sizeof *self->tensors);
    BASE_TRY(count_pieces(self, arena));
    for (int r = 0; r < size; r++)
        add_shard(self, r);
    for (int t = 0; t < count; t++)
        qsort(self->pieces[t], (size_t)self->tensors[t].piece_count, sizeof(ckpt_piece), by_first);
    return BASE_OK;
}

static base_status add_optimizer(const run_config_optimizer *o, base_arena *arena, ckpt_manifest *manifest)
{
    const ckpt_scalar scalars[] = {{"lr", (double)o->lr},
                                   {"weight_decay", (double)o->weight_decay},
                                   {"clip_norm", o->clip_norm},
                                   {"momentum", (double)o->momentum},
                                   {"nesterov", (double)o->nesterov},
                                   {"beta1", (double)o->beta1},
                                   {"beta2", (double)o->beta2},
                                   {"epsilon", (double)o->epsilon}};
    enum { COMMON = 3, SGD_END = 5, ALL = sizeof scalars / sizeof *scalars };
    ckpt_scalar *list = BASE_NEW_ARRAY(arena, ckpt_scalar, ALL);
    if (!list)
        return BASE_ERROR;
    int is_sgd = o->type == RUN_OPTIMIZER_SGD;
    for (int i = 0; i < ALL; i++)
        if (i < COMMON || is_sgd == (i < SGD_END))
            list[manifest->scalar_count++] = scalars[i];
    manifest->optimizer = run_optimizer_name(o->type);
    manifest->scalars = list;
    return BASE_OK;
}

base_status run_checkpoint_manifest(const run_checkpoint_layout *layout, const ckpt_position *position,
                                    const uint64_t *(*checksums)(void *context, int rank), void *context,
                                    base_arena *arena, const ckpt_manifest **out)
{
    const run_config *config = layout->job->config;
    builder self = {.layout = layout, .checksums = checksums, .context = context};
    ckpt_manifest *manifest = BASE_NEW(arena, ckpt_manifest);
    if (!manifest)
        return BASE_ERROR;
    BASE_TRY(add_tensors(&self, arena));
    BASE_TRY(add_optimizer(&config->train.optimizer, arena, manifest));
    manifest->ddpt_version = DDPT_VERSION;
    manifest->saved_at = (int64_t)time(NULL);
    manifest->config_json = layout->config_json;
    manifest->config_digest = config->digest;
    manifest->graph_digest = layout->graph_digest;
    manifest->data_digest = layout->data_digest;
    manifest->position = *position;
    manifest->seed = config->train.seed;
    manifest->world_size = layout->job->info.size;
    manifest->shard_count = layout->job->info.size;
    manifest->shard_bytes = self.shard_bytes;
    manifest->tensor_count = layout->state->tensor_count;
    manifest->tensors = self.tensors;
    *out = manifest;
    return BASE_OK;
}
