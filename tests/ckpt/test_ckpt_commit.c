/* Everything that passes a failpoint runs in a child, since a process reads which one is armed only once. */
#include "ckpt_commit.h"
#include "ckpt_folder.h"
#include "ckpt_reader.h"
#include "ckpt_test.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a run does at `step`, all shards of it written. */
typedef struct saving {
    int64_t step;
    int keep;
    const char *expected; /* in the message, NULL: success */
} saving;

/* Returns 0 if it went as expected. */
static int commit(void *context)
{
    const saving *self = context;
    ckpt_test made;
    ckpt_test_fill(&made, self->step, 3, 0);
    base_status status = ckpt_commit(ckpt_test_path("ckpt"), &made.manifest, self->keep);
    if (!self->expected)
        return status != BASE_OK;
    int good = status != BASE_OK && strstr(base_status_message(), self->expected);
    if (!good)
        fprintf(stderr, "status %d: '%s'\n", status, base_status_message());
    return !good;
}

static void write_shards(int64_t step)
{
    ckpt_test made;
    ckpt_test_fill(&made, step, 3, 0);
    ckpt_test_write_shards(&made, ckpt_test_path("ckpt"));
}

/* Write, commit, see what came of it. */
static void assert_commits(int64_t step, int keep)
{
    saving it = {.step = step, .keep = keep};
    write_shards(step);
    assert_int_equal(ckpt_test_in_child(NULL, commit, &it), 0);
}

static void assert_fails(int64_t step, const char *failpoint, const char *expected)
{
    saving it = {.step = step, .keep = 2, .expected = expected};
    assert_int_equal(ckpt_test_in_child(failpoint, commit, &it), 0);
    assert_false(ckpt_test_exists(ckpt_test_path("ckpt/step-%08d", (int)step)));
}

/* These are the checkpoints, and all of them are sound. */
static void assert_steps(const int *steps, int count)
{
    base_arena *arena;
    const ckpt_entry *entries;
    int found;
    assert_int_equal(base_arena_create(&arena, "test"), BASE_OK);
    assert_int_equal(ckpt_folder_list(ckpt_test_path("ckpt"), arena, &entries, &found, NULL), BASE_OK);
    assert_int_equal(found, count);
    for (int i = 0; i < count; i++) {
        ckpt_reader *reader;
        assert_int_equal(entries[i].step, steps[i]);
        assert_int_equal(ckpt_reader_open(entries[i].path, NULL, 0, &reader), BASE_OK);
        assert_int_equal(ckpt_reader_verify(reader), BASE_OK);
        ckpt_reader_close(&reader);
    }
    base_arena_destroy(&arena);
}

#define STEPS(...) (const int[]){__VA_ARGS__}, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int))

/* ---- committing ---- */

static void committed_folder_is_a_checkpoint(void **state)
{
    (void)state;
    assert_commits(5, 3);
    assert_steps(STEPS(5));
    assert_false(ckpt_test_exists(ckpt_test_path("ckpt/step-00000005/manifest.pb.partial")));
}

static void older_ones_go(void **state)
{
    (void)state;
    for (int step = 10; step <= 50; step += 10)
        assert_commits(step, 2);
    assert_steps(STEPS(40, 50));
    assert_false(ckpt_test_exists(ckpt_test_path("ckpt/step-00000030")));
    assert_commits(60, 1);
    assert_steps(STEPS(60));
    assert_commits(55, 1); /* one that goes back does not take what is newer */
    assert_steps(STEPS(55, 60));
}

static void shard_that_is_not_seen_is_named(void **state)
{
    (void)state;
    assert_commits(5, 2);
    write_shards(6);
    assert_int_equal(unlink(ckpt_test_path("ckpt/step-00000006/shard-0001.bin")), 0);
    assert_fails(6, NULL, "step-00000006/shard-0001.bin");
    write_shards(7);
    assert_int_equal(truncate(ckpt_test_path("ckpt/step-00000007/shard-0002.bin"), 4), 0);
    assert_fails(7, NULL, "shard-0002.bin has 4 bytes, ");
    assert_fails(8, NULL, "shard-0000.bin"); /* no folder at all */
    assert_steps(STEPS(5));
}

static void wrong_manifest_is_not_written(void **state)
{
    (void)state;
    assert_commits(5, 2);
    write_shards(6);
    ckpt_test made;
    ckpt_test_fill(&made, 6, 3, 0);
    made.manifest.position.loss = 1e300 * 1e300;
    assert_int_equal(ckpt_commit(ckpt_test_path("ckpt"), &made.manifest, 2), BASE_CKPT); /* passes no failpoint */
    assert_non_null(strstr(base_status_message(), "the loss is inf"));
    assert_false(ckpt_test_exists(ckpt_test_path("ckpt/step-00000006")));
    assert_steps(STEPS(5));
}

