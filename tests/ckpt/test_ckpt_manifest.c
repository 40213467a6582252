#include "ckpt_test.h"
#include "ckpt_wire.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static base_arena *arena;

static int make_arena(void **state)
{
    (void)state;
    return base_arena_create(&arena, "test") != BASE_OK;
}

static int drop_arena(void **state)
{
    (void)state;
    base_arena_destroy(&arena);
    return 0;
}

static const ckpt_manifest *unpack(const void *bytes, size_t nbytes)
{
    const ckpt_manifest *found = NULL;
    if (ckpt_manifest_unpack("x/manifest.pb", bytes, nbytes, arena, &found) == BASE_OK) {
        assert_non_null(found);
        return found;
    }
    return NULL;
}

/* Fails, as a checkpoint, and says so in these words. */
static void assert_refused(const void *bytes, size_t nbytes, const char *text)
{
    const ckpt_manifest *found = NULL;
    base_status status = ckpt_manifest_unpack("x/manifest.pb", bytes, nbytes, arena, &found);
    const char *message = base_status_message();
    if (status != BASE_CKPT || strncmp(message, "x/manifest.pb is ", 17) != 0 || !strstr(message, text))
        fail_msg("status %d: '%s' where '%s' is expected", status, message, text);
    assert_null(found);
}

/* ---- what comes back ---- */

static void assert_same_tensor(const ckpt_tensor *a, const ckpt_tensor *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->role, b->role);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->dim_count, b->dim_count);
    assert_memory_equal(a->dims, b->dims, sizeof a->dims);
    assert_int_equal(a->elements, b->elements);
    assert_int_equal(a->piece_count, b->piece_count);
    for (int i = 0; i < a->piece_count; i++) {
        assert_int_equal(a->pieces[i].shard, b->pieces[i].shard);
        assert_int_equal(a->pieces[i].offset, b->pieces[i].offset);
        assert_int_equal(a->pieces[i].nbytes, b->pieces[i].nbytes);
        assert_int_equal(a->pieces[i].first, b->pieces[i].first);
        assert_int_equal(a->pieces[i].xxh64, b->pieces[i].xxh64);
    }
}

static void assert_same(const ckpt_manifest *a, const ckpt_manifest *b)
{
    assert_string_equal(a->ddpt_version, b->ddpt_version);
    assert_int_equal(a->saved_at, b->saved_at);
    assert_string_equal(a->config_json, b->config_json);
    assert_string_equal(a->config_digest, b->config_digest);
    assert_string_equal(a->graph_digest, b->graph_digest);
    assert_memory_equal(&a->position, &b->position, sizeof a->position); /* it has no padding */
    assert_int_equal(a->seed, b->seed);
    assert_string_equal(a->optimizer, b->optimizer);
    assert_int_equal(a->world_size, b->world_size);
    assert_int_equal(a->scalar_count, b->scalar_count);
    for (int i = 0; i < a->scalar_count; i++) {
        assert_string_equal(a->scalars[i].name, b->scalars[i].name);
        assert_memory_equal(&a->scalars[i].value, &b->scalars[i].value, sizeof(double));
    }
    assert_int_equal(a->shard_count, b->shard_count);
    assert_memory_equal(a->shard_bytes, b->shard_bytes, (size_t)a->shard_count * sizeof(uint64_t));
    assert_int_equal(a->tensor_count, b->tensor_count);
    for (int i = 0; i < a->tensor_count; i++)
        assert_same_tensor(&a->tensors[i], &b->tensors[i]);
}

static void everything_comes_back(void **state)
{
    (void)state;
    for (int shards = 1; shards <= TEST_SHARDS_MAX; shards++) {
        ckpt_test made;
        uint8_t *bytes;
        size_t nbytes;
        ckpt_test_fill(&made, 250, shards, 0);
        assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_OK);
        const ckpt_manifest *found = unpack(bytes, nbytes);
        assert_non_null(found);
        memset(bytes, 0xee, nbytes); /* nothing borrows them */
        free(bytes);
        assert_same(found, &made.manifest);
    }
}

