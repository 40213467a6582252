/* A checkpoint that is not as it was written: whatever it is, it is found and the file named. */
#include "ckpt_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static void assert_sound(void)
{
    if (ckpt_test_verify(ckpt_test_step_path()) != BASE_OK)
        fail_msg("%s", base_status_message());
}

/* Found, and the message is one line that names the file. */
static void assert_damaged(const char *name, const char *what, size_t where)
{
    base_status status = ckpt_test_verify(ckpt_test_step_path());
    const char *message = base_status_message();
    if (status != BASE_CKPT || !strstr(message, ckpt_test_file(name)) || strchr(message, '\n'))
        fail_msg("%s %s at %zu: status %d, '%s'", name, what, where, status, message);
}

static const char *const names[] = {"manifest.pb", "shard-0000.bin", "shard-0001.bin", "shard-0002.bin"};

static void every_byte_counts(void **state)
{
    (void)state;
    static const uint8_t changes[] = {0x01, 0x80, 0xff};
    for (int f = 0; f < 1 + TEST_SHARDS; f++) {
        size_t nbytes;
        uint8_t *bytes = ckpt_test_get(ckpt_test_file(names[f]), &nbytes);
        FILE *out = fopen(ckpt_test_file(names[f]), "r+b");
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
    for (int f = 0; f < 1 + TEST_SHARDS; f++) {
        size_t nbytes;
        uint8_t *bytes = ckpt_test_get(ckpt_test_file(names[f]), &nbytes);
        assert_int_equal(truncate(ckpt_test_file(names[f]), (off_t)nbytes + 4096), 0);
        for (size_t n = nbytes + 4096; n > nbytes; n -= n - nbytes > 1016 ? 1000 : 1) {
            assert_int_equal(truncate(ckpt_test_file(names[f]), (off_t)n), 0);
            assert_damaged(names[f], "longer", n);
        }
        for (size_t n = nbytes; n-- > 0;) {
            assert_int_equal(truncate(ckpt_test_file(names[f]), (off_t)n), 0);
            assert_damaged(names[f], "cut", n);
        }
        ckpt_test_put(ckpt_test_file(names[f]), bytes, nbytes);
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
    ckpt_test_fill(&made, TEST_STEP, 1, 0);
    uint8_t *bytes = calloc(size, 1); /* zeros, as a hole would read */
    assert_non_null(bytes);
    made.pieces[0][0] = (ckpt_piece){.nbytes = size, .xxh64 = XXH64(bytes, size, 0)};
    made.tensors[0].dims[0] = made.tensors[0].elements = ELEMENTS;
    made.tensors[0].dims[1] = 1;
    made.shard_bytes[0] = size;
    made.manifest.tensor_count = 1;
    assert_int_equal(ckpt_manifest_pack(&made.manifest, &manifest, &nbytes), BASE_OK);
    ckpt_test_put(ckpt_test_file("shard-0000.bin"), bytes, size);
    ckpt_test_put(ckpt_test_file("manifest.pb"), manifest, nbytes);
    assert_sound();
    for (size_t n = 0; n < size; n += 4096) {
        assert_int_equal(truncate(ckpt_test_file("shard-0000.bin"), (off_t)n), 0);
        assert_damaged("shard-0000.bin", "cut", n);
    }
    bytes[size / 2] = 1;
    ckpt_test_put(ckpt_test_file("shard-0000.bin"), bytes, size);
    assert_damaged("shard-0000.bin", "changed", size / 2);
    free(bytes);
    free(manifest);
}

static void every_file_counts(void **state)
{
    (void)state;
    for (int f = 1; f < 1 + TEST_SHARDS; f++) {
        assert_int_equal(rename(ckpt_test_file(names[f]), ckpt_test_file("hidden")), 0);
        assert_damaged(names[f], "missing", 0);
        assert_non_null(strstr(base_status_message(), "is missing"));
        assert_int_equal(rename(ckpt_test_file("hidden"), ckpt_test_file(names[f])), 0);
    }
    assert_int_equal(unlink(ckpt_test_file("manifest.pb")), 0);
    assert_int_equal(ckpt_test_verify(ckpt_test_step_path()), BASE_CKPT);
    assert_non_null(strstr(base_status_message(), "is no checkpoint: it has no manifest.pb"));
}

static void swap_files(const char *a, const char *b)
{
    assert_int_equal(rename(a, ckpt_test_file("swap")), 0);
    assert_int_equal(rename(b, a), 0);
    assert_int_equal(rename(ckpt_test_file("swap"), b), 0);
}

/* Of different sizes and, written by eight ranks, two of the same. */
static void swapped_shards_are_found(void **state)
{
    (void)state;
    for (int a = 0; a < TEST_SHARDS; a++)
        for (int b = a + 1; b < TEST_SHARDS; b++) {
            swap_files(ckpt_test_file(names[1 + a]), ckpt_test_file(names[1 + b]));
            assert_damaged(names[1 + a], "swapped", (size_t)b);
            swap_files(ckpt_test_file(names[1 + a]), ckpt_test_file(names[1 + b]));
        }
    assert_sound();
    ckpt_test made;
    ckpt_test_fill(&made, TEST_STEP, 8, 0);
    assert_int_equal(made.shard_bytes[1], made.shard_bytes[2]);
    ckpt_test_save(ckpt_test_path("ckpt"), TEST_STEP, 8, 0);
    swap_files(ckpt_test_file("shard-0001.bin"), ckpt_test_file("shard-0002.bin"));
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
    ckpt_test_save(ckpt_test_path("ckpt"), TEST_STEP + 1, TEST_SHARDS, 0); /* the very same elements */
    copy_file(ckpt_test_path("ckpt/step-%08d/manifest.pb", TEST_STEP + 1), ckpt_test_file("manifest.pb"));
    assert_damaged("manifest.pb", "of another step", 0);
    assert_non_null(strstr(base_status_message(), "it is the manifest of step 251, not of the folder's"));
}

static void manifest_of_another_run_is_found(void **state)
{
    (void)state;
    for (int shards = 1; shards <= 4; shards++) { /* with as many shards, fewer, more */
        ckpt_test_save(ckpt_test_path("other"), TEST_STEP, shards, 1);
        copy_file(ckpt_test_path("other/step-%08d/manifest.pb", TEST_STEP), ckpt_test_file("manifest.pb"));
        assert_damaged("shard-000", "of another run", (size_t)shards);
    }
}

static void shard_of_another_run_is_found(void **state)
{
    (void)state;
    ckpt_test_save(ckpt_test_path("other"), TEST_STEP, TEST_SHARDS, 1);
    copy_file(ckpt_test_path("other/step-%08d/shard-0001.bin", TEST_STEP), ckpt_test_file("shard-0001.bin"));
    assert_damaged("shard-0001.bin", "of another run", 0);
    assert_non_null(strstr(base_status_message(), "do not have the checksum that the manifest says"));
}

static void huge_manifest_is_not_read(void **state)
{
    (void)state;
    assert_int_equal(truncate(ckpt_test_file("manifest.pb"), (off_t)CKPT_MANIFEST_BYTES_MAX + 1),
                     0); /* takes no room on disk */
    assert_damaged("manifest.pb", "huge", 0);
    assert_non_null(strstr(base_status_message(), "at most 536870912 are possible"));
}

static void newer_version_is_told(void **state)
{
    (void)state;
    size_t nbytes;
    uint8_t *bytes = ckpt_test_get(ckpt_test_file("manifest.pb"), &nbytes);
    bytes[1] = 2;
    ckpt_test_put(ckpt_test_file("manifest.pb"), bytes, nbytes);
    assert_damaged("manifest.pb", "newer", 1);
    assert_non_null(strstr(base_status_message(), "is of format 2, written by a newer ddpt; this one reads format 1"));
    free(bytes);
}

static void files_of_other_kinds_are_found(void **state)
{
    (void)state;
    for (int f = 0; f < 1 + TEST_SHARDS; f++) {
        assert_int_equal(rename(ckpt_test_file(names[f]), ckpt_test_file("hidden")), 0);
        assert_int_equal(mkdir(ckpt_test_file(names[f]), 0777), 0);
        assert_damaged(names[f], "a folder", 0);
        assert_int_equal(rmdir(ckpt_test_file(names[f])), 0);
        assert_int_equal(mkfifo(ckpt_test_file(names[f]), 0666), 0);
        assert_damaged(names[f], "a pipe", 0);
        assert_int_equal(unlink(ckpt_test_file(names[f])), 0);
        assert_int_equal(rename(ckpt_test_file("hidden"), ckpt_test_file(names[f])), 0);
    }
    assert_sound();
}

/* As somebody else: root may read everything. 0: as it should be. */
static int open_unreadable(void *context)
{
    if (geteuid() == 0 && seteuid(65534) != 0)
        return 77;
    return ckpt_test_verify(ckpt_test_step_path()) != BASE_CKPT ||
           !strstr(base_status_message(), ckpt_test_file(context)) ||
           !strstr(base_status_message(), "Permission denied");
}

static void unreadable_files_are_named(void **state)
{
    (void)state;
    assert_int_equal(chmod(ckpt_test_path("."), 0755), 0);
    for (int f = 0; f < 1 + TEST_SHARDS; f++) {
        assert_int_equal(chmod(ckpt_test_file(names[f]), 0), 0);
        int result = ckpt_test_in_child(NULL, open_unreadable, (char *)names[f]);
        assert_int_equal(chmod(ckpt_test_file(names[f]), 0644), 0);
        if (result == 77) {
            print_message("skipped: this user reads files that forbid it, and cannot become another\n");
            skip();
        }
        assert_int_equal(result, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CKPT_TEST_WITH_CHECKPOINT(every_byte_counts),
        CKPT_TEST_WITH_CHECKPOINT(every_length_counts),
        CKPT_TEST_WITH_CHECKPOINT(every_lost_block_counts),
        CKPT_TEST_WITH_CHECKPOINT(every_file_counts),
        CKPT_TEST_WITH_CHECKPOINT(swapped_shards_are_found),
        CKPT_TEST_WITH_CHECKPOINT(manifest_of_another_step_is_found),
        CKPT_TEST_WITH_CHECKPOINT(manifest_of_another_run_is_found),
        CKPT_TEST_WITH_CHECKPOINT(shard_of_another_run_is_found),
        CKPT_TEST_WITH_CHECKPOINT(huge_manifest_is_not_read),
        CKPT_TEST_WITH_CHECKPOINT(newer_version_is_told),
        CKPT_TEST_WITH_CHECKPOINT(files_of_other_kinds_are_found),
        CKPT_TEST_WITH_CHECKPOINT(unreadable_files_are_named),
    };
    return cmocka_run_group_tests(tests, ckpt_test_make_folder, ckpt_test_remove_folder);
}
