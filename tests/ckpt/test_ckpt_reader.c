#include "ckpt_reader.h"
#include "ckpt_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static ckpt_reader *open_sound(void)
{
    ckpt_reader *reader = NULL;
    if (ckpt_reader_open(ckpt_test_step_path(), NULL, 0, &reader) != BASE_OK)
        fail_msg("%s", base_status_message());
    return reader;
}

/* ---- reading ---- */

typedef struct taken {
    int run, tensor;
    uint64_t next, count;
} taken;

static base_status take(void *context, const ckpt_tensor *tensor, uint64_t first, uint64_t count, const void *elements)
{
    taken *self = context;
    const float *values = elements;
    assert_int_equal(first, self->next);
    assert_in_range(first + count, 1, tensor->elements);
    for (uint64_t i = 0; i < count; i++)
        assert_true(values[i] == ckpt_test_element(self->run, self->tensor, first + i));
    self->next += count;
    self->count += count;
    return BASE_OK;
}

static void assert_reads(ckpt_reader *reader, int run, int tensor, uint64_t first, uint64_t count)
{
    taken got = {.run = run, .tensor = tensor, .next = first};
    const ckpt_tensor *which = &ckpt_reader_manifest(reader)->tensors[tensor];
    if (ckpt_reader_read(reader, which, first, count, take, &got) != BASE_OK)
        fail_msg("%s", base_status_message());
    assert_int_equal(got.count, count);
}

static void all_elements_come_back(void **state)
{
    (void)state;
    for (int shards = 1; shards <= TEST_SHARDS_MAX; shards++) {
        ckpt_test_save(ckpt_test_path("ckpt"), TEST_STEP, shards, shards);
        ckpt_reader *reader = open_sound();
        assert_int_equal(ckpt_reader_manifest(reader)->world_size, shards);
        assert_string_equal(ckpt_reader_path(reader), ckpt_test_step_path());
        for (int t = 0; t < TEST_TENSORS; t++)
            assert_reads(reader, shards, t, 0, ckpt_reader_manifest(reader)->tensors[t].elements);
        assert_int_equal(ckpt_reader_verify(reader), BASE_OK);
        ckpt_reader_close(&reader);
        ckpt_reader_close(&reader);
        ckpt_test_empty_folder();
    }
}

static void any_range_comes_back(void **state)
{
    (void)state;
    static const uint64_t at[] = {0, 1, 2, 549, 550, 551, 825, 1099, 1100, 1101, 1649, 1650};
    enum { COUNT = sizeof at / sizeof *at };
    ckpt_reader *reader = open_sound();
    for (int i = 0; i < COUNT; i++)
        for (int j = i; j < COUNT; j++)
            assert_reads(reader, 0, 2, at[i], at[j] - at[i]);
    for (uint64_t i = 0; i < 7; i++)
        for (uint64_t j = i; j <= 7; j++)
            assert_reads(reader, 0, 4, i, j - i);
    ckpt_reader_close(&reader);
}

/* Bytes that are read at all are verified, whole pieces; others are not looked at. */
static void only_pieces_asked_for_are_read(void **state)
{
    (void)state;
    ckpt_reader *reader = open_sound();
    const ckpt_tensor *tensor = &ckpt_reader_manifest(reader)->tensors[0];
    assert_int_equal(unlink(ckpt_test_file("shard-0001.bin")), 0);
    assert_reads(reader, 0, 0, 0, 550);
    assert_reads(reader, 0, 0, 1100, 550);
    assert_int_equal(ckpt_reader_read(reader, tensor, 549, 2, NULL, NULL), BASE_CKPT);
    assert_non_null(strstr(base_status_message(), ckpt_test_file("shard-0001.bin")));
    assert_reads(reader, 0, 0, 0, 550); /* a reader goes on after a failure */
    ckpt_reader_close(&reader);
}

/* Reader and tensors of more than one chunk, with a shard that has no bytes. */
static void large_tensor_comes_in_chunks(void **state)
{
    (void)state;
    enum { LARGE = 700001 };
    ckpt_test made;
    uint8_t *bytes;
    size_t nbytes;
    ckpt_test_fill(&made, TEST_STEP, 1, 0);
    float *elements = malloc(LARGE * sizeof *elements);
    assert_non_null(elements);
    for (int i = 0; i < LARGE; i++)
        elements[i] = ckpt_test_element(0, 0, (uint64_t)i);
    made.pieces[0][0] =
        (ckpt_piece){.nbytes = LARGE * sizeof(float), .xxh64 = XXH64(elements, LARGE * sizeof(float), 0)};
    made.tensors[0].dims[0] = LARGE;
    made.tensors[0].dims[1] = 1;
    made.tensors[0].elements = LARGE;
    made.shard_bytes[0] = LARGE * sizeof(float);
    made.manifest.tensor_count = 1;
    made.manifest.shard_count = 2;
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &bytes, &nbytes), BASE_OK);
    ckpt_test_put(ckpt_test_file("shard-0000.bin"), elements, LARGE * sizeof(float));
    ckpt_test_put(ckpt_test_file("shard-0001.bin"), "", 0);
    ckpt_test_put(ckpt_test_file("manifest.pb"), bytes, nbytes);
    ckpt_reader *reader = open_sound();
    assert_reads(reader, 0, 0, 0, LARGE);
    assert_reads(reader, 0, 0, 262143, 2);
    assert_reads(reader, 0, 0, LARGE - 1, 1);
    assert_int_equal(ckpt_reader_verify(reader), BASE_OK);
    ckpt_reader_close(&reader);
    assert_int_equal(unlink(ckpt_test_file("shard-0001.bin")), 0); /* also one that holds nothing has to be there */
    assert_int_equal(ckpt_test_verify(ckpt_test_step_path()), BASE_CKPT);
    assert_non_null(strstr(base_status_message(), ckpt_test_file("shard-0001.bin")));
    free(elements);
    free(bytes);
}

