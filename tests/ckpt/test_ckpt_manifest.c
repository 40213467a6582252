#include "ckpt_test.h"
#include "ckpt_wire.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* ---- what comes back ---- */

static void everything_comes_back(void **state)
{
    (void)state;
    for (int shards = 1; shards <= TEST_SHARDS_MAX; shards++) {
        ckpt_test made;
        uint8_t *bytes;
        size_t nbytes;
        ckpt_test_fill(&made, 250, shards, 0);
        assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_OK);
        const ckpt_manifest *found = ckpt_test_unpack(bytes, nbytes);
        memset(bytes, 0xee, nbytes); /* nothing borrows them */
        free(bytes);
        ckpt_test_assert_same(found, &made.manifest);
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
    const ckpt_manifest *found = ckpt_test_unpack(bytes, nbytes);
    ckpt_test_assert_same(found, &made.manifest);
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

/* ---- what does not ---- */

static void what_is_no_manifest_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[4096] = {0};
    ckpt_test_assert_refused(bytes, 0, "0 bytes do not have the form of a manifest");
    for (int value = 0; value < 256; value++) {
        memset(bytes, value, sizeof bytes);
        ckpt_test_assert_refused(bytes, sizeof bytes, "is damaged");
    }
    ckpt_test_assert_refused(bytes, CKPT_MANIFEST_BYTES_MAX + 1, "at most 536870912 are possible"); /* not looked at */
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
            ckpt_test_assert_refused(bytes, nbytes, "");
            bytes[i] ^= (uint8_t)change;
        }
    ckpt_test_unpack(bytes, nbytes);
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
        ckpt_test_assert_refused(cut, n, "is damaged");
        free(cut);
    }
    uint8_t *longer = calloc(nbytes + 9, 1);
    assert_non_null(longer);
    memcpy(longer, bytes, nbytes);
    for (size_t n = nbytes + 1; n <= nbytes + 9; n++)
        ckpt_test_assert_refused(longer, n, "is damaged");
    free(longer);
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
    const ckpt_manifest *found = ckpt_test_unpack(bytes, nbytes);
    ckpt_test_assert_same(found, &made.manifest);
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
        ckpt_test_assert_refused(bytes, nbytes, "is damaged");
        assert_true(base_arena_bytes() - before < 128 * nbytes);
        free(bytes);
    }
    free(content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CKPT_TEST_WITH_ARENA(everything_comes_back),
        CKPT_TEST_WITH_ARENA(largest_numbers_come_back),
        CKPT_TEST_WITH_ARENA(tensors_are_found_by_name),
        CKPT_TEST_WITH_ARENA(roles_and_types_have_names),
        CKPT_TEST_WITH_ARENA(what_is_no_manifest_is_refused),
        CKPT_TEST_WITH_ARENA(no_byte_can_change),
        CKPT_TEST_WITH_ARENA(no_length_but_its_own_is_taken),
        CKPT_TEST_WITH_ARENA(many_pieces_are_no_trouble),
        CKPT_TEST_WITH_ARENA(small_file_cannot_ask_for_all_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
