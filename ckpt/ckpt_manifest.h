/* ckpt_manifest.h: what a checkpoint is, as a C struct, and its form in manifest.pb (ckpt.proto, FORMAT.md).
 *
 * A manifest names every tensor of the state and says in which shard its elements lie. Shards are raw; only the
 * manifest goes through protobuf-c, so that no field comes near the 2 GiB that protobuf-c can hold.
 * All functions are Local.
 */
#ifndef CKPT_MANIFEST_H
#define CKPT_MANIFEST_H

#include "base_arena.h"
#include "base_status.h"

#include <stddef.h>
#include <stdint.h>

enum { CKPT_FORMAT_VERSION = 1 };

/* Limits that pack and unpack hold every manifest to. */
enum { CKPT_DIMS_MAX = 8, CKPT_SHARDS_MAX = 1000000 };
#define CKPT_MANIFEST_BYTES_MAX ((size_t)512 * 1024 * 1024)

typedef enum ckpt_role { CKPT_ROLE_PARAMETER = 1, CKPT_ROLE_OPTIMIZER_STATE, CKPT_ROLE_RUNNING_STATISTIC } ckpt_role;
typedef enum ckpt_dtype { CKPT_DTYPE_F32 = 1 } ckpt_dtype;

/* A run of elements that lies in one place. */
typedef struct ckpt_piece {
    uint32_t shard;
    uint64_t offset, nbytes; /* in the shard */
    uint64_t first;          /* element of the tensor */
    uint64_t xxh64;          /* of the bytes, seed 0 */
} ckpt_piece;

typedef struct ckpt_tensor {
    const char *name;
    ckpt_role role;
    ckpt_dtype dtype;
    int dim_count; /* 1 .. CKPT_DIMS_MAX */
    uint64_t dims[CKPT_DIMS_MAX];
    uint64_t elements; /* product of dims, at least 1 */
    int piece_count;   /* ordered by `first`; together every element once */
    const ckpt_piece *pieces;
} ckpt_tensor;

typedef struct ckpt_scalar {
    const char *name;
    double value;
} ckpt_scalar;

/* Where training stood (ckpt.proto has the fields' meanings). */
typedef struct ckpt_position {
    int64_t step, epoch, step_in_epoch, steps_per_epoch;
    int64_t global_batch;  /* samples */
    int64_t epoch_samples; /* training samples of an epoch */
    double loss, epoch_loss_sum, epoch_correct_sum;
} ckpt_position;

typedef struct ckpt_manifest {
    const char *ddpt_version;
    int64_t saved_at; /* Unix time, s */
    const char *config_json, *config_digest, *graph_digest;
    const char *data_digest; /* "" (or NULL when packed): not known */
    ckpt_position position;
    uint64_t seed;
    const char *optimizer; /* "sgd", "adam", "adamw" */
    int scalar_count;
    const ckpt_scalar *scalars;
    int world_size;
    int shard_count;
    const uint64_t *shard_bytes; /* (shard_count) */
    int tensor_count;
    const ckpt_tensor *tensors;
} ckpt_manifest;

/* The bytes of manifest.pb, malloc'd; the caller frees. BASE_CKPT when the manifest breaks a rule of FORMAT.md (an
 * error of ours), BASE_ERROR when memory is short. */
base_status ckpt_manifest_pack(const ckpt_manifest *manifest, uint8_t **bytes, size_t *nbytes);

/* The reverse for bytes from anywhere: everything is checked, so that whoever holds a manifest can rely on it: version,
 * checksum, no field that does not belong, no number out of range, names unique, tensors' pieces complete, shards
 * filled without gap or overlap. The manifest lives in `arena`; nothing borrows `bytes`. BASE_CKPT begins with `what`
 * ("run/ckpt/step-00000500/manifest.pb"): "... is damaged: <how>", or for a higher version "... is of format 2, written
 * by a newer ddpt; this one reads format 1". */
base_status ckpt_manifest_unpack(const char *what, const uint8_t *bytes, size_t nbytes, base_arena *arena,
                                 const ckpt_manifest **manifest);

/* By name; NULL if there is none. */
const ckpt_tensor *ckpt_manifest_find(const ckpt_manifest *manifest, const char *name);

const char *ckpt_role_name(ckpt_role role);    /* "parameter", "optimizer state", "running statistic" */
const char *ckpt_dtype_name(ckpt_dtype dtype); /* "f32" */
size_t ckpt_dtype_size(ckpt_dtype dtype);      /* bytes */

#endif
