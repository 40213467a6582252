/* The program is linked with --wrap for open, pwrite, pread and fsync, so that the system can be made to behave in the
 * ways that a disk or a file system may. */
#include "ckpt_shard.h"
#include "ckpt_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { KIB = 1024, MIB = 1024 * KIB, PAGE = 4 * KIB, CHUNK = 16 * MIB, WHOLE = 2 * CHUNK + MIB + 1234 };

/* ---- the system ---- */

static struct {
    int no_direct;    /* open refuses O_DIRECT */
    int direct_is_no; /* so does the first write */
    int interrupts;   /* of the next calls */
    size_t most;      /* bytes that one call moves; 0: all */
    size_t disk;      /* bytes before ENOSPC; 0: any number */
    int sync_fails;
    int direct_writes, other_writes;
} sys;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
ssize_t __real_pwrite(int fd, const void *data, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t n, off_t at);
ssize_t __real_pread(int fd, void *data, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *data, size_t n, off_t at);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

static int refuse(int error)
{
    errno = error;
    return -1;
}

int __wrap_open(const char *path, int flags, ...)
{
    int fd = __real_open(path, flags, 0666);
    if (fd < 0 || !sys.no_direct || !(flags & O_DIRECT))
        return fd;
    close(fd); /* the file is there now, as with some systems */
    return refuse(EINVAL);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t n, off_t at)
{
    int direct = (fcntl(fd, F_GETFL) & O_DIRECT) != 0;
    if (sys.interrupts && sys.interrupts--)
        return refuse(EINTR);
    if (direct && sys.direct_is_no)
        return refuse(EINVAL);
    if (sys.disk && (size_t)at >= sys.disk)
        return refuse(ENOSPC);
    n = sys.disk && n > sys.disk - (size_t)at ? sys.disk - (size_t)at : n;
    n = sys.most && n > sys.most ? sys.most : n;
    direct ? sys.direct_writes++ : sys.other_writes++;
    if (!direct)
        return __real_pwrite(fd, data, n, at);
    assert_int_equal((uintptr_t)data % PAGE, 0); /* what a disk may insist on */
    assert_int_equal(at % PAGE, 0);
    if (n % PAGE == 0)
        return __real_pwrite(fd, data, n, at);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_DIRECT); /* a short write */
    ssize_t written = __real_pwrite(fd, data, n, at);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_DIRECT);
    return written;
}

ssize_t __wrap_pread(int fd, void *data, size_t n, off_t at)
{
    if (sys.interrupts && sys.interrupts--)
        return refuse(EINTR);
    return __real_pread(fd, data, sys.most && n > sys.most ? sys.most : n, at);
}

int __wrap_fsync(int fd)
{
    return sys.sync_fails ? refuse(EIO) : __real_fsync(fd);
}

static int well(void **state)
{
    (void)state;
    memset(&sys, 0, sizeof sys);
    return 0;
}

/* ---- writing ---- */

static uint8_t *data; /* (WHOLE + PAGE), aligned to PAGE */

static int setup(void **state)
{
    data = aligned_alloc(PAGE, (WHOLE + 2 * PAGE - 1) / PAGE * PAGE);
    for (size_t i = 0; data && i < WHOLE + PAGE; i++)
        data[i] = (uint8_t)(i * 2654435761U >> 13);
    return !data || ckpt_test_make_folder(state);
}

static int teardown(void **state)
{
    free(data);
    return ckpt_test_remove_folder(state);
}

/* The file is what was given, each checksum that of a piece as a whole. */
static void assert_written(const char *path, const uint8_t *from, int count, const size_t *sizes)
{
    uint64_t hashes[8];
    size_t at = 0, nbytes;
    assert_int_equal(ckpt_shard_write(path, from, count, sizes, hashes), BASE_OK);
    for (int i = 0; i < count; at += sizes[i++])
        assert_int_equal(hashes[i], XXH64(from + at, sizes[i], 0));
    uint8_t *found = ckpt_test_get(path, &nbytes);
    assert_int_equal(nbytes, at);
    assert_true(memcmp(found, from, at) == 0);
    free(found);
}