static void largest_numbers_come_back(void **state)
{
    (void)state;
    ckpt_test made;
    uint8_t *bytes;
    size_t nbytes;
    ckpt_test_fill(&made, INT64_MAX, 2, 0);
    made.manifest.position.epoch = made.manifest.position.steps_per_epoch = made.manifest.position.step_in_epoch =
        made.manifest.position.global_batch = made.manifest.position.epoch_samples = INT64_MAX;
    made.manifest.seed = UINT64_MAX;
    made.manifest.world_size = INT32_MAX;
    made.scalars[0].value = -1e308;
    made.pieces[0][0].xxh64 = UINT64_MAX;
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_OK);
    const ckpt_manifest *found = unpack(bytes, nbytes);
    assert_non_null(found);
    assert_same(found, &made.manifest);
    free(bytes);
}

static void tensors_are_found_by_name(void **state)
{
    (void)state;
    ckpt_test made;
    ckpt_test_fill(&made, 250, 2, 0);
    assert_ptr_equal(ckpt_manifest_find(&made.manifest, "dense1/bias"), &made.tensors[1]);
    assert_null(ckpt_manifest_find(&made.manifest, "dense1"));
    assert_null(ckpt_manifest_find(&made.manifest, ""));
}

static void roles_and_types_have_names(void **state)
{
    (void)state;
    assert_string_equal(ckpt_role_name(CKPT_ROLE_PARAMETER), "parameter");
    assert_string_equal(ckpt_role_name(CKPT_ROLE_OPTIMIZER_STATE), "optimizer state");
    assert_string_equal(ckpt_role_name(CKPT_ROLE_RUNNING_STATISTIC), "running statistic");
    assert_string_equal(ckpt_role_name((ckpt_role)9), "unknown");
    assert_string_equal(ckpt_dtype_name(CKPT_DTYPE_F32), "f32");
    assert_int_equal(ckpt_dtype_size(CKPT_DTYPE_F32), 4);
    assert_int_equal(ckpt_dtype_size((ckpt_dtype)7), 0);
}

/* ---- bytes written by hand ---- */

/* A manifest of one scalar, one shard and one tensor of two elements, in parts that can be replaced. */
enum { VERSION, SAVED_AT, CONFIG, CONFIG_DIGEST, GRAPH_DIGEST, POSITION, SEED, OPTIMIZER, WORLD, SHARD, TENSOR, PARTS };

/* A field: its tag, the length where the tag's type (its low bits) is 2, then these bytes. Tag 0: the bytes alone. */
typedef struct part {
    uint8_t tag;
    const char *bytes;
    size_t nbytes;
} part;

#define PART(tag, text)                                                                                                \
    {                                                                                                                  \
        (tag), (text), sizeof(text) - 1                                                                                \
    }
#define NOTHING                                                                                                        \
    {                                                                                                                  \
        0, "", 0                                                                                                       \
    }

#define TENSOR_HEAD "\x0a\x01w\x10\x01\x18\x01"              /* w, parameter, f32 */
#define TENSOR_DIMS "\x22\x01\x02"                           /* (2) */
#define PIECE "\x18\x08\x29\x08\x07\x06\x05\x04\x03\x02\x01" /* 8 bytes; shard 0 and offset 0 are left out */
#define TENSOR_PIECES "\x2a\x0b" PIECE
#define SCALAR "\x0a\x01m\x11\0\0\0\0\0\0\xe0\x3f" /* m, 0.5 */
#define STEP "\x08\x03"
#define REST_OF_POSITION                                                                                               \
    "\x18\x03\x20\x0a\x28\x08\x30\x50"                                       /* epoch 0 is left out; 3 of 10, 8, 80 */ \
    "\x39\0\0\0\0\0\0\xe0\x3f\x41\0\0\0\0\0\0\xf8\x3f\x49\0\0\0\0\0\0\0\x40" /* 0.5, 1.5, 2 */

