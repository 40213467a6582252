/* The encoding, against bytes written by hand. */
#include "ckpt_test.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

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
    const ckpt_manifest *found = ckpt_test_unpack(file, n);
    ckpt_test_assert_same(found, &manifest);
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
        ckpt_test_assert_refused(file, make_file(parts, file), variants[i].refused);
    }
}

/* ---- the envelope ---- */

static void newer_format_is_told_from_damage(void **state)
{
    (void)state;
    uint8_t file[1024];
    size_t n = make_file(by_hand, file);
    file[1] = 2;
    ckpt_test_assert_refused(file, n, "is of format 2, written by a newer ddpt; this one reads format 1");
    file[1] = 0x7f;
    ckpt_test_assert_refused(file, n, "is of format 127, written by a newer ddpt");
    file[1] = 0;
    ckpt_test_assert_refused(file, n, "is damaged");
}

static void checksum_must_agree(void **state)
{
    (void)state;
    uint8_t file[1024];
    size_t n = make_file(by_hand, file);
    file[5] ^= 0x10;
    ckpt_test_assert_refused(file, n, "does not have the checksum that it says");
    file[5] ^= 0x10;
    file[n - 1] ^= 1;
    ckpt_test_assert_refused(file, n, "does not have the checksum that it says");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CKPT_TEST_WITH_ARENA(bytes_are_those_of_the_format),
        CKPT_TEST_WITH_ARENA(other_bytes_are_refused),
        CKPT_TEST_WITH_ARENA(newer_format_is_told_from_damage),
        CKPT_TEST_WITH_ARENA(checksum_must_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