static base_status take_nothing(void *context, const ckpt_tensor *tensor, uint64_t first, uint64_t count,
                                const void *elements)
{
    (void)context, (void)tensor, (void)first, (void)count, (void)elements;
    return BASE_FAIL(BASE_DEVICE, "no room");
}

static void failure_of_the_taker_is_passed_on(void **state)
{
    (void)state;
    ckpt_reader *reader = open_sound();
    const ckpt_tensor *tensor = &ckpt_reader_manifest(reader)->tensors[0];
    assert_int_equal(ckpt_reader_read(reader, tensor, 0, 1650, take_nothing, NULL), BASE_DEVICE);
    assert_string_equal(base_status_message(), "no room");
    ckpt_reader_close(&reader);
}

/* ---- opening ---- */

static void bytes_of_the_manifest_can_be_given(void **state)
{
    (void)state;
    uint8_t *bytes;
    size_t nbytes;
    ckpt_reader *reader;
    assert_int_equal(ckpt_reader_load_manifest(ckpt_test_step_path(), &bytes, &nbytes), BASE_OK);
    assert_int_equal(unlink(ckpt_test_file("manifest.pb")), 0);
    assert_int_equal(ckpt_reader_open(ckpt_test_step_path(), bytes, nbytes, &reader), BASE_OK);
    free(bytes);
    assert_int_equal(ckpt_reader_verify(reader), BASE_OK);
    ckpt_reader_close(&reader);
}

static void assert_no_manifest(const char *path, const char *why)
{
    uint8_t *bytes;
    size_t nbytes;
    ckpt_reader *reader;
    assert_int_equal(ckpt_reader_load_manifest(path, &bytes, &nbytes), BASE_CKPT);
    assert_non_null(strstr(base_status_message(), path));
    assert_non_null(strstr(base_status_message(), why));
    assert_int_equal(ckpt_reader_open(path, NULL, 0, &reader), BASE_CKPT);
    assert_null(reader);
}

static void what_is_no_checkpoint_is_said(void **state)
{
    (void)state;
    char name[6000];
    assert_no_manifest(ckpt_test_path("ckpt/none"), "is no checkpoint: no such folder");
    assert_no_manifest(ckpt_test_path("ckpt"), "is no checkpoint: it has no manifest.pb");
    assert_no_manifest(ckpt_test_file("manifest.pb"), "it is a file, a checkpoint is a folder");
    assert_int_equal(mkdir(ckpt_test_path("odd"), 0777), 0);
    assert_int_equal(mkdir(ckpt_test_path("odd/manifest.pb"), 0777), 0);
    assert_no_manifest(ckpt_test_path("odd"), "manifest.pb is no plain file");
    assert_int_equal(rmdir(ckpt_test_path("odd/manifest.pb")), 0);
    assert_int_equal(mkfifo(ckpt_test_path("odd/manifest.pb"), 0666), 0);
    assert_no_manifest(ckpt_test_path("odd"), "manifest.pb is no plain file");
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    uint8_t *bytes;
    size_t nbytes;
    assert_int_equal(ckpt_reader_load_manifest(name, &bytes, &nbytes), BASE_CKPT);
}

static void another_name_may_hold_any_step(void **state)
{
    (void)state;
    assert_int_equal(rename(ckpt_test_step_path(), ckpt_test_path("ckpt/best")), 0);
    assert_int_equal(ckpt_test_verify(ckpt_test_path("ckpt/best")), BASE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_elements_come_back),
        CKPT_TEST_WITH_CHECKPOINT(any_range_comes_back),
        CKPT_TEST_WITH_CHECKPOINT(only_pieces_asked_for_are_read),
        CKPT_TEST_WITH_CHECKPOINT(large_tensor_comes_in_chunks),
        CKPT_TEST_WITH_CHECKPOINT(failure_of_the_taker_is_passed_on),
        CKPT_TEST_WITH_CHECKPOINT(bytes_of_the_manifest_can_be_given),
        CKPT_TEST_WITH_CHECKPOINT(what_is_no_checkpoint_is_said),
        CKPT_TEST_WITH_CHECKPOINT(another_name_may_hold_any_step),
    };
    return cmocka_run_group_tests(tests, ckpt_test_make_folder, ckpt_test_remove_folder);
}