static const part by_hand[PARTS] = {
    [VERSION] = PART(0x0a, "1"),
    [SAVED_AT] = PART(0x10, "\x96\x01"), /* 150 */
    [CONFIG] = PART(0x1a, "{}"),
    [CONFIG_DIGEST] = PART(0x22, "0123456789abcdef"),
    [GRAPH_DIGEST] = PART(0x2a, "fedcba9876543210"),
    [POSITION] = PART(0x32, STEP REST_OF_POSITION),
    [SEED] = PART(0x38, "\x07"),
    [OPTIMIZER] = PART(0x42, "\x0a\x03sgd\x12\x0c" SCALAR),
    [WORLD] = PART(0x48, "\x01"),
    [SHARD] = PART(0x52, "\x08\x08"),
    [TENSOR] = PART(0x5a, TENSOR_HEAD TENSOR_DIMS TENSOR_PIECES),
};

/* Fields stay below 128 bytes here, so that a length is one. */
static size_t join(const part *parts, uint8_t *to)
{
    size_t n = 0;
    for (int i = 0; i < PARTS; i++) {
        if (parts[i].tag)
            to[n++] = parts[i].tag;
        if (parts[i].tag % 8 == 2)
            to[n++] = (uint8_t)parts[i].nbytes;
        memcpy(to + n, parts[i].bytes, parts[i].nbytes);
        n += parts[i].nbytes;
    }
    return n;
}

/* The envelope by hand: `length` takes one or two bytes here. */
static size_t envelop(const uint8_t *content, size_t n, uint8_t *to)
{
    uint64_t hash = XXH64(content, n, 0);
    size_t at = 0;
    to[at++] = 0x08;
    to[at++] = 1;
    to[at++] = 0x11;
    for (int i = 0; i < 8; i++)
        to[at++] = (uint8_t)(hash >> (8 * i));
    to[at++] = 0x1a;
    if (n >= 0x80)
        to[at++] = (uint8_t)(n | 0x80);
    to[at++] = (uint8_t)(n >= 0x80 ? n >> 7 : n);
    memcpy(to + at, content, n);
    return at + n;
}

static size_t make_file(const part *parts, uint8_t *file)
{
    uint8_t content[1024];
    return envelop(content, join(parts, content), file);
}

static void bytes_are_those_of_the_format(void **state)
{
    (void)state;
    const ckpt_piece piece = {.nbytes = 8, .xxh64 = 0x0102030405060708};
    const ckpt_tensor tensor = {.name = "w",
                                .role = CKPT_ROLE_PARAMETER,
                                .dtype = CKPT_DTYPE_F32,
                                .dim_count = 1,
                                .dims = {2},
                                .elements = 2,
                                .piece_count = 1,
                                .pieces = &piece};
    const ckpt_scalar scalar = {.name = "m", .value = 0.5};
    const uint64_t shard_bytes = 8;
    const ckpt_manifest manifest = {.ddpt_version = "1",
                                    .saved_at = 150,
                                    .config_json = "{}",
                                    .config_digest = "0123456789abcdef",
                                    .graph_digest = "fedcba9876543210",
                                    .position = {3, 0, 3, 10, 8, 80, 0.5, 1.5, 2.0},
                                    .seed = 7,
                                    .optimizer = "sgd",
                                    .scalar_count = 1,
                                    .scalars = &scalar,
                                    .world_size = 1,
                                    .shard_count = 1,
                                    .shard_bytes = &shard_bytes,
                                    .tensor_count = 1,
                                    .tensors = &tensor};
    uint8_t file[1024], *bytes;
    size_t n = make_file(by_hand, file), nbytes;
    assert_int_equal(ckpt_manifest_pack(&manifest, &bytes, &nbytes), BASE_OK);
    assert_int_equal(nbytes, n);
    assert_memory_equal(bytes, file, n);
    free(bytes);
    const ckpt_manifest *found = unpack(file, n);
    assert_non_null(found);
    assert_same(found, &manifest);
}

