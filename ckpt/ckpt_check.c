/* The order matters: a name is quoted in messages only after it is known to be fit for a terminal, and sums are made
 * only of numbers that are known not to overflow. */
#include "ckpt_check.h"

#include "ckpt_layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- texts ---- */

static int is_name(const char *text)
{
    if (!text || !*text)
        return 0;
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return 0;
    return 1;
}

static int is_digest(const char *text)
{
    return text && strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16;
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Sorts `names`. */
static base_status check_unique(const char **names, size_t count, const char *what)
{
    qsort(names, count, sizeof *names, compare_texts);
    for (size_t i = 1; i < count; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            return BASE_FAIL(BASE_CKPT, "two %s have the name '%.200s'", what, names[i]);
    return BASE_OK;
}

static base_status check_texts(const ckpt_manifest *manifest)
{
    if (!is_name(manifest->ddpt_version))
        return BASE_FAIL(BASE_CKPT, "the version of ddpt that wrote it is missing or has control characters");
    if (!manifest->config_json || !*manifest->config_json)
        return BASE_FAIL(BASE_CKPT, "the configuration is missing");
    if (!is_digest(manifest->config_digest))
        return BASE_FAIL(BASE_CKPT, "the digest of the configuration is not 16 digits of 0-9a-f");
    if (!is_digest(manifest->graph_digest))
        return BASE_FAIL(BASE_CKPT, "the digest of the graph is not 16 digits of 0-9a-f");
    if (manifest->data_digest && manifest->data_digest[0] && !is_digest(manifest->data_digest))
        return BASE_FAIL(BASE_CKPT, "the digest of the data is not 16 digits of 0-9a-f");
    if (!is_name(manifest->optimizer))
        return BASE_FAIL(BASE_CKPT, "the name of the optimizer is missing or has control characters");
    return BASE_OK;
}

/* ---- numbers ---- */

static base_status check_position(const ckpt_position *p)
{
    if (p->step < 0 || p->epoch < 0)
        return BASE_FAIL(BASE_CKPT, "step %lld of epoch %lld: both must be at least 0", (long long)p->step,
                         (long long)p->epoch);
    if (p->steps_per_epoch < 1 || p->global_batch < 1 || p->epoch_samples < 1)
        return BASE_FAIL(BASE_CKPT,
                         "%lld steps an epoch, a global batch of %lld, %lld samples an epoch: each must be at least 1",
                         (long long)p->steps_per_epoch, (long long)p->global_batch, (long long)p->epoch_samples);
    if (p->step_in_epoch < 0 || p->step_in_epoch > p->steps_per_epoch)
        return BASE_FAIL(BASE_CKPT, "step %lld in an epoch of %lld: 0 to %lld are possible",
                         (long long)p->step_in_epoch, (long long)p->steps_per_epoch, (long long)p->steps_per_epoch);
    if (!isfinite(p->loss) || !isfinite(p->epoch_loss_sum) || !isfinite(p->epoch_correct_sum))
        return BASE_FAIL(BASE_CKPT, "the loss is %g, the epoch's sums are %g and %g: all must be finite", p->loss,
                         p->epoch_loss_sum, p->epoch_correct_sum);
    return BASE_OK;
}

static base_status check_numbers(const ckpt_manifest *manifest)
{
    if (manifest->saved_at < 0)
        return BASE_FAIL(BASE_CKPT, "its time is %lld s since 1970, at least 0 is possible",
                         (long long)manifest->saved_at);
    if (manifest->world_size < 1)
        return BASE_FAIL(BASE_CKPT, "it was written by %d ranks, at least 1 is possible", manifest->world_size);
    if (manifest->shard_count < 0 || manifest->shard_count > CKPT_SHARDS_MAX)
        return BASE_FAIL(BASE_CKPT, "it has %d shards, at most %d are possible", manifest->shard_count,
                         CKPT_SHARDS_MAX);
    return check_position(&manifest->position);
}

static base_status check_scalars(const ckpt_manifest *manifest)
{
    size_t count = (size_t)manifest->scalar_count;
    const char **names = calloc(count ? count : 1, sizeof *names);
    if (!names)
        return BASE_FAIL(BASE_ERROR, "out of memory for the names of %zu scalars", count);
    base_status status = BASE_OK;
    for (size_t i = 0; i < count && status == BASE_OK; i++) {
        const ckpt_scalar *scalar = &manifest->scalars[i];
        names[i] = scalar->name;
        if (!is_name(scalar->name))
            status = BASE_FAIL(BASE_CKPT, "the name of scalar %zu is missing or has control characters", i);
        else if (!isfinite(scalar->value))
            status = BASE_FAIL(BASE_CKPT, "the scalar '%.200s' is %g: it must be finite", scalar->name, scalar->value);
    }
    if (status == BASE_OK)
        status = check_unique(names, count, "scalars");
    free(names);
    return status;
}

/* ---- tensors ---- */

static base_status check_shape(const ckpt_tensor *tensor)
{
    if (tensor->role < CKPT_ROLE_PARAMETER || tensor->role > CKPT_ROLE_RUNNING_STATISTIC)
        return BASE_FAIL(BASE_CKPT, "tensor '%.200s' has role %d, 1 to %d are known", tensor->name, (int)tensor->role,
                         CKPT_ROLE_RUNNING_STATISTIC);
    if (ckpt_dtype_size(tensor->dtype) == 0)
        return BASE_FAIL(BASE_CKPT, "tensor '%.200s' has dtype %d, 1 is known", tensor->name, (int)tensor->dtype);
    if (tensor->dim_count < 1 || tensor->dim_count > CKPT_DIMS_MAX)
        return BASE_FAIL(BASE_CKPT, "tensor '%.200s' has %d dimensions, 1 to %d are possible", tensor->name,
                         tensor->dim_count, CKPT_DIMS_MAX);
    uint64_t elements = ckpt_layout_elements(tensor->dims, tensor->dim_count);
    if (elements == 0)
        return BASE_FAIL(BASE_CKPT, "tensor '%.200s' has a dimension of 0, or more bytes than 64 bits can count",
                         tensor->name);
    if (elements != tensor->elements)
        return BASE_FAIL(BASE_CKPT, "tensor '%.200s' has %llu elements, its dimensions make %llu", tensor->name,
                         (unsigned long long)tensor->elements, (unsigned long long)elements);
    return BASE_OK;
}

/* `next`: the first element that no piece holds yet. */
static base_status check_piece(const ckpt_manifest *manifest, const ckpt_tensor *tensor, const ckpt_piece *piece,
                               uint64_t next)
{
    size_t size = ckpt_dtype_size(tensor->dtype);
    if (piece->shard >= (uint32_t)manifest->shard_count)
        return BASE_FAIL(BASE_CKPT, "tensor '%.200s' has elements in shard %lu, but there are %d shards", tensor->name,
                         (unsigned long)piece->shard, manifest->shard_count);
    if (piece->nbytes == 0 || piece->nbytes % size != 0)
        return BASE_FAIL(BASE_CKPT, "tensor '%.200s' has a piece of %llu bytes, its elements have %zu", tensor->name,
                         (unsigned long long)piece->nbytes, size);
    if (piece->first != next || piece->nbytes / size > tensor->elements - next)
        return BASE_FAIL(BASE_CKPT,
                         "tensor '%.200s' of %llu elements has a piece of %llu from element %llu on where one that "
                         "begins at %llu is expected",
                         tensor->name, (unsigned long long)tensor->elements, (unsigned long long)(piece->nbytes / size),
                         (unsigned long long)piece->first, (unsigned long long)next);
    uint64_t room = manifest->shard_bytes[piece->shard];
    if (piece->offset > room || piece->nbytes > room - piece->offset)
        return BASE_FAIL(BASE_CKPT, "tensor '%.200s' has %llu bytes at %llu of shard %lu, which has only %llu",
                         tensor->name, (unsigned long long)piece->nbytes, (unsigned long long)piece->offset,
                         (unsigned long)piece->shard, (unsigned long long)room);
    return BASE_OK;
}

static base_status check_tensor(const ckpt_manifest *manifest, const ckpt_tensor *tensor)
{
    uint64_t next = 0;
    BASE_TRY(check_shape(tensor));
    for (int i = 0; i < tensor->piece_count; i++) {
        BASE_TRY(check_piece(manifest, tensor, &tensor->pieces[i], next));
        next += tensor->pieces[i].nbytes / ckpt_dtype_size(tensor->dtype);
    }
    if (next != tensor->elements)
        return BASE_FAIL(BASE_CKPT, "tensor '%.200s' has %llu elements, its pieces hold %llu", tensor->name,
                         (unsigned long long)tensor->elements, (unsigned long long)next);
    return BASE_OK;
}

static base_status check_tensors(const ckpt_manifest *manifest)
{
    size_t count = (size_t)manifest->tensor_count;
    const char **names = calloc(count ? count : 1, sizeof *names);
    if (!names)
        return BASE_FAIL(BASE_ERROR, "out of memory for the names of %zu tensors", count);
    base_status status = BASE_OK;
    for (size_t i = 0; i < count && status == BASE_OK; i++) {
        names[i] = manifest->tensors[i].name;
        if (!is_name(names[i]))
            status = BASE_FAIL(BASE_CKPT, "the name of tensor %zu is missing or has control characters", i);
        else
            status = check_tensor(manifest, &manifest->tensors[i]);
    }
    if (status == BASE_OK)
        status = check_unique(names, count, "tensors");
    free(names);
    return status;
}

/* ---- shards ---- */

static base_status check_filled(const ckpt_manifest *manifest, const ckpt_placed *placed, size_t count)
{
    size_t at = 0;
    for (int shard = 0; shard < manifest->shard_count; shard++) {
        uint64_t end = 0;
        for (; at < count && placed[at].piece->shard == (uint32_t)shard; at++) {
            const ckpt_piece *piece = placed[at].piece;
            if (piece->offset != end)
                return BASE_FAIL(BASE_CKPT, "shard %d is filled up to byte %llu and goes on with '%.200s' at %llu",
                                 shard, (unsigned long long)end, placed[at].tensor->name,
                                 (unsigned long long)piece->offset);
            end += piece->nbytes;
        }
        if (end != manifest->shard_bytes[shard])
            return BASE_FAIL(BASE_CKPT, "shard %d has %llu bytes, its pieces fill %llu", shard,
                             (unsigned long long)manifest->shard_bytes[shard], (unsigned long long)end);
    }
    return BASE_OK;
}

/* Pieces that lie end to end from byte 0 on and hold whole elements begin at multiples of an element's size. */
static base_status check_shards(const ckpt_manifest *manifest)
{
    ckpt_placed *placed;
    size_t count;
    BASE_TRY(ckpt_layout_sort(manifest, &placed, &count));
    base_status status = check_filled(manifest, placed, count);
    free(placed);
    return status;
}

base_status ckpt_check(const ckpt_manifest *manifest)
{
    BASE_TRY(check_texts(manifest));
    BASE_TRY(check_numbers(manifest));
    BASE_TRY(check_scalars(manifest));
    BASE_TRY(check_tensors(manifest));
    return check_shards(manifest);
}