static void system_that_refuses_leaves_the_older_ones(void **state)
{
    (void)state;
    assert_commits(5, 2);
    write_shards(6);
    assert_fails(6, "manifest.pb:before-fsync:1:fail", "Input/output error");
    write_shards(6);
    assert_fails(6, "manifest.pb:before-rename:1:fail", "Input/output error");
    assert_steps(STEPS(5));
    assert_commits(6, 2);
    assert_steps(STEPS(5, 6));
}

static void trouble_with_older_ones_is_no_failure(void **state)
{
    (void)state;
    assert_commits(5, 2);
    assert_int_equal(mkdir(ckpt_test_path("ckpt/step-00000005/shard-0009.bin"), 0777), 0);
    assert_commits(6, 1);
    assert_steps(STEPS(6));
}

/* Wherever it ends, what is called a checkpoint is one, and the newest is the old or the new. */
static void killed_commit_leaves_only_checkpoints(void **state)
{
    (void)state;
    static const struct {
        const char *failpoint;
        int first, last;
    } kills[] = {{"manifest.pb:before-fsync", 5, 6}, {"manifest.pb:before-rename", 5, 6},
                 {"manifest.pb:after-rename", 5, 7}, {"manifest.pb:after-folder-fsync", 5, 7},
                 {"ckpt:committed", 5, 7},           {"ckpt:removed", 6, 7}};
    static const int steps[] = {5, 6, 7};
    for (size_t i = 0; i < sizeof kills / sizeof *kills; i++) {
        saving it = {.step = 7, .keep = 2};
        assert_commits(5, 2);
        assert_commits(6, 2);
        write_shards(7);
        assert_int_equal(ckpt_test_in_child(kills[i].failpoint, commit, &it), -SIGKILL);
        assert_steps(&steps[kills[i].first - 5], kills[i].last - kills[i].first + 1);
        assert_int_equal(ckpt_folder_clean(ckpt_test_path("ckpt")), BASE_OK);
        assert_int_equal(ckpt_test_exists(ckpt_test_path("ckpt/step-00000007")), kills[i].last == 7);
        assert_commits(8, 2); /* and it goes on */
        assert_int_equal(ckpt_folder_keep(ckpt_test_path("ckpt"), 8, 1), BASE_OK);
        assert_steps(STEPS(8));
        ckpt_test_empty_folder();
    }
}

/* ---- giving up ---- */

static void one_rank_takes_its_shard_back(void **state)
{
    (void)state;
    write_shards(5);
    ckpt_abandon(ckpt_test_path("ckpt"), 5, 1, 0);
    assert_true(ckpt_test_exists(ckpt_test_path("ckpt/step-00000005/shard-0000.bin")));
    assert_false(ckpt_test_exists(ckpt_test_path("ckpt/step-00000005/shard-0001.bin")));
    assert_true(ckpt_test_exists(ckpt_test_path("ckpt/step-00000005/shard-0002.bin")));
    ckpt_abandon(ckpt_test_path("ckpt"), 5, 1, 0);
    ckpt_abandon(ckpt_test_path("ckpt"), 6, 1, 1);
}

static void all_of_it_goes(void **state)
{
    (void)state;
    assert_commits(4, 2);
    write_shards(5);
    ckpt_abandon(ckpt_test_path("ckpt"), 5, 0, 1);
    assert_false(ckpt_test_exists(ckpt_test_path("ckpt/step-00000005")));
    assert_steps(STEPS(4));
}

static void reason_for_giving_up_is_kept(void **state)
{
    (void)state;
    write_shards(5);
    assert_int_equal(mkdir(ckpt_test_path("ckpt/step-00000005/shard-0009.bin"), 0777), 0); /* cannot be unlinked */
    BASE_FAIL(BASE_ERROR, "the reason");
    ckpt_abandon(ckpt_test_path("ckpt"), 5, 0, 1);
    assert_string_equal(base_status_message(), "the reason");
    base_status_clear();
    ckpt_abandon(ckpt_test_path("ckpt"), 5, 0, 1);
    assert_string_equal(base_status_message(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(committed_folder_is_a_checkpoint, ckpt_test_clear),
        cmocka_unit_test_teardown(older_ones_go, ckpt_test_clear),
        cmocka_unit_test_teardown(shard_that_is_not_seen_is_named, ckpt_test_clear),
        cmocka_unit_test_teardown(wrong_manifest_is_not_written, ckpt_test_clear),
        cmocka_unit_test_teardown(system_that_refuses_leaves_the_older_ones, ckpt_test_clear),
        cmocka_unit_test_teardown(trouble_with_older_ones_is_no_failure, ckpt_test_clear),
        cmocka_unit_test_teardown(killed_commit_leaves_only_checkpoints, ckpt_test_clear),
        cmocka_unit_test_teardown(one_rank_takes_its_shard_back, ckpt_test_clear),
        cmocka_unit_test_teardown(all_of_it_goes, ckpt_test_clear),
        cmocka_unit_test_teardown(reason_for_giving_up_is_kept, ckpt_test_clear),
    };
    return cmocka_run_group_tests(tests, ckpt_test_make_folder, ckpt_test_remove_folder);
}
