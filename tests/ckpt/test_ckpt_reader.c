#include "ckpt_reader.h"
#include "ckpt_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { STEP = 250, SHARDS = 3 };

static const char *step_path(void)
{
    return ckpt_test_path("ckpt/step-%08d", STEP);
}

static const char *file(const char *name)
{
    return ckpt_test_path("ckpt/step-%08d/%s", STEP, name);
}

static int save(void **state)
{
    (void)state;
    ckpt_test_save(ckpt_test_path("ckpt"), STEP, SHARDS, 0);
    return 0;
}

static int clear(void **state)
{
    (void)state;
    ckpt_test_empty_folder();
    return 0;
}

static ckpt_reader *open_sound(void)
{
    ckpt_reader *reader = NULL;
    if (ckpt_reader_open(step_path(), NULL, 0, &reader) != BASE_OK)
        fail_msg("%s", base_status_message());
    return reader;
}

/* What a program does that wants to know whether a checkpoint is sound. */
static base_status verify(const char *path)
{
    ckpt_reader *reader;
    base_status status = ckpt_reader_open(path, NULL, 0, &reader);
    if (status == BASE_OK)
        status = ckpt_reader_verify(reader);
    else
        assert_null(reader);
    ckpt_reader_close(&reader);
    return status;
}

static void assert_sound(void)
{
    if (verify(step_path()) != BASE_OK)
        fail_msg("%s", base_status_message());
}

/* Found, and the message is one line that names the file. */
static void assert_damaged(const char *name, const char *what, size_t where)
{
    base_status status = verify(step_path());
    const char *message = base_status_message();
    if (status != BASE_CKPT || !strstr(message, file(name)) || strchr(message, '\n'))
        fail_msg("%s %s at %zu: status %d, '%s'", name, what, where, status, message);
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
        ckpt_test_save(ckpt_test_path("ckpt"), STEP, shards, shards);
        ckpt_reader *reader = open_sound();
        assert_int_equal(ckpt_reader_manifest(reader)->world_size, shards);
        assert_string_equal(ckpt_reader_path(reader), step_path());
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
    assert_int_equal(unlink(file("shard-0001.bin")), 0);
    assert_reads(reader, 0, 0, 0, 550);
    assert_reads(reader, 0, 0, 1100, 550);
    assert_int_equal(ckpt_reader_read(reader, tensor, 549, 2, NULL, NULL), BASE_CKPT);
    assert_non_null(strstr(base_status_message(), file("shard-0001.bin")));
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
    ckpt_test_fill(&made, STEP, 1, 0);
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
    ckpt_test_put(file("shard-0000.bin"), elements, LARGE * sizeof(float));
    ckpt_test_put(file("shard-0001.bin"), "", 0);
    ckpt_test_put(file("manifest.pb"), bytes, nbytes);
    ckpt_reader *reader = open_sound();
    assert_reads(reader, 0, 0, 0, LARGE);
    assert_reads(reader, 0, 0, 262143, 2);
    assert_reads(reader, 0, 0, LARGE - 1, 1);
    assert_int_equal(ckpt_reader_verify(reader), BASE_OK);
    ckpt_reader_close(&reader);
    assert_int_equal(unlink(file("shard-0001.bin")), 0); /* also one that holds nothing has to be there */
    assert_damaged("shard-0001.bin", "missing", 0);
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
    assert_int_equal(ckpt_reader_load_manifest(step_path(), &bytes, &nbytes), BASE_OK);
    assert_int_equal(unlink(file("manifest.pb")), 0);
    assert_int_equal(ckpt_reader_open(step_path(), bytes, nbytes, &reader), BASE_OK);
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
    assert_no_manifest(file("manifest.pb"), "it is a file, a checkpoint is a folder");
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

static void huge_manifest_is_not_read(void **state)
{
    (void)state;
    assert_int_equal(truncate(file("manifest.pb"), (off_t)CKPT_MANIFEST_BYTES_MAX + 1), 0); /* takes no room on disk */
    assert_damaged("manifest.pb", "huge", 0);
    assert_non_null(strstr(base_status_message(), "at most 536870912 are possible"));
}

static void another_name_may_hold_any_step(void **state)
{
    (void)state;
    assert_int_equal(rename(step_path(), ckpt_test_path("ckpt/best")), 0);
    assert_int_equal(verify(ckpt_test_path("ckpt/best")), BASE_OK);
}

/* ---- damage ---- */

static const char *const names[] = {"manifest.pb", "shard-0000.bin", "shard-0001.bin", "shard-0002.bin"};

static void every_byte_counts(void **state)
{
    (void)state;
    static const uint8_t changes[] = {0x01, 0x80, 0xff};
    for (int f = 0; f < 1 + SHARDS; f++) {
        size_t nbytes;
        uint8_t *bytes = ckpt_test_get(file(names[f]), &nbytes);
        FILE *out = fopen(file(names[f]), "r+b");
        assert_non_null(out);
        setbuf(out, NULL);
        for (size_t i = 0; i < nbytes; i++) {
            for (int c = 0; c < 3; c++) {
                assert_int_equal(fseek(out, (long)i, SEEK_SET), 0);
                fputc(bytes[i] ^ changes[c], out);
                assert_damaged(names[f], "changed", i);
            }
            assert_int_equal(fseek(out, (long)i, SEEK_SET), 0);
            fputc(bytes[i], out);
        }
        fclose(out);
        free(bytes);
        assert_sound();
    }
}

static void every_length_counts(void **state)
{
    (void)state;
    for (int f = 0; f < 1 + SHARDS; f++) {
        size_t nbytes;
        uint8_t *bytes = ckpt_test_get(file(names[f]), &nbytes);
        assert_int_equal(truncate(file(names[f]), (off_t)nbytes + 4096), 0);
        for (size_t n = nbytes + 4096; n > nbytes; n -= n - nbytes > 1016 ? 1000 : 1) {
            assert_int_equal(truncate(file(names[f]), (off_t)n), 0);
            assert_damaged(names[f], "longer", n);
        }
        for (size_t n = nbytes; n-- > 0;) {
            assert_int_equal(truncate(file(names[f]), (off_t)n), 0);
            assert_damaged(names[f], "cut", n);
        }
        ckpt_test_put(file(names[f]), bytes, nbytes);
        free(bytes);
        assert_sound();
    }
}

/* A shard of some size, cut where a file system that lost its last blocks would cut it. */
static void every_lost_block_counts(void **state)
{
    (void)state;
    enum { ELEMENTS = 100000 };
    ckpt_test made;
    uint8_t *manifest;
    size_t nbytes, size = ELEMENTS * sizeof(float);
    ckpt_test_fill(&made, STEP, 1, 0);
    uint8_t *bytes = calloc(size, 1); /* zeros, as a hole would read */
    assert_non_null(bytes);
    made.pieces[0][0] = (ckpt_piece){.nbytes = size, .xxh64 = XXH64(bytes, size, 0)};
    made.tensors[0].dims[0] = made.tensors[0].elements = ELEMENTS;
    made.tensors[0].dims[1] = 1;
    made.shard_bytes[0] = size;
    made.manifest.tensor_count = 1;
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &manifest, &nbytes), BASE_OK);
    ckpt_test_put(file("shard-0000.bin"), bytes, size);
    ckpt_test_put(file("manifest.pb"), manifest, nbytes);
    assert_sound();
    for (size_t n = 0; n < size; n += 4096) {
        assert_int_equal(truncate(file("shard-0000.bin"), (off_t)n), 0);
        assert_damaged("shard-0000.bin", "cut", n);
    }
    bytes[size / 2] = 1;
    ckpt_test_put(file("shard-0000.bin"), bytes, size);
    assert_damaged("shard-0000.bin", "changed", size / 2);
    free(bytes);
    free(manifest);
}