static void assert_fails(const char *path, const char *why)
{
    const size_t size = WHOLE;
    uint64_t hash;
    assert_int_equal(ckpt_shard_write(path, data, 1, &size, &hash), BASE_ERROR);
    assert_non_null(strstr(base_status_message(), path));
    assert_non_null(strstr(base_status_message(), why));
    assert_false(ckpt_test_exists(path));
}

static void any_size_is_written(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,     1,         PAGE - 1,     PAGE,      PAGE + 1, CHUNK - 1,
                                   CHUNK, CHUNK + 1, CHUNK + PAGE, 2 * CHUNK, WHOLE};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t shift = 0; shift <= 4; shift += 4) /* aligned, and not */
            assert_written(ckpt_test_path("shard-0000.bin"), data + shift, 1, &sizes[i]);
}

static void pieces_have_their_own_checksums(void **state)
{
    (void)state;
    const size_t sizes[] = {4, 0, CHUNK - 4, 8, CHUNK, 0, 4100, 0};
    for (int count = 0; count <= 8; count++)
        assert_written(ckpt_test_path("shard-0000.bin"), data, count, sizes);
}

static void longer_file_is_replaced(void **state)
{
    (void)state;
    const size_t longer = 10000, shorter = 5000;
    assert_written(ckpt_test_path("shard-0000.bin"), data, 1, &longer);
    assert_written(ckpt_test_path("shard-0000.bin"), data + PAGE, 1, &shorter);
}

static void whole_pages_go_past_the_cache(void **state)
{
    (void)state;
    const size_t size = WHOLE;
    assert_written(ckpt_test_path("shard-0000.bin"), data, 1, &size);
    if (sys.direct_writes == 0) {
        print_message("skipped: the file system of the temporary folder has no O_DIRECT\n");
        skip();
    }
    assert_int_equal(sys.direct_writes, 3); /* of 16 MiB, the last of whole pages */
    assert_int_equal(sys.other_writes, 1);  /* the tail */
}

static void other_file_systems_will_do(void **state)
{
    (void)state;
    const size_t size = WHOLE;
    sys.no_direct = 1;
    assert_written(ckpt_test_path("shard-0000.bin"), data, 1, &size);
    assert_int_equal(sys.direct_writes, 0);
    well(NULL);
    sys.direct_is_no = 1;
    assert_written(ckpt_test_path("shard-0000.bin"), data, 1, &size);
    assert_int_equal(sys.direct_writes, 0);
}

static void short_and_interrupted_writes_go_on(void **state)
{
    (void)state;
    static const size_t most[] = {MIB, 3 * PAGE, 100 * KIB + 1, 1000003};
    const size_t sizes[] = {CHUNK + 12, WHOLE - CHUNK - 12};
    for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
        sys.most = most[i];
        sys.interrupts = 7;
        assert_written(ckpt_test_path("shard-0000.bin"), data, 2, sizes);
    }
}

static void full_disk_leaves_no_file(void **state)
{
    (void)state;
    static const size_t disk[] = {1, PAGE, CHUNK, CHUNK + 77, WHOLE - 1};
    for (size_t i = 0; i < sizeof disk / sizeof *disk; i++) {
        sys.disk = disk[i];
        assert_fails(ckpt_test_path("shard-0000.bin"), "No space left on device");
    }
}

static void failed_sync_leaves_no_file(void **state)
{
    (void)state;
    sys.sync_fails = 1;
    assert_fails(ckpt_test_path("shard-0000.bin"), "Input/output error");
}

static void missing_folder_is_named(void **state)
{
    (void)state;
    assert_fails(ckpt_test_path("none/shard-0000.bin"), "No such file or directory");
}