typedef struct variant {
    int part;
    part bytes;
    const char *refused;
} variant;

#define FORM "its content does not have the form of a manifest"
#define UNKNOWN "\x78\x01" /* field 15 */

/* Each has the right checksum: only the content is at fault. */
static const variant variants[] = {
    /* a field that nobody knows, in every message */
    {SEED, PART(0x38, "\x07" UNKNOWN), FORM},
    {POSITION, PART(0x32, STEP REST_OF_POSITION UNKNOWN), FORM},
    {OPTIMIZER, PART(0x42, "\x0a\x03sgd\x12\x0c" SCALAR UNKNOWN), FORM},
    {OPTIMIZER, PART(0x42, "\x0a\x03sgd\x12\x0e" SCALAR UNKNOWN), FORM},
    {SHARD, PART(0x52, "\x08\x08" UNKNOWN), FORM},
    {TENSOR, PART(0x5a, TENSOR_HEAD TENSOR_DIMS TENSOR_PIECES UNKNOWN), FORM},
    {TENSOR, PART(0x5a, TENSOR_HEAD TENSOR_DIMS "\x2a\x0d" PIECE UNKNOWN), FORM},
    /* another encoding of the same */
    {SAVED_AT, PART(0x10, "\x96\x81\x00"), FORM},                           /* a longer number */
    {SEED, PART(0x38, "\x01\x38\x07"), FORM},                               /* twice: the last counts */
    {SEED, PART(0x48, "\x01\x38\x07"), FORM},                               /* another order */
    {SHARD, PART(0x52, "\x08\x00\x08\x08"), FORM},                          /* twice, once as a default */
    {VERSION, PART(0x0a, "1\0x"), FORM},                                    /* text behind a NUL */
    {POSITION, PART(0x32, STEP "\x10\x00" REST_OF_POSITION), FORM},         /* a default spelt out */
    {POSITION, PART(0, "\x32\x02" STEP "\x32\x23" REST_OF_POSITION), FORM}, /* two that merge */
    {TENSOR, PART(0x5a, TENSOR_HEAD "\x20\x02" TENSOR_PIECES), FORM},       /* dimensions not packed */
    /* no message at all */
    {SEED, PART(0x3b, "\x07"), FORM},
    {WORLD, PART(0x48, ""), FORM},
    {TENSOR, PART(0, "\x5a\x7f\x0a"), FORM},
    {SEED, PART(0, "\x07"), FORM},
    {SEED, PART(0x3a, "\x07"), FORM},
    /* parts that are missing */
    {VERSION, NOTHING, "version of ddpt"},
    {CONFIG, NOTHING, "the configuration is missing"},
    {CONFIG_DIGEST, NOTHING, "digest of the configuration"},
    {GRAPH_DIGEST, NOTHING, "digest of the graph"},
    {POSITION, NOTHING, "each must be at least 1"},
    {OPTIMIZER, NOTHING, "name of the optimizer"},
    {WORLD, NOTHING, "written by 0 ranks"},
    {SHARD, NOTHING, "there are 0 shards"},
    {TENSOR, NOTHING, "its pieces fill 0"},
    /* numbers that do not fit where they are kept */
    {WORLD, PART(0x48, "\xff\xff\xff\xff\x0f"), "written by -1 ranks"},
    {TENSOR, PART(0x5a, TENSOR_HEAD "\x22\x09\x02\x01\x01\x01\x01\x01\x01\x01\x01" TENSOR_PIECES), "has 9 dimensions"},
    {TENSOR, PART(0x5a, TENSOR_HEAD TENSOR_PIECES), "has 0 dimensions"},
    {TENSOR, PART(0x5a, "\x0a\x01w\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x18\x01" TENSOR_DIMS TENSOR_PIECES),
     "has role -1"},
};