static void every_file_counts(void **state)
{
    (void)state;
    for (int f = 1; f < 1 + SHARDS; f++) {
        assert_int_equal(rename(file(names[f]), file("hidden")), 0);
        assert_damaged(names[f], "missing", 0);
        assert_non_null(strstr(base_status_message(), "is missing"));
        assert_int_equal(rename(file("hidden"), file(names[f])), 0);
    }
    assert_int_equal(unlink(file("manifest.pb")), 0);
    assert_int_equal(verify(step_path()), BASE_CKPT);
    assert_non_null(strstr(base_status_message(), "is no checkpoint: it has no manifest.pb"));
}

static void swap_files(const char *a, const char *b)
{
    assert_int_equal(rename(a, file("swap")), 0);
    assert_int_equal(rename(b, a), 0);
    assert_int_equal(rename(file("swap"), b), 0);
}

/* Of different sizes and, written by eight ranks, two of the same. */
static void swapped_shards_are_found(void **state)
{
    (void)state;
    for (int a = 0; a < SHARDS; a++)
        for (int b = a + 1; b < SHARDS; b++) {
            swap_files(file(names[1 + a]), file(names[1 + b]));
            assert_damaged(names[1 + a], "swapped", (size_t)b);
            swap_files(file(names[1 + a]), file(names[1 + b]));
        }
    assert_sound();
    ckpt_test made;
    ckpt_test_fill(&made, STEP, 8, 0);
    assert_int_equal(made.shard_bytes[1], made.shard_bytes[2]);
    ckpt_test_save(ckpt_test_path("ckpt"), STEP, 8, 0);
    swap_files(file("shard-0001.bin"), file("shard-0002.bin"));
    assert_damaged("shard-0001.bin", "swapped", 2);
}

static void copy_file(const char *from, const char *to)
{
    size_t nbytes;
    uint8_t *bytes = ckpt_test_get(from, &nbytes);
    ckpt_test_put(to, bytes, nbytes);
    free(bytes);
}