/* A limit on the size of files: the real system refuses. */
static void real_limit_leaves_no_file(void **state)
{
    (void)state;
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = CHUNK + MIB + 100;
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_fails(ckpt_test_path("shard-0000.bin"), "File too large");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, old);
}

/* 0: as it should be. */
static int write_fails(void *context)
{
    const char *path = context;
    const size_t size = WHOLE;
    uint64_t hash;
    return ckpt_shard_write(path, data, 1, &size, &hash) != BASE_ERROR || ckpt_test_exists(path) ||
           !strstr(base_status_message(), "Input/output error");
}

static int write_ends(void *context)
{
    const size_t size = WHOLE;
    uint64_t hash;
    return (int)ckpt_shard_write(context, data, 1, &size, &hash);
}

static void failpoints_fail_or_kill(void **state)
{
    (void)state;
    static const char *const points[] = {"opened", "chunk", "chunk:3", "before-fsync", "after-fsync"};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        char fail[64], kill[64];
        const char *number = strchr(points[i], ':') ? "" : ":1";
        snprintf(fail, sizeof fail, "shard-0007.bin:%s%s:fail", points[i], number);
        snprintf(kill, sizeof kill, "shard-0007.bin:%s", points[i]);
        char *path = (char *)ckpt_test_path("shard-0007.bin");
        assert_int_equal(ckpt_test_in_child(fail, write_fails, path), 0);
        assert_int_equal(ckpt_test_in_child(kill, write_ends, path), -SIGKILL);
    }
    assert_int_equal(ckpt_test_in_child("shard-0007.bin:chunk:4", write_ends, (char *)ckpt_test_path("shard-0007.bin")),
                     BASE_OK); /* there are three */
}

/* ---- reading ---- */

typedef struct received {
    const uint8_t *expected;
    uint64_t next, fails_at;
} received;

static base_status receive(void *context, uint64_t at, const void *bytes, size_t nbytes)
{
    received *self = context;
    assert_int_equal(at, self->next);
    assert_int_equal(at % PAGE, 0);
    assert_in_range(nbytes, 1, MIB);
    assert_true(memcmp(bytes, self->expected + at, nbytes) == 0);
    self->next = at + nbytes;
    return self->fails_at && at >= self->fails_at ? BASE_FAIL(BASE_DIVERGED, "enough") : BASE_OK;
}

static void pieces_are_read_in_order(void **state)
{
    (void)state;
    static const uint64_t offsets[] = {0, 4, PAGE, 3 * MIB + 12}, sizes[] = {0, 4, PAGE, MIB, MIB + 4, 5 * MIB + 1000};
    ckpt_shard *shard;
    ckpt_test_put(ckpt_test_path("shard"), data, WHOLE);
    assert_int_equal(ckpt_shard_open(ckpt_test_path("shard"), WHOLE, &shard), BASE_OK);
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            received got = {.expected = data + offsets[i]};
            uint64_t hash = XXH64(data + offsets[i], sizes[j], 0);
            sys.most = j % 2 ? 100001 : 0;
            sys.interrupts = 3;
            assert_int_equal(ckpt_shard_read(shard, offsets[i], sizes[j], hash, receive, &got), BASE_OK);
            assert_int_equal(got.next, sizes[j]);
            assert_int_equal(ckpt_shard_read(shard, offsets[i], sizes[j], hash, NULL, NULL), BASE_OK);
        }
    ckpt_shard_close(&shard);
    assert_null(shard);
    ckpt_shard_close(&shard);
}

static void wrong_checksum_is_named(void **state)
{
    (void)state;
    ckpt_shard *shard;
    ckpt_test_put(ckpt_test_path("shard"), data, PAGE);
    assert_int_equal(ckpt_shard_open(ckpt_test_path("shard"), PAGE, &shard), BASE_OK);
    assert_int_equal(ckpt_shard_read(shard, 100, 200, XXH64(data + 100, 200, 0) ^ 1, NULL, NULL), BASE_CKPT);
    assert_non_null(strstr(base_status_message(),
                           "shard is damaged: bytes 100 to 299 do not have the checksum that the manifest says"));
    ckpt_shard_close(&shard);
}

