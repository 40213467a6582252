#include "ckpt_manifest.h"

#include "ckpt_check.h"
#include "ckpt_wire.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

base_status ckpt_manifest_pack(const ckpt_manifest *manifest, uint8_t **bytes, size_t *nbytes)
{
    long long step = manifest->position.step;
    base_status status = ckpt_check(manifest);
    if (status == BASE_CKPT)
        return BASE_FAIL(BASE_CKPT, "the manifest for step %lld is wrong: %s", step, base_status_message());
    BASE_TRY(status);

    ckpt_wire_file file = {.format_version = CKPT_FORMAT_VERSION};
    uint8_t *content = ckpt_wire_pack(manifest, &file.manifest_nbytes);
    if (!content)
        return BASE_FAIL(BASE_ERROR, "out of memory for the manifest for step %lld", step);
    file.manifest = content;
    file.xxh64 = XXH64(content, file.manifest_nbytes, 0);
    uint8_t *packed = ckpt_wire_pack_file(&file, nbytes);
    free(content);
    if (!packed)
        return BASE_FAIL(BASE_ERROR, "out of memory for the manifest for step %lld", step);
    if (*nbytes > CKPT_MANIFEST_BYTES_MAX) {
        free(packed);
        return BASE_FAIL(BASE_CKPT, "the manifest for step %lld has %zu bytes, at most %zu are possible", step, *nbytes,
                         CKPT_MANIFEST_BYTES_MAX);
    }
    *bytes = packed;
    return BASE_OK;
}

/* The version comes before the checksum: a newer format may have another one. */
static base_status open_envelope(const char *what, const uint8_t *bytes, size_t nbytes, ckpt_wire_file *file)
{
    if (nbytes > CKPT_MANIFEST_BYTES_MAX)
        return BASE_FAIL(BASE_CKPT, "%s is damaged: it has %zu bytes, at most %zu are possible", what, nbytes,
                         CKPT_MANIFEST_BYTES_MAX);
    if (!ckpt_wire_unpack_file(bytes, nbytes, file) || file->format_version == 0)
        return BASE_FAIL(BASE_CKPT, "%s is damaged: its %zu bytes do not have the form of a manifest", what, nbytes);
    if (file->format_version > CKPT_FORMAT_VERSION)
        return BASE_FAIL(BASE_CKPT, "%s is of format %lu, written by a newer ddpt; this one reads format %d", what,
                         (unsigned long)file->format_version, CKPT_FORMAT_VERSION);
    if (XXH64(file->manifest, file->manifest_nbytes, 0) != file->xxh64)
        return BASE_FAIL(BASE_CKPT, "%s is damaged: its content does not have the checksum that it says", what);
    return BASE_OK;
}

base_status ckpt_manifest_unpack(const char *what, const uint8_t *bytes, size_t nbytes, base_arena *arena,
                                 const ckpt_manifest **manifest)
{
    ckpt_wire_file file = {0};
    BASE_TRY(open_envelope(what, bytes, nbytes, &file));
    const ckpt_manifest *found = ckpt_wire_unpack(file.manifest, file.manifest_nbytes, arena);
    if (!found)
        return BASE_FAIL(BASE_CKPT, "%s is damaged: its content does not have the form of a manifest", what);
    base_status status = ckpt_check(found);
    if (status == BASE_CKPT)
        return BASE_FAIL(BASE_CKPT, "%s is damaged: %s", what, base_status_message());
    BASE_TRY(status);
    *manifest = found;
    return BASE_OK;
}

const ckpt_tensor *ckpt_manifest_find(const ckpt_manifest *manifest, const char *name)
{
    for (int i = 0; i < manifest->tensor_count; i++)
        if (strcmp(manifest->tensors[i].name, name) == 0)
            return &manifest->tensors[i];
    return NULL;
}

const char *ckpt_role_name(ckpt_role role)
{
    switch (role) {
    case CKPT_ROLE_PARAMETER: return "parameter";
    case CKPT_ROLE_OPTIMIZER_STATE: return "optimizer state";
    case CKPT_ROLE_RUNNING_STATISTIC: return "running statistic";
    }
    return "unknown";
}

const char *ckpt_dtype_name(ckpt_dtype dtype)
{
    return dtype == CKPT_DTYPE_F32 ? "f32" : "unknown";
}

size_t ckpt_dtype_size(ckpt_dtype dtype)
{
    return dtype == CKPT_DTYPE_F32 ? sizeof(float) : 0;
}
