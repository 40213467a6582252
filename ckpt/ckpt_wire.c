#include "ckpt_wire.h"

#include "base_budget.h"
#include "ckpt.pb-c.h"
#include "ckpt_layout.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef Ddpt__Ckpt__V1__File wire_file;
typedef Ddpt__Ckpt__V1__Manifest wire_manifest;
typedef Ddpt__Ckpt__V1__Position wire_position;
typedef Ddpt__Ckpt__V1__Optimizer wire_optimizer;
typedef Ddpt__Ckpt__V1__Scalar wire_scalar;
typedef Ddpt__Ckpt__V1__Shard wire_shard;
typedef Ddpt__Ckpt__V1__Tensor wire_tensor;
typedef Ddpt__Ckpt__V1__Piece wire_piece;

/* ---- what is common to all messages ---- */

static uint8_t *pack(const ProtobufCMessage *message, size_t *nbytes)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size ? size : 1);
    if (bytes)
        *nbytes = protobuf_c_message_pack(message, bytes);
    return bytes;
}

/* A buffer that keeps nothing of what is packed into it and compares it with what is there. */
typedef struct comparison {
    ProtobufCBuffer base;
    const uint8_t *rest;
    size_t nbytes;
    int differs;
} comparison;

static void compare(ProtobufCBuffer *buffer, size_t nbytes, const uint8_t *bytes)
{
    comparison *self = (comparison *)buffer;
    if (self->differs || nbytes > self->nbytes || memcmp(self->rest, bytes, nbytes) != 0) {
        self->differs = 1;
        return;
    }
    self->rest += nbytes;
    self->nbytes -= nbytes;
}

/* The same content has many encodings (order, explicit defaults, long numbers, text with a NUL in it). Only the one
 * that packing gives is taken, so that no byte can change unnoticed and what was read is all there was. */
static int packs_to(const ProtobufCMessage *message, const uint8_t *bytes, size_t nbytes)
{
    comparison self = {.base = {.append = compare}, .rest = bytes, .nbytes = nbytes};
    protobuf_c_message_pack_to_buffer(message, &self.base);
    return !self.differs && self.nbytes == 0;
}

/* ---- envelope ---- */

uint8_t *ckpt_wire_pack_file(const ckpt_wire_file *file, size_t *nbytes)
{
    wire_file to = DDPT__CKPT__V1__FILE__INIT;
    to.format_version = file->format_version;
    to.xxh64 = file->xxh64;
    to.manifest = (ProtobufCBinaryData){.len = file->manifest_nbytes, .data = (uint8_t *)file->manifest};
    return pack(&to.base, nbytes);
}

int ckpt_wire_unpack_file(const uint8_t *bytes, size_t nbytes, ckpt_wire_file *file)
{
    size_t budget = base_budget_for(nbytes);
    ProtobufCAllocator allocator = {.alloc = base_budget_alloc, .free = base_budget_free, .allocator_data = &budget};
    wire_file *from = ddpt__ckpt__v1__file__unpack(&allocator, nbytes, bytes);
    if (!from)
        return 0;
    int good = from->base.n_unknown_fields == 0 && packs_to(&from->base, bytes, nbytes);
    if (good)
        *file = (ckpt_wire_file){.format_version = from->format_version,
                                 .xxh64 = from->xxh64,
                                 .manifest = bytes + (nbytes - from->manifest.len), /* the last field */
                                 .manifest_nbytes = from->manifest.len};
    ddpt__ckpt__v1__file__free_unpacked(from, &allocator);
    return good;
}

/* ---- to the wire: every function returns 0 when memory is short ---- */

static int lay_scalars(wire_optimizer *to, const ckpt_manifest *from, base_arena *arena)
{
    wire_scalar *scalars = BASE_NEW_ARRAY(arena, wire_scalar, from->scalar_count);
    to->scalars = BASE_NEW_ARRAY(arena, wire_scalar *, from->scalar_count);
    if (!scalars || !to->scalars)
        return 0;
    to->n_scalars = (size_t)from->scalar_count;
    for (int i = 0; i < from->scalar_count; i++) {
        to->scalars[i] = &scalars[i];
        ddpt__ckpt__v1__scalar__init(&scalars[i]);
        scalars[i].name = (char *)from->scalars[i].name;
        scalars[i].value = from->scalars[i].value;
    }
    return 1;
}