static void other_bytes_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        part parts[PARTS];
        uint8_t file[1024];
        memcpy(parts, by_hand, sizeof parts);
        parts[variants[i].part] = variants[i].bytes;
        assert_refused(file, make_file(parts, file), variants[i].refused);
    }
}

/* ---- the envelope ---- */

static void newer_format_is_told_from_damage(void **state)
{
    (void)state;
    uint8_t file[1024];
    size_t n = make_file(by_hand, file);
    file[1] = 2;
    assert_refused(file, n, "is of format 2, written by a newer ddpt; this one reads format 1");
    file[1] = 0x7f;
    assert_refused(file, n, "is of format 127, written by a newer ddpt");
    file[1] = 0;
    assert_refused(file, n, "is damaged");
}

static void checksum_must_agree(void **state)
{
    (void)state;
    uint8_t file[1024];
    size_t n = make_file(by_hand, file);
    file[5] ^= 0x10;
    assert_refused(file, n, "does not have the checksum that it says");
    file[5] ^= 0x10;
    file[n - 1] ^= 1;
    assert_refused(file, n, "does not have the checksum that it says");
}

static void what_is_no_manifest_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[4096] = {0};
    assert_refused(bytes, 0, "0 bytes do not have the form of a manifest");
    for (int value = 0; value < 256; value++) {
        memset(bytes, value, sizeof bytes);
        assert_refused(bytes, sizeof bytes, "is damaged");
    }
    assert_refused(bytes, CKPT_MANIFEST_BYTES_MAX + 1, "at most 536870912 are possible"); /* not looked at */
}

/* The checksum covers the content, the form of the envelope the rest. */
static void no_byte_can_change(void **state)
{
    (void)state;
    ckpt_test made;
    uint8_t *bytes;
    size_t nbytes;
    ckpt_test_fill(&made, 250, 3, 0);
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_OK);
    for (size_t i = 0; i < nbytes; i++)
        for (int change = 1; change < 256; change++) {
            bytes[i] ^= (uint8_t)change;
            assert_refused(bytes, nbytes, "");
            bytes[i] ^= (uint8_t)change;
        }
    assert_non_null(unpack(bytes, nbytes));
    free(bytes);
}

static void no_length_but_its_own_is_taken(void **state)
{
    (void)state;
    ckpt_test made;
    uint8_t *bytes;
    size_t nbytes;
    ckpt_test_fill(&made, 250, 3, 0);
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_OK);
    for (size_t n = 0; n < nbytes; n++) {
        uint8_t *cut = malloc(n ? n : 1); /* so that a sanitizer sees a read behind its end */
        assert_non_null(cut);
        memcpy(cut, bytes, n);
        assert_refused(cut, n, "is damaged");
        free(cut);
    }
    uint8_t *longer = calloc(nbytes + 9, 1);
    assert_non_null(longer);
    memcpy(longer, bytes, nbytes);
    for (size_t n = nbytes + 1; n <= nbytes + 9; n++)
        assert_refused(longer, n, "is damaged");
    free(longer);
    free(bytes);
}

/* ---- rules ---- */

