/* A libFuzzer target for the reader of manifests; fuzz_manifest.sh builds and runs it.
 *
 * The first byte chooses what the rest is: a manifest.pb; the content of one, which gets an envelope with the right
 * checksum, which chance would never find; or numbers for a manifest that may break any rule, so that the rules are
 * tried without the lengths of nested messages having to be right. What is refused must be refused as damage, in one
 * line of printable text; what is taken must be fit to be used, and packing it must give the very same bytes.
 */
#include "ckpt_manifest.h"
#include "ckpt_wire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
    if (!holds)
        abort();
}

/* What a caller would rely on without asking. */
static void use_tensor(const ckpt_manifest *manifest, const ckpt_tensor *tensor)
{
    uint64_t elements = 1, next = 0;
    require(tensor->name[0] != '\0' && ckpt_manifest_find(manifest, tensor->name) == tensor);
    require(strcmp(ckpt_role_name(tensor->role), "unknown") != 0 && ckpt_dtype_size(tensor->dtype) == 4);
    require(tensor->dim_count >= 1 && tensor->dim_count <= CKPT_DIMS_MAX);
    for (int i = 0; i < tensor->dim_count; i++)
        elements *= tensor->dims[i];
    require(elements == tensor->elements && elements > 0);
    for (int i = 0; i < tensor->piece_count; i++) {
        const ckpt_piece *piece = &tensor->pieces[i];
        require(piece->first == next && piece->nbytes > 0);
        next += piece->nbytes / 4;
        require(piece->shard < (uint32_t)manifest->shard_count);
        require(piece->offset % 4 == 0 && piece->offset + piece->nbytes <= manifest->shard_bytes[piece->shard]);
    }
    require(next == elements);
}

static void use(const ckpt_manifest *manifest)
{
    uint64_t in_shards = 0, in_tensors = 0;
    require(strlen(manifest->config_digest) == 16 && strlen(manifest->graph_digest) == 16);
    require(manifest->config_json[0] && manifest->optimizer[0] && manifest->ddpt_version[0]);
    require(manifest->world_size >= 1 && manifest->position.step >= 0 && manifest->position.global_batch > 0);
    for (int i = 0; i < manifest->scalar_count; i++)
        require(manifest->scalars[i].name[0] != '\0');
    for (int i = 0; i < manifest->shard_count; i++)
        in_shards += manifest->shard_bytes[i];
    for (int i = 0; i < manifest->tensor_count; i++) {
        use_tensor(manifest, &manifest->tensors[i]);
        in_tensors += 4 * manifest->tensors[i].elements;
    }
    require(in_shards == in_tensors);
}

