/* checkpoint_compare: checkpoints made here, one tensor each, with elements that differ where the test says, cut into
 * pieces in different ways. */
#include "checkpoint_compare.h"

#include "base_file.h"
#include "ckpt_commit.h"
#include "ckpt_folder.h"
#include "ckpt_shard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than two chunks of the reader, and a multiple of nothing. */
enum { COUNT = 700001, CUTS_MAX = 4, ALIGNMENT = 4096 };

static char folder[] = "/tmp/ddpt-compare-XXXXXX";
static base_worker *worker;
static base_arena *arena;
static float elements[2][COUNT]; /* of A and B */
static ckpt_reader *readers[2];

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && base_worker_create(&worker) == BASE_OK ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    base_worker_destroy(&worker);
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT; i++)
        elements[0][i] = elements[1][i] = (float)(i % 1000) * 0.25f;
    return base_arena_create(&arena, "comparison test");
}

static int teardown(void **state)
{
    (void)state;
    ckpt_reader_close(&readers[0]);
    ckpt_reader_close(&readers[1]);
    base_arena_destroy(&arena);
    return 0;
}

/* "FOLDER/<side>/step-00000001" */
static const char *step_path(int side)
{
    const char *path = ckpt_folder_step_path(base_arena_format(arena, "%s/%d", folder, side), 1, arena);
    assert_non_null(path);
    return path;
}

/* Write side `side`, cut before the elements `cuts`, each piece in a shard of its own, and open it. */
static void save(int side, int cut_count, const int *cuts)
{
    ckpt_piece pieces[CUTS_MAX + 1];
    uint64_t shard_bytes[CUTS_MAX + 1];
    float *aligned = aligned_alloc(ALIGNMENT, (COUNT * sizeof *aligned / ALIGNMENT + 1) * ALIGNMENT);
    assert_non_null(aligned);
    assert_int_equal(base_file_make_folder(step_path(side)), BASE_OK);
    for (int p = 0; p <= cut_count; p++) {
        int first = p ? cuts[p - 1] : 0, end = p < cut_count ? cuts[p] : COUNT;
        size_t nbytes = (size_t)(end - first) * sizeof(float);
        pieces[p] = (ckpt_piece){.shard = (uint32_t)p, .nbytes = nbytes, .first = (uint64_t)first};
        shard_bytes[p] = nbytes;
        memcpy(aligned, elements[side] + first, nbytes);
        const char *path = ckpt_folder_shard_path(step_path(side), p, arena);
        assert_int_equal(ckpt_shard_write(path, aligned, 1, &nbytes, &pieces[p].xxh64), BASE_OK);
    }
    free(aligned);
    ckpt_tensor tensor = {.name = "weight",
                          .role = CKPT_ROLE_PARAMETER,
                          .dtype = CKPT_DTYPE_F32,
                          .dim_count = 1,
                          .dims = {COUNT},
                          .elements = COUNT,
                          .piece_count = cut_count + 1,
                          .pieces = pieces};
    ckpt_manifest manifest = {
        .ddpt_version = "test",
        .config_json = "{}",
        .config_digest = "0123456789abcdef",
        .graph_digest = "0123456789abcdef",
        .position = {.step = 1, .step_in_epoch = 1, .steps_per_epoch = 1, .global_batch = 1, .epoch_samples = 1},
        .optimizer = "sgd",
        .world_size = cut_count + 1,
        .shard_count = cut_count + 1,
        .shard_bytes = shard_bytes,
        .tensor_count = 1,
        .tensors = &tensor};
    if (ckpt_commit(base_arena_format(arena, "%s/%d", folder, side), &manifest, 1) != BASE_OK ||
        ckpt_reader_open(step_path(side), NULL, 0, &readers[side]) != BASE_OK)
        fail_msg("%s", base_status_message());
}

static base_status compare(checkpoint_difference *difference)
{
    const ckpt_tensor *a = ckpt_reader_manifest(readers[0])->tensors, *b = ckpt_reader_manifest(readers[1])->tensors;
    return checkpoint_compare(worker, readers[0], a, readers[1], b, difference);
}

static void expect(uint64_t differing, double most)
{
    checkpoint_difference difference;
    if (compare(&difference) != BASE_OK)
        fail_msg("%s", base_status_message());
    assert_int_equal(difference.differing, differing);
    assert_true(difference.most == most);
}

static void save_both(void)
{
    save(0, 0, NULL);
    save(1, 3, (const int[]){1, 300000, 700000});
}

static void equal_elements_however_they_are_cut(void **state)
{
    (void)state;
    save(0, 2, (const int[]){262145, 262146});
    save(1, 3, (const int[]){1, 262144, 700000});
    expect(0, 0.0);
}

/* The first and the last element, both sides of every cut, both sides of a chunk's end. */
static void every_element_counts(void **state)
{
    (void)state;
    static const int places[] = {0, 1, 262143, 262144, 299999, 300000, 699999, 700000};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        elements[1][places[i]] += i == 3 ? -0.5f : 0.125f;
    save_both();
    expect(sizeof places / sizeof *places, 0.5);
}

static void bits_count_not_values(void **state)
{
    (void)state;
    elements[0][5000] = 0.0f;
    elements[1][5000] = -0.0f;
    elements[0][5001] = elements[1][5001] = NAN;
    save_both();
    expect(1, 0.0);
}

static void what_is_not_finite_is_infinitely_far(void **state)
{
    (void)state;
    elements[0][7] = 1e9f;
    elements[1][8] = NAN;
    elements[1][600000] = 2e9f;
    save_both();
    expect(3, (double)INFINITY);
}

static void damage(int side, int shard, off_t at)
{
    int fd = open(ckpt_folder_shard_path(step_path(side), shard, arena), O_RDWR);
    char byte;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte = (char)(byte ^ 1);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* The message names the damaged side, and the worker is free for the next comparison. */
static void expect_damage(int side)
{
    checkpoint_difference difference;
    assert_int_equal(compare(&difference), BASE_CKPT);
    if (!strstr(base_status_message(), step_path(side)))
        fail_msg("%s", base_status_message());
    assert_true(base_worker_idle(worker));
}

static void damage_of_either_side_is_found(void **state)
{
    (void)state;
    static const off_t places[] = {0, 1500000, 4 * COUNT - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        save_both();
        damage(0, 0, places[i]);
        expect_damage(0);
        ckpt_reader_close(&readers[0]);
        ckpt_reader_close(&readers[1]);
    }
    for (int shard = 0; shard < 4; shard++) {
        save_both();
        damage(1, shard, 3);
        expect_damage(1);
        ckpt_reader_close(&readers[0]);
        ckpt_reader_close(&readers[1]);
    }
}

static void missing_shards_are_found(void **state)
{
    (void)state;
    save_both();
    assert_int_equal(remove(ckpt_folder_shard_path(step_path(0), 0, arena)), 0);
    expect_damage(0);
    ckpt_reader_close(&readers[0]);
    save(0, 0, NULL);
    assert_int_equal(remove(ckpt_folder_shard_path(step_path(1), 2, arena)), 0);
    expect_damage(1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(equal_elements_however_they_are_cut),
        TEST(every_element_counts),
        TEST(bits_count_not_values),
        TEST(what_is_not_finite_is_infinitely_far),
        TEST(damage_of_either_side_is_found),
        TEST(missing_shards_are_found),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