/* Each breaks rule number `rule` and returns what the failure says; NULL when there is no such rule. */
static const char *break_manifest(ckpt_test *m, int rule)
{
    switch (rule) {
    case 0: m->manifest.ddpt_version = ""; return "version of ddpt";
    case 1: m->manifest.ddpt_version = "1\x1b[2J"; return "version of ddpt";
    case 2: m->manifest.config_json = ""; return "the configuration is missing";
    case 3: m->manifest.config_digest = "0123456789abcde"; return "digest of the configuration";
    case 4: m->manifest.config_digest = "0123456789abcdef0"; return "digest of the configuration";
    case 5: m->manifest.graph_digest = "0123456789abcdeg"; return "digest of the graph";
    case 6: m->manifest.saved_at = INT64_MIN; return "its time is -9223372036854775808";
    case 7: m->manifest.world_size = 0; return "written by 0 ranks";
    case 8: m->manifest.position.step = -1; return "step -1 of epoch 2";
    case 9: m->manifest.position.epoch = -1; return "step 250 of epoch -1";
    case 10: m->manifest.position.step_in_epoch = 101; return "step 101 in an epoch of 100: 0 to 100";
    case 11: m->manifest.position.step_in_epoch = -1; return "step -1 in an epoch of 100";
    case 12: m->manifest.position.steps_per_epoch = 0; return "0 steps an epoch";
    case 13: m->manifest.position.global_batch = 0; return "a global batch of 0";
    case 14: m->manifest.position.epoch_samples = -5; return "-5 samples an epoch";
    case 15: m->manifest.position.loss = HUGE_VAL; return "the loss is inf";
    case 16: m->manifest.position.epoch_loss_sum = NAN; return "must be finite";
    case 17: m->manifest.position.epoch_correct_sum = NAN; return "must be finite";
    case 18: m->manifest.optimizer = ""; return "name of the optimizer";
    case 19: m->scalars[1].name = ""; return "name of scalar 1";
    case 20: m->scalars[0].value = -HUGE_VAL; return "'learning_rate' is -inf";
    case 21: m->scalars[1].name = "learning_rate"; return "two scalars have the name 'learning_rate'";
    }
    return NULL;
}

static const char *break_tensor(ckpt_test *m, int rule)
{
    switch (rule) {
    case 0: m->tensors[2].name = ""; return "name of tensor 2";
    case 1: m->tensors[2].name = "a\nb"; return "name of tensor 2";
    case 2: m->tensors[2].name = "a\x7f"; return "name of tensor 2";
    case 3: m->tensors[3].name = "dense1/weight"; return "two tensors have the name 'dense1/weight'";
    case 4: m->tensors[1].role = (ckpt_role)0; return "'dense1/bias' has role 0, 1 to 3 are known";
    case 5: m->tensors[1].role = (ckpt_role)4; return "'dense1/bias' has role 4";
    case 6: m->tensors[1].dtype = (ckpt_dtype)0; return "'dense1/bias' has dtype 0";
    case 7: m->tensors[1].dtype = (ckpt_dtype)2; return "'dense1/bias' has dtype 2";
    case 8: m->tensors[0].dims[1] = 0; return "has a dimension of 0";
    case 9:
        m->tensors[0].dims[0] = m->tensors[0].dims[1] = UINT64_C(1) << 33;
        return "more bytes than 64 bits can count";
    case 10:
        m->tensors[0].dims[0] = m->tensors[0].dims[1] = UINT64_C(1) << 31;
        return "more bytes than 64 bits can count";
    case 11:
        m->tensors[0].dims[0] = 34;
        m->tensors[0].elements += 50;
        return "'dense1/weight' has 1700 elements, its pieces hold 1650";
    }
    return NULL;
}

static const char *break_piece(ckpt_test *m, int rule)
{
    switch (rule) {
    case 0: m->tensors[0].piece_count--; return "has 1650 elements, its pieces hold 1100";
    case 1: m->tensors[0].piece_count = 0; return "has 1650 elements, its pieces hold 0";
    case 2: m->pieces[0][1] = m->pieces[0][0]; return "where one that begins at 550 is expected";
    case 3: m->pieces[0][1].first++; return "from element 551 on where one that begins at 550";
    case 4: m->pieces[0][1].first--; return "from element 549 on where one that begins at 550";
    case 5: m->pieces[0][0] = m->pieces[0][1]; return "from element 550 on where one that begins at 0";
    case 6: m->pieces[0][1].nbytes = 0; return "a piece of 0 bytes";
    case 7: m->pieces[0][1].nbytes -= 1; return "a piece of 2199 bytes, its elements have 4";
    case 8: m->pieces[0][2].nbytes -= 4; return "its pieces hold 1649";
    case 9: m->pieces[0][2].nbytes += 4; return "has a piece of 551";
    case 10: m->pieces[0][2].nbytes = UINT64_MAX - 3; return "has a piece of 4611686018427387903";
    case 11: m->pieces[0][1].shard = 3; return "in shard 3, but there are 3 shards";
    case 12: m->pieces[0][1].shard = UINT32_MAX; return "in shard 4294967295";
    case 13: m->pieces[0][1].shard = 2; return "shard 1 is filled up to byte 0";
    case 14: m->pieces[0][1].offset = UINT64_MAX - 3; return "which has only";
    case 15: m->pieces[4][2].offset -= 1; return "shard 2 is filled up to";
    case 16: m->pieces[4][2].offset -= 4; return "shard 2 is filled up to";
    case 17: m->shard_bytes[2] += 4; return "shard 2 has 4424 bytes, its pieces fill 4420";
    case 18: m->shard_bytes[2] = UINT64_MAX; return "its pieces fill 4420";
    case 19: m->shard_bytes[2] -= 4; return "shard 2, which has only 4416";
    }
    return NULL;
}