static void check_refusal(base_status status)
{
    require(status == BASE_CKPT && strncmp(base_status_message(), "x is ", 5) == 0);
    for (const char *c = base_status_message(); *c; c++)
        require((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void read_manifest(const uint8_t *bytes, size_t nbytes)
{
    base_arena *arena;
    const ckpt_manifest *manifest;
    require(base_arena_create(&arena, "fuzz") == BASE_OK);
    base_status status = ckpt_manifest_unpack("x", bytes, nbytes, arena, &manifest);
    if (status != BASE_OK) {
        check_refusal(status);
    } else {
        uint8_t *again;
        size_t again_nbytes;
        use(manifest);
        require(ckpt_manifest_pack(manifest, &again, &again_nbytes) == BASE_OK);
        require(again_nbytes == nbytes && memcmp(again, bytes, nbytes) == 0);
        free(again);
    }
    base_arena_destroy(&arena);
}

static void read_content(const uint8_t *content, size_t nbytes)
{
    size_t file_nbytes;
    const ckpt_wire_file file = {.format_version = CKPT_FORMAT_VERSION,
                                 .xxh64 = XXH64(content, nbytes, 0),
                                 .manifest = content,
                                 .manifest_nbytes = nbytes};
    uint8_t *bytes = ckpt_wire_pack_file(&file, &file_nbytes);
    require(bytes != NULL);
    read_manifest(bytes, file_nbytes);
    free(bytes);
}

/* ---- manifests from numbers ---- */

typedef struct source {
    const uint8_t *at;
    size_t left;
} source;

static unsigned next(source *self)
{
    return self->left ? (self->left--, *self->at++) : 0;
}

/* Small ones, multiples of an element's size, and some at the edges. */
static uint64_t number(source *self)
{
    static const uint64_t edges[] = {UINT64_MAX, UINT64_MAX - 3, INT64_MAX,      (uint64_t)INT64_MIN,
                                     UINT32_MAX, INT32_MAX,      1ULL << 32,     1ULL << 61,
                                     1ULL << 62, 1ULL << 31,     UINT64_MAX / 4, UINT64_MAX / 8};
    unsigned byte = next(self);
    if (byte < 64)
        return byte;
    return byte < 192 ? 4 * (byte - 64) : edges[byte % (sizeof edges / sizeof *edges)];
}

static double real(source *self)
{
    static const double edges[] = {0.0, -0.0, 1.5, -1e308, 5e-324, HUGE_VAL, -HUGE_VAL, NAN};
    return edges[next(self) % 8];
}

static const char *text(source *self)
{
    static const char *const texts[] = {"0123456789abcdef", "a", "b", "c", "{}", "", "a\n", "0123456789abcdeF", "\xff"};
    return texts[next(self) % (sizeof texts / sizeof *texts)];
}

enum { TENSORS = 4, PIECES = 4, SHARDS = 4, SCALARS = 2 };

typedef struct made {
    ckpt_manifest manifest;
    ckpt_tensor tensors[TENSORS];
    ckpt_piece pieces[TENSORS][PIECES];
    ckpt_scalar scalars[SCALARS];
    uint64_t shard_bytes[SHARDS];
} made;

static ckpt_piece make_piece(source *from)
{
    ckpt_piece piece = {.xxh64 = 7};
    piece.shard = (uint32_t)number(from);
    piece.offset = number(from);
    piece.nbytes = number(from);
    piece.first = number(from);
    return piece;
}

static void make_tensor(source *from, ckpt_tensor *tensor, ckpt_piece *pieces)
{
    tensor->name = text(from);
    tensor->role = (ckpt_role)(next(from) % 5);
    tensor->dtype = (ckpt_dtype)(next(from) % 3);
    tensor->dim_count = (int)(next(from) % (CKPT_DIMS_MAX + 1));
    tensor->piece_count = (int)(next(from) % (PIECES + 1));
    tensor->pieces = pieces;
    for (int i = 0; i < tensor->dim_count; i++)
        tensor->dims[i] = number(from);
    for (int i = 0; i < tensor->piece_count; i++)
        pieces[i] = make_piece(from);
}

static void make_position(source *from, ckpt_position *position)
{
    position->step = (int64_t)number(from);
    position->epoch = (int64_t)number(from);
    position->step_in_epoch = (int64_t)number(from);
    position->steps_per_epoch = (int64_t)number(from);
    position->global_batch = (int64_t)number(from);
    position->epoch_samples = (int64_t)number(from);
    position->loss = real(from);
    position->epoch_loss_sum = real(from);
    position->epoch_correct_sum = real(from);
}

static void make_manifest(source *from, made *to)
{
    *to = (made){.manifest = {.scalars = to->scalars, .shard_bytes = to->shard_bytes, .tensors = to->tensors}};
    ckpt_manifest *manifest = &to->manifest;
    manifest->ddpt_version = text(from);
    manifest->saved_at = (int64_t)number(from);
    manifest->config_json = text(from);
    manifest->config_digest = text(from);
    manifest->graph_digest = text(from);
    make_position(from, &manifest->position);
    manifest->seed = number(from);
    manifest->optimizer = text(from);
    manifest->world_size = (int)(uint32_t)number(from);
    manifest->scalar_count = (int)(next(from) % (SCALARS + 1));
    manifest->shard_count = (int)(next(from) % (SHARDS + 1));
    manifest->tensor_count = (int)(next(from) % (TENSORS + 1));
    for (int i = 0; i < manifest->scalar_count; i++) {
        to->scalars[i].name = text(from);
        to->scalars[i].value = real(from);
    }
    for (int i = 0; i < manifest->shard_count; i++)
        to->shard_bytes[i] = number(from);
    for (int i = 0; i < manifest->tensor_count; i++)
        make_tensor(from, &to->tensors[i], to->pieces[i]);
}

static void read_made(const uint8_t *data, size_t size)
{
    static made made;
    source from = {.at = data, .left = size};
    size_t nbytes;
    make_manifest(&from, &made);
    uint8_t *content = ckpt_wire_pack(&made.manifest, &nbytes);
    require(content != NULL);
    read_content(content, nbytes);
    free(content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const uint8_t *data, size_t size) = {read_manifest, read_content, read_made};
    if (size > 0)
        readers[data[0] % 3](data + 1, size - 1);
    return 0;
}