static void manifest_of_another_step_is_found(void **state)
{
    (void)state;
    ckpt_test_save(ckpt_test_path("ckpt"), STEP + 1, SHARDS, 0); /* the very same elements */
    copy_file(ckpt_test_path("ckpt/step-%08d/manifest.pb", STEP + 1), file("manifest.pb"));
    assert_damaged("manifest.pb", "of another step", 0);
    assert_non_null(strstr(base_status_message(), "it is the manifest of step 251, not of the folder's"));
}

static void manifest_of_another_run_is_found(void **state)
{
    (void)state;
    for (int shards = 1; shards <= 4; shards++) { /* with as many shards, fewer, more */
        ckpt_test_save(ckpt_test_path("other"), STEP, shards, 1);
        copy_file(ckpt_test_path("other/step-%08d/manifest.pb", STEP), file("manifest.pb"));
        assert_damaged("shard-000", "of another run", (size_t)shards);
    }
}

static void shard_of_another_run_is_found(void **state)
{
    (void)state;
    ckpt_test_save(ckpt_test_path("other"), STEP, SHARDS, 1);
    copy_file(ckpt_test_path("other/step-%08d/shard-0001.bin", STEP), file("shard-0001.bin"));
    assert_damaged("shard-0001.bin", "of another run", 0);
    assert_non_null(strstr(base_status_message(), "do not have the checksum that the manifest says"));
}

static void newer_version_is_told(void **state)
{
    (void)state;
    size_t nbytes;
    uint8_t *bytes = ckpt_test_get(file("manifest.pb"), &nbytes);
    bytes[1] = 2;
    ckpt_test_put(file("manifest.pb"), bytes, nbytes);
    assert_damaged("manifest.pb", "newer", 1);
    assert_non_null(strstr(base_status_message(), "is of format 2, written by a newer ddpt; this one reads format 1"));
    free(bytes);
}

static void files_of_other_kinds_are_found(void **state)
{
    (void)state;
    for (int f = 0; f < 1 + SHARDS; f++) {
        assert_int_equal(rename(file(names[f]), file("hidden")), 0);
        assert_int_equal(mkdir(file(names[f]), 0777), 0);
        assert_damaged(names[f], "a folder", 0);
        assert_int_equal(rmdir(file(names[f])), 0);
        assert_int_equal(mkfifo(file(names[f]), 0666), 0);
        assert_damaged(names[f], "a pipe", 0);
        assert_int_equal(unlink(file(names[f])), 0);
        assert_int_equal(rename(file("hidden"), file(names[f])), 0);
    }
    assert_sound();
}

/* As somebody else: root may read everything. 0: as it should be. */
static int open_unreadable(void *context)
{
    if (geteuid() == 0 && seteuid(65534) != 0)
        return 77;
    return verify(step_path()) != BASE_CKPT || !strstr(base_status_message(), file(context)) ||
           !strstr(base_status_message(), "Permission denied");
}

static void unreadable_files_are_named(void **state)
{
    (void)state;
    assert_int_equal(chmod(ckpt_test_path("."), 0755), 0);
    for (int f = 0; f < 1 + SHARDS; f++) {
        assert_int_equal(chmod(file(names[f]), 0), 0);
        int result = ckpt_test_in_child(NULL, open_unreadable, (char *)names[f]);
        assert_int_equal(chmod(file(names[f]), 0644), 0);
        if (result == 77)
            skip();
        assert_int_equal(result, 0);
    }
}

#define WITH_A_CHECKPOINT(test) cmocka_unit_test_setup_teardown(test, save, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_elements_come_back),
        WITH_A_CHECKPOINT(any_range_comes_back),
        WITH_A_CHECKPOINT(only_pieces_asked_for_are_read),
        WITH_A_CHECKPOINT(large_tensor_comes_in_chunks),
        WITH_A_CHECKPOINT(failure_of_the_taker_is_passed_on),
        WITH_A_CHECKPOINT(bytes_of_the_manifest_can_be_given),
        WITH_A_CHECKPOINT(what_is_no_checkpoint_is_said),
        WITH_A_CHECKPOINT(huge_manifest_is_not_read),
        WITH_A_CHECKPOINT(another_name_may_hold_any_step),
        WITH_A_CHECKPOINT(every_byte_counts),
        WITH_A_CHECKPOINT(every_length_counts),
        WITH_A_CHECKPOINT(every_lost_block_counts),
        WITH_A_CHECKPOINT(every_file_counts),
        WITH_A_CHECKPOINT(swapped_shards_are_found),
        WITH_A_CHECKPOINT(manifest_of_another_step_is_found),
        WITH_A_CHECKPOINT(manifest_of_another_run_is_found),
        WITH_A_CHECKPOINT(shard_of_another_run_is_found),
        WITH_A_CHECKPOINT(newer_version_is_told),
        WITH_A_CHECKPOINT(files_of_other_kinds_are_found),
        WITH_A_CHECKPOINT(unreadable_files_are_named),
    };
    return cmocka_run_group_tests(tests, ckpt_test_make_folder, ckpt_test_remove_folder);
}