static const char *(*const breaks[])(ckpt_test *m, int rule) = {break_manifest, break_tensor, break_piece};

/* A manifest that breaks a rule; the next one at each call, NULL behind the last. */
static const char *next_broken(ckpt_test *made, size_t *kind, int *rule)
{
    for (; *kind < sizeof breaks / sizeof *breaks; ++*kind, *rule = 0) {
        ckpt_test_fill(made, 250, 3, 0);
        const char *text = breaks[*kind](made, (*rule)++);
        if (text)
            return text;
    }
    return NULL;
}

static void broken_rules_are_named_when_packing(void **state)
{
    (void)state;
    ckpt_test made;
    size_t kind = 0;
    int rule = 0;
    for (const char *text; (text = next_broken(&made, &kind, &rule));) {
        uint8_t *bytes;
        size_t nbytes;
        base_status status = ckpt_manifest_pack(&made.manifest, &bytes, &nbytes);
        if (status != BASE_CKPT || !strstr(base_status_message(), text))
            fail_msg("status %d: '%s' where '%s' is expected", status, base_status_message(), text);
    }
}

/* The same on the way in, past the check on the way out. */
static void broken_rules_are_named_when_unpacking(void **state)
{
    (void)state;
    ckpt_test made;
    size_t kind = 0;
    int rule = 0;
    for (const char *text; (text = next_broken(&made, &kind, &rule));) {
        ckpt_wire_file file = {.format_version = CKPT_FORMAT_VERSION};
        size_t nbytes;
        uint8_t *content = ckpt_wire_pack(&made.manifest, &file.manifest_nbytes);
        assert_non_null(content);
        file.manifest = content;
        file.xxh64 = XXH64(content, file.manifest_nbytes, 0);
        uint8_t *bytes = ckpt_wire_pack_file(&file, &nbytes);
        assert_non_null(bytes);
        assert_refused(bytes, nbytes, text);
        free(content);
        free(bytes);
    }
}

static void missing_texts_are_refused(void **state)
{
    (void)state;
    ckpt_test made;
    uint8_t *bytes;
    size_t nbytes;
    ckpt_test_fill(&made, 250, 3, 0);
    made.manifest.ddpt_version = NULL;
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_CKPT);
    ckpt_test_fill(&made, 250, 3, 0);
    made.manifest.config_json = NULL;
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_CKPT);
    ckpt_test_fill(&made, 250, 3, 0);
    made.tensors[1].name = NULL;
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_CKPT);
}

static void what_may_be_empty_is_taken(void **state)
{
    (void)state;
    ckpt_test made;
    uint8_t *bytes;
    size_t nbytes;
    ckpt_test_fill(&made, 0, 3, 0);
    made.manifest.scalar_count = 0;
    made.manifest.shard_count = made.manifest.tensor_count = 0; /* nothing but a position */
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_OK);
    const ckpt_manifest *found = unpack(bytes, nbytes);
    assert_non_null(found);
    assert_same(found, &made.manifest);
    free(bytes);

    ckpt_test_fill(&made, 0, 3, 0);
    made.manifest.shard_count = 4; /* a rank that had nothing to write */
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_OK);
    assert_non_null(unpack(bytes, nbytes));
    free(bytes);
}