static int lay_shards(wire_manifest *to, const ckpt_manifest *from, base_arena *arena)
{
    wire_shard *shards = BASE_NEW_ARRAY(arena, wire_shard, from->shard_count);
    to->shards = BASE_NEW_ARRAY(arena, wire_shard *, from->shard_count);
    if (!shards || !to->shards)
        return 0;
    to->n_shards = (size_t)from->shard_count;
    for (int i = 0; i < from->shard_count; i++) {
        to->shards[i] = &shards[i];
        ddpt__ckpt__v1__shard__init(&shards[i]);
        shards[i].nbytes = from->shard_bytes[i];
    }
    return 1;
}

static int lay_pieces(wire_tensor *to, const ckpt_tensor *from, base_arena *arena)
{
    wire_piece *pieces = BASE_NEW_ARRAY(arena, wire_piece, from->piece_count);
    to->pieces = BASE_NEW_ARRAY(arena, wire_piece *, from->piece_count);
    if (!pieces || !to->pieces)
        return 0;
    to->n_pieces = (size_t)from->piece_count;
    for (int i = 0; i < from->piece_count; i++) {
        const ckpt_piece *piece = &from->pieces[i];
        to->pieces[i] = &pieces[i];
        ddpt__ckpt__v1__piece__init(&pieces[i]);
        pieces[i].shard = piece->shard;
        pieces[i].offset_bytes = piece->offset;
        pieces[i].nbytes = piece->nbytes;
        pieces[i].first_element = piece->first;
        pieces[i].xxh64 = piece->xxh64;
    }
    return 1;
}

static int lay_tensors(wire_manifest *to, const ckpt_manifest *from, base_arena *arena)
{
    wire_tensor *tensors = BASE_NEW_ARRAY(arena, wire_tensor, from->tensor_count);
    to->tensors = BASE_NEW_ARRAY(arena, wire_tensor *, from->tensor_count);
    if (!tensors || !to->tensors)
        return 0;
    to->n_tensors = (size_t)from->tensor_count;
    for (int i = 0; i < from->tensor_count; i++) {
        const ckpt_tensor *tensor = &from->tensors[i];
        to->tensors[i] = &tensors[i];
        ddpt__ckpt__v1__tensor__init(&tensors[i]);
        tensors[i].name = (char *)tensor->name;
        tensors[i].role = (Ddpt__Ckpt__V1__Role)tensor->role;
        tensors[i].dtype = (Ddpt__Ckpt__V1__Dtype)tensor->dtype;
        tensors[i].n_dims = (size_t)tensor->dim_count;
        tensors[i].dims = (uint64_t *)tensor->dims;
        if (!lay_pieces(&tensors[i], tensor, arena))
            return 0;
    }
    return 1;
}

static wire_position position_to_wire(const ckpt_position *from)
{
    wire_position to = DDPT__CKPT__V1__POSITION__INIT;
    to.step = from->step;
    to.epoch = from->epoch;
    to.step_in_epoch = from->step_in_epoch;
    to.steps_per_epoch = from->steps_per_epoch;
    to.global_batch_samples = from->global_batch;
    to.epoch_samples = from->epoch_samples;
    to.loss = from->loss;
    to.epoch_loss_sum = from->epoch_loss_sum;
    to.epoch_correct_sum = from->epoch_correct_sum;
    return to;
}