static void sink_can_stop(void **state)
{
    (void)state;
    ckpt_shard *shard;
    received got = {.expected = data, .fails_at = 2 * MIB};
    ckpt_test_put(ckpt_test_path("shard"), data, WHOLE);
    assert_int_equal(ckpt_shard_open(ckpt_test_path("shard"), WHOLE, &shard), BASE_OK);
    assert_int_equal(ckpt_shard_read(shard, 0, WHOLE, XXH64(data, WHOLE, 0), receive, &got), BASE_DIVERGED);
    assert_int_equal(got.next, 3 * MIB);
    ckpt_shard_close(&shard);
}

static void assert_not_opened(const char *path, uint64_t nbytes, const char *why)
{
    ckpt_shard *shard;
    assert_int_equal(ckpt_shard_open(path, nbytes, &shard), BASE_CKPT);
    assert_null(shard);
    assert_non_null(strstr(base_status_message(), path));
    assert_non_null(strstr(base_status_message(), why));
}

static void only_the_right_file_is_opened(void **state)
{
    (void)state;
    const char *path = ckpt_test_path("other");
    assert_not_opened(path, 5, "is missing");
    ckpt_test_put(path, "12345", 5);
    assert_not_opened(path, 4, "has 5 bytes, the manifest says 4");
    assert_not_opened(path, 6, "has 5 bytes, the manifest says 6");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_not_opened(path, 5, "is no plain file");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0666), 0); /* nobody will ever write */
    assert_not_opened(path, 5, "is no plain file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("other", path), 0);
    assert_not_opened(path, 5, "cannot read");
    assert_int_equal(unlink(path), 0);
}

static void file_that_shrinks_is_damaged(void **state)
{
    (void)state;
    ckpt_shard *shard;
    ckpt_test_put(ckpt_test_path("shard"), data, 2 * PAGE);
    assert_int_equal(ckpt_shard_open(ckpt_test_path("shard"), 2 * PAGE, &shard), BASE_OK);
    assert_int_equal(truncate(ckpt_test_path("shard"), PAGE + 5), 0);
    assert_int_equal(ckpt_shard_read(shard, 0, 2 * PAGE, XXH64(data, 2 * PAGE, 0), NULL, NULL), BASE_CKPT);
    assert_non_null(strstr(base_status_message(), "it ends at byte 4101"));
    ckpt_shard_close(&shard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(failpoints_fail_or_kill, well), /* first, before this process passes any */
        cmocka_unit_test_setup(any_size_is_written, well),
        cmocka_unit_test_setup(pieces_have_their_own_checksums, well),
        cmocka_unit_test_setup(longer_file_is_replaced, well),
        cmocka_unit_test_setup(whole_pages_go_past_the_cache, well),
        cmocka_unit_test_setup(other_file_systems_will_do, well),
        cmocka_unit_test_setup(short_and_interrupted_writes_go_on, well),
        cmocka_unit_test_setup(full_disk_leaves_no_file, well),
        cmocka_unit_test_setup(failed_sync_leaves_no_file, well),
        cmocka_unit_test_setup(missing_folder_is_named, well),
        cmocka_unit_test_setup(real_limit_leaves_no_file, well),
        cmocka_unit_test_setup(pieces_are_read_in_order, well),
        cmocka_unit_test_setup(wrong_checksum_is_named, well),
        cmocka_unit_test_setup(sink_can_stop, well),
        cmocka_unit_test_setup(only_the_right_file_is_opened, well),
        cmocka_unit_test_setup(file_that_shrinks_is_damaged, well),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