/* ---- size ---- */

/* Pieces lie in the shards from the last to the first: a check that took a square of their number would not end. */
static void many_pieces_are_no_trouble(void **state)
{
    (void)state;
    enum { MANY = 300000, SHARDS = 100 };
    static ckpt_piece pieces[MANY];
    static uint64_t shard_bytes[SHARDS];
    ckpt_test made;
    uint8_t *bytes;
    size_t nbytes;
    ckpt_test_fill(&made, 250, 1, 0);
    for (int i = 0; i < MANY; i++)
        pieces[i] = (ckpt_piece){.shard = (uint32_t)(i % SHARDS),
                                 .offset = (uint64_t)(MANY / SHARDS - 1 - i / SHARDS) * 4,
                                 .nbytes = 4,
                                 .first = (uint64_t)i,
                                 .xxh64 = (uint64_t)i};
    for (int i = 0; i < SHARDS; i++)
        shard_bytes[i] = MANY / SHARDS * 4;
    made.tensors[0].dims[0] = MANY;
    made.tensors[0].dims[1] = 1;
    made.tensors[0].elements = MANY;
    made.tensors[0].piece_count = MANY;
    made.tensors[0].pieces = pieces;
    made.manifest.tensor_count = 1;
    made.manifest.shard_count = SHARDS;
    made.manifest.shard_bytes = shard_bytes;
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_OK);
    const ckpt_manifest *found = unpack(bytes, nbytes);
    assert_non_null(found);
    assert_same(found, &made.manifest);
    free(bytes);
}

/* Two bytes of input can stand for a structure of a hundred; a file may not make us ask for memory without bound. */
static void small_file_cannot_ask_for_all_memory(void **state)
{
    (void)state;
    static const char fields[] = "\x5a\x52\x32\x42"; /* tensors, shards, positions, optimizers */
    enum { MANY = 500000 };
    ckpt_wire_file file = {.format_version = CKPT_FORMAT_VERSION, .manifest_nbytes = 2 * (size_t)MANY};
    uint8_t *content = malloc(file.manifest_nbytes);
    assert_non_null(content);
    for (int f = 0; f < 4; f++) {
        for (size_t i = 0; i < MANY; i++) {
            content[2 * i] = (uint8_t)fields[f];
            content[2 * i + 1] = 0;
        }
        file.manifest = content;
        file.xxh64 = XXH64(content, file.manifest_nbytes, 0);
        size_t nbytes, before = base_arena_bytes();
        uint8_t *bytes = ckpt_wire_pack_file(&file, &nbytes);
        assert_non_null(bytes);
        assert_refused(bytes, nbytes, "is damaged");
        assert_true(base_arena_bytes() - before < 128 * nbytes);
        free(bytes);
    }
    free(content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_comes_back, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(largest_numbers_come_back, make_arena, drop_arena),
        cmocka_unit_test(tensors_are_found_by_name),
        cmocka_unit_test(roles_and_types_have_names),
        cmocka_unit_test_setup_teardown(bytes_are_those_of_the_format, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(other_bytes_are_refused, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(newer_format_is_told_from_damage, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(checksum_must_agree, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(what_is_no_manifest_is_refused, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(no_byte_can_change, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(no_length_but_its_own_is_taken, make_arena, drop_arena),
        cmocka_unit_test(broken_rules_are_named_when_packing),
        cmocka_unit_test_setup_teardown(broken_rules_are_named_when_unpacking, make_arena, drop_arena),
        cmocka_unit_test(missing_texts_are_refused),
        cmocka_unit_test_setup_teardown(what_may_be_empty_is_taken, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(many_pieces_are_no_trouble, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(small_file_cannot_ask_for_all_memory, make_arena, drop_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