uint8_t *ckpt_wire_pack(const ckpt_manifest *manifest, size_t *nbytes)
{
    base_arena *arena;
    if (base_arena_create(&arena, "manifest") != BASE_OK)
        return NULL;
    wire_position position = position_to_wire(&manifest->position);
    wire_optimizer optimizer = DDPT__CKPT__V1__OPTIMIZER__INIT;
    optimizer.kind = (char *)manifest->optimizer;
    wire_manifest to = DDPT__CKPT__V1__MANIFEST__INIT;
    to.ddpt_version = (char *)manifest->ddpt_version;
    to.saved_at_unix_s = manifest->saved_at;
    to.config_json = (char *)manifest->config_json;
    to.config_digest = (char *)manifest->config_digest;
    to.graph_digest = (char *)manifest->graph_digest;
    to.data_digest = manifest->data_digest ? (char *)manifest->data_digest : to.data_digest;
    to.position = &position;
    to.seed = manifest->seed;
    to.optimizer = &optimizer;
    to.world_size = (uint32_t)manifest->world_size;
    uint8_t *bytes = NULL;
    if (lay_scalars(&optimizer, manifest, arena) && lay_shards(&to, manifest, arena) &&
        lay_tensors(&to, manifest, arena))
        bytes = pack(&to.base, nbytes);
    base_arena_destroy(&arena);
    return bytes;
}

/* ---- from the wire ---- */

static int has_unknown_tensors(const wire_manifest *from)
{
    for (size_t i = 0; i < from->n_tensors; i++) {
        const wire_tensor *tensor = from->tensors[i];
        if (tensor->base.n_unknown_fields)
            return 1;
        for (size_t p = 0; p < tensor->n_pieces; p++)
            if (tensor->pieces[p]->base.n_unknown_fields)
                return 1;
    }
    return 0;
}

/* protobuf-c keeps fields that it does not know, in the message that they were found in. */
static int has_unknown(const wire_manifest *from)
{
    if (from->base.n_unknown_fields || (from->position && from->position->base.n_unknown_fields) ||
        (from->optimizer && from->optimizer->base.n_unknown_fields))
        return 1;
    for (size_t i = 0; from->optimizer && i < from->optimizer->n_scalars; i++)
        if (from->optimizer->scalars[i]->base.n_unknown_fields)
            return 1;
    for (size_t i = 0; i < from->n_shards; i++)
        if (from->shards[i]->base.n_unknown_fields)
            return 1;
    return has_unknown_tensors(from);
}

static int take_optimizer(ckpt_manifest *to, const wire_optimizer *from, base_arena *arena)
{
    static const wire_optimizer none = DDPT__CKPT__V1__OPTIMIZER__INIT;
    from = from ? from : &none;
    ckpt_scalar *scalars = BASE_NEW_ARRAY(arena, ckpt_scalar, from->n_scalars);
    to->optimizer = base_arena_string(arena, from->kind);
    if (!scalars || !to->optimizer)
        return 0;
    for (size_t i = 0; i < from->n_scalars; i++) {
        scalars[i] =
            (ckpt_scalar){.name = base_arena_string(arena, from->scalars[i]->name), .value = from->scalars[i]->value};
        if (!scalars[i].name)
            return 0;
    }
    to->scalar_count = (int)from->n_scalars;
    to->scalars = scalars;
    return 1;
}

static int take_shards(ckpt_manifest *to, const wire_manifest *from, base_arena *arena)
{
    uint64_t *shard_bytes = BASE_NEW_ARRAY(arena, uint64_t, from->n_shards);
    if (!shard_bytes)
        return 0;
    for (size_t i = 0; i < from->n_shards; i++)
        shard_bytes[i] = from->shards[i]->nbytes;
    to->shard_count = (int)from->n_shards;
    to->shard_bytes = shard_bytes;
    return 1;
}

/* One array for the pieces of all tensors: most have only one or two, and an arena rounds every request up. */
static ckpt_piece *new_pieces(const wire_manifest *from, base_arena *arena)
{
    size_t count = 0;
    for (size_t i = 0; i < from->n_tensors; i++)
        count += from->tensors[i]->n_pieces;
    return BASE_NEW_ARRAY(arena, ckpt_piece, count);
}

static void take_pieces(ckpt_piece *to, const wire_tensor *from)
{
    for (size_t i = 0; i < from->n_pieces; i++) {
        const wire_piece *piece = from->pieces[i];
        to[i] = (ckpt_piece){.shard = piece->shard,
                             .offset = piece->offset_bytes,
                             .nbytes = piece->nbytes,
                             .first = piece->first_element,
                             .xxh64 = piece->xxh64};
    }
}

static int take_tensors(ckpt_manifest *to, const wire_manifest *from, base_arena *arena)
{
    ckpt_tensor *tensors = BASE_NEW_ARRAY(arena, ckpt_tensor, from->n_tensors);
    ckpt_piece *pieces = new_pieces(from, arena);
    if (!tensors || !pieces)
        return 0;
    for (size_t i = 0; i < from->n_tensors; i++) {
        const wire_tensor *tensor = from->tensors[i];
        tensors[i] = (ckpt_tensor){.name = base_arena_string(arena, tensor->name),
                                   .role = (ckpt_role)tensor->role,
                                   .dtype = (ckpt_dtype)tensor->dtype,
                                   .dim_count = (int)tensor->n_dims, /* as found; what does not fit is not kept */
                                   .elements = ckpt_layout_elements(tensor->dims, (int)tensor->n_dims),
                                   .piece_count = (int)tensor->n_pieces,
                                   .pieces = pieces};
        for (size_t d = 0; d < tensor->n_dims && d < CKPT_DIMS_MAX; d++)
            tensors[i].dims[d] = tensor->dims[d];
        take_pieces(pieces, tensor);
        pieces += tensor->n_pieces;
        if (!tensors[i].name)
            return 0;
    }
    to->tensor_count = (int)from->n_tensors;
    to->tensors = tensors;
    return 1;
}

static ckpt_position position_from_wire(const wire_position *from)
{
    if (!from)
        return (ckpt_position){0};
    return (ckpt_position){.step = from->step,
                           .epoch = from->epoch,
                           .step_in_epoch = from->step_in_epoch,
                           .steps_per_epoch = from->steps_per_epoch,
                           .global_batch = from->global_batch_samples,
                           .epoch_samples = from->epoch_samples,
                           .loss = from->loss,
                           .epoch_loss_sum = from->epoch_loss_sum,
                           .epoch_correct_sum = from->epoch_correct_sum};
}

static ckpt_manifest *take_manifest(const wire_manifest *from, base_arena *arena)
{
    ckpt_manifest *to = BASE_NEW(arena, ckpt_manifest);
    if (!to)
        return NULL;
    *to = (ckpt_manifest){.ddpt_version = base_arena_string(arena, from->ddpt_version),
                          .saved_at = from->saved_at_unix_s,
                          .config_json = base_arena_string(arena, from->config_json),
                          .config_digest = base_arena_string(arena, from->config_digest),
                          .graph_digest = base_arena_string(arena, from->graph_digest),
                          .data_digest = base_arena_string(arena, from->data_digest),
                          .position = position_from_wire(from->position),
                          .seed = from->seed,
                          .world_size = from->world_size > INT_MAX ? -1 : (int)from->world_size};
    int whole = to->ddpt_version && to->config_json && to->config_digest && to->graph_digest && to->data_digest &&
                take_optimizer(to, from->optimizer, arena) && take_shards(to, from, arena) &&
                take_tensors(to, from, arena);
    return whole ? to : NULL;
}

ckpt_manifest *ckpt_wire_unpack(const uint8_t *bytes, size_t nbytes, base_arena *arena)
{
    size_t budget = base_budget_for(nbytes);
    ProtobufCAllocator allocator = {.alloc = base_budget_alloc, .free = base_budget_free, .allocator_data = &budget};
    wire_manifest *from = ddpt__ckpt__v1__manifest__unpack(&allocator, nbytes, bytes);
    if (!from)
        return NULL;
    ckpt_manifest *to = NULL;
    if (!has_unknown(from) && packs_to(&from->base, bytes, nbytes))
        to = take_manifest(from, arena);
    ddpt__ckpt__v1__manifest__free_unpacked(from, &allocator);
    return to;
}
