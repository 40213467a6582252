#include "ckpt_folder.h"
#include "ckpt_test.h"

#include "base_file.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static base_arena *arena;

/* A run's folder is made anew for each test. */
static int begin(void **state)
{
    (void)state;
    return base_arena_create(&arena, "test") != BASE_OK || mkdir(ckpt_test_path("run"), 0777) ||
           mkdir(ckpt_test_path("run/ckpt"), 0777);
}

static int end(void **state)
{
    (void)state;
    base_arena_destroy(&arena);
    ckpt_test_empty_folder();
    return 0;
}

/* Something that looks like a checkpoint from outside. */
static void make_checkpoint(const char *path)
{
    char file[PATH_MAX];
    static const char *const names[] = {"shard-0000.bin", "shard-0001.bin", "manifest.pb"};
    assert_int_equal(base_file_make_folder(path), BASE_OK);
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        ckpt_test_put(file, names[i], 5);
    }
}

static void make_run(const int *steps, int count)
{
    for (int i = 0; i < count; i++)
        make_checkpoint(ckpt_test_path("run/ckpt/step-%08d", steps[i]));
}

static void assert_steps(const int *steps, int count)
{
    const ckpt_entry *entries;
    int found;
    const char *folder;
    assert_int_equal(ckpt_folder_list(ckpt_test_path("run"), arena, &entries, &found, &folder), BASE_OK);
    assert_int_equal(found, count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(entries[i].step, steps[i]);
        assert_string_equal(entries[i].path, ckpt_test_path("run/ckpt/step-%08d", steps[i]));
    }
    assert_string_equal(folder, ckpt_test_path("run/ckpt"));
}

#define STEPS(...) (const int[]){__VA_ARGS__}, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int))

/* ---- names ---- */

static void paths_are_made(void **state)
{
    (void)state;
    assert_string_equal(ckpt_folder_step_path("run/ckpt", 500, arena), "run/ckpt/step-00000500");
    assert_string_equal(ckpt_folder_step_path("c", 1234567890123, arena), "c/step-1234567890123");
    assert_string_equal(ckpt_folder_shard_path("c/step-00000500", 3, arena), "c/step-00000500/shard-0003.bin");
    assert_string_equal(ckpt_folder_shard_path("s", 123456, arena), "s/shard-123456.bin");
}

static void steps_are_told_from_names(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int64_t step;
    } names[] = {{"step-00000500", 500},
                 {"x/step-00000500", 500},
                 {"x/step-00000500/", 500},
                 {"/step-00000500///", 500},
                 {"step-00000000", 0},
                 {"step-123456789", 123456789},
                 {"step-9223372036854775807", INT64_MAX},
                 {"step-9223372036854775808", -1},
                 {"step-0000500", -1},
                 {"step-000000500", -1},
                 {"step-00000500.aside", -1},
                 {"step-00000500x", -1},
                 {"step-0000050x", -1},
                 {"step--0000500", -1},
                 {"step- 0000500", -1},
                 {"Step-00000500", -1},
                 {"xstep-00000500", -1},
                 {"step-00000500/manifest.pb", -1},
                 {"step-", -1},
                 {"", -1},
                 {"/", -1},
                 {".", -1}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(ckpt_folder_step_of(names[i].path), names[i].step);
    char name[2 * PATH_MAX];
    memset(name, '5', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(ckpt_folder_step_of(name), -1);
}

/* ---- what is there ---- */

static void run_is_listed_by_step(void **state)
{
    (void)state;
    make_run(STEPS(300, 20, 100000000, 1000));
    assert_steps(STEPS(20, 300, 1000, 100000000));
}

static void what_is_no_checkpoint_is_passed_over(void **state)
{
    (void)state;
    make_run(STEPS(7));
    make_checkpoint(ckpt_test_path("run/ckpt/step-00000009.aside"));
    make_checkpoint(ckpt_test_path("run/ckpt/best"));
    assert_int_equal(mkdir(ckpt_test_path("run/ckpt/step-00000010"), 0777), 0); /* the rest of a save */
    ckpt_test_put(ckpt_test_path("run/ckpt/step-00000011"), "", 0);             /* a file */
    ckpt_test_put(ckpt_test_path("run/ckpt/notes"), "", 0);
    assert_steps(STEPS(7));
}

static void assert_listed(const char *path, int64_t step, const char *entry, const char *parent)
{
    const ckpt_entry *entries;
    int count;
    const char *folder;
    assert_int_equal(ckpt_folder_list(path, arena, &entries, &count, &folder), BASE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(entries[0].step, step);
    assert_string_equal(entries[0].path, entry);
    assert_string_equal(folder, parent);
    assert_int_equal(ckpt_folder_list(path, arena, &entries, &count, NULL), BASE_OK);
}

static void one_checkpoint_stands_for_itself(void **state)
{
    (void)state;
    make_run(STEPS(5, 6));
    const char *ckpt = ckpt_test_path("run/ckpt"), *step = ckpt_test_path("run/ckpt/step-00000005");
    assert_listed(step, 5, step, ckpt);
    assert_listed(ckpt_test_path("run/ckpt/step-00000005//"), 5, step, ckpt);
    assert_int_equal(rename(step, ckpt_test_path("run/best")), 0); /* under another name it is no less one */
    assert_listed(ckpt_test_path("run/best"), -1, ckpt_test_path("run/best"), ckpt_test_path("run"));
    assert_listed(ckpt, 6, ckpt_test_path("run/ckpt/step-00000006"), ckpt);
    assert_listed(ckpt_test_path("run/"), 6, ckpt_test_path("run/ckpt/step-00000006"), ckpt);
}

static void relative_paths_have_a_folder(void **state)
{
    (void)state;
    char before[PATH_MAX];
    make_run(STEPS(5));
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(ckpt_test_path("run/ckpt")), 0);
    assert_listed("step-00000005", 5, "step-00000005", ".");
    assert_listed(".", 5, "./step-00000005", ".");
    assert_listed("..", 5, "../ckpt/step-00000005", "../ckpt");
    assert_int_equal(chdir("step-00000005"), 0);
    assert_listed(".", -1, ".", ".");
    assert_int_equal(chdir(before), 0);
}

static void assert_none(const char *path, const char *why)
{
    const ckpt_entry *entries;
    int count;
    assert_int_equal(ckpt_folder_list(path, arena, &entries, &count, NULL), BASE_CKPT);
    const char *message = base_status_message();
    if (!strstr(message, path) || !strstr(message, why) || strchr(message, '\n'))
        fail_msg("'%s' where '%s' is expected", message, why);
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    assert_none(ckpt_test_path("run/none"), "is no checkpoint: no such folder");
    assert_none("", "no such folder");
    assert_none(ckpt_test_path("run"), "there is no checkpoint in");
    assert_none(ckpt_test_path("run/ckpt"), "there is no checkpoint in");
    assert_int_equal(mkdir(ckpt_test_path("run/ckpt/step-00000010"), 0777), 0);
    assert_none(ckpt_test_path("run"), "there is no checkpoint in");
    assert_none(ckpt_test_path("run/ckpt/step-00000010"), "is no checkpoint: it has no manifest.pb");
    make_run(STEPS(5));
    assert_none(ckpt_test_path("run/ckpt/step-00000005/manifest.pb"), "it is a file; a folder step-<8 digits>");
    assert_none(ckpt_test_path("run/ckpt/step-00000005/manifest.pb/x"), "no such folder");
}

/* As somebody else: root may read everything. 0: as it should be. */
static int list_unreadable(void *context)
{
    const ckpt_entry *entries;
    int count;
    if (geteuid() == 0 && seteuid(65534) != 0)
        return 77;
    return ckpt_folder_list(context, arena, &entries, &count, NULL) != BASE_CKPT ||
           !strstr(base_status_message(), "cannot read") || !strstr(base_status_message(), "Permission denied");
}

static void unreadable_folder_is_said(void **state)
{
    (void)state;
    make_run(STEPS(5));
    assert_int_equal(chmod(ckpt_test_path("."), 0755), 0);
    assert_int_equal(chmod(ckpt_test_path("run/ckpt"), 0), 0);
    int by_run = ckpt_test_in_child(NULL, list_unreadable, (char *)ckpt_test_path("run"));
    int by_ckpt = ckpt_test_in_child(NULL, list_unreadable, (char *)ckpt_test_path("run/ckpt"));
    int by_step = ckpt_test_in_child(NULL, list_unreadable, (char *)ckpt_test_path("run/ckpt/step-00000005"));
    assert_int_equal(chmod(ckpt_test_path("run/ckpt"), 0755), 0);
    if (by_run == 77) {
        print_message("skipped: this user reads folders that forbid it, and cannot become another\n");
        skip();
    }
    assert_int_equal(by_run, 0);
    assert_int_equal(by_ckpt, 0);
    assert_int_equal(by_step, 0);
}

/* ---- what goes ---- */

static void checkpoint_is_removed(void **state)
{
    (void)state;
    make_run(STEPS(5, 6));
    ckpt_test_put(ckpt_test_path("run/ckpt/step-00000005/manifest.pb.partial"), "", 0);
    ckpt_test_put(ckpt_test_path("run/ckpt/step-00000005/shard-123456.bin"), "", 0);
    assert_int_equal(ckpt_folder_remove(ckpt_test_path("run/ckpt/step-00000005")), BASE_OK);
    assert_false(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000005")));
    assert_steps(STEPS(6));
    assert_int_equal(ckpt_folder_remove(ckpt_test_path("run/ckpt/step-00000005")), BASE_OK);
}

static void files_of_others_stay(void **state)
{
    (void)state;
    static const char *const others[] = {"notes.txt",          "shard-0000.bin.bak", "shard-000.bin",
                                         "shard-00000001.bin", "shard-.bin",         "manifest.pb.old"};
    make_run(STEPS(5));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ckpt_test_put(ckpt_test_path("run/ckpt/step-00000005/%s", others[i]), "", 0);
    assert_int_equal(mkdir(ckpt_test_path("run/ckpt/step-00000005/sub"), 0777), 0);
    assert_int_equal(ckpt_folder_remove(ckpt_test_path("run/ckpt/step-00000005")), BASE_OK);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_true(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000005/%s", others[i])));
    assert_true(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000005/sub")));
    assert_false(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000005/manifest.pb")));
    assert_false(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000005/shard-0000.bin")));
}

/* A folder in a shard's place cannot be unlinked: the manifest is gone by then. */
static void removal_cut_short_leaves_no_checkpoint(void **state)
{
    (void)state;
    make_run(STEPS(5));
    assert_int_equal(mkdir(ckpt_test_path("run/ckpt/step-00000005/shard-0009.bin"), 0777), 0);
    assert_int_equal(ckpt_folder_remove(ckpt_test_path("run/ckpt/step-00000005")), BASE_ERROR);
    assert_non_null(strstr(base_status_message(), "cannot remove"));
    assert_non_null(strstr(base_status_message(), "step-00000005"));
    assert_false(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000005/manifest.pb")));
}

static void newest_are_kept(void **state)
{
    (void)state;
    make_run(STEPS(10, 20, 30, 40, 50));
    assert_int_equal(ckpt_folder_keep(ckpt_test_path("run/ckpt"), 40, 5), BASE_OK);
    assert_steps(STEPS(10, 20, 30, 40, 50));
    assert_int_equal(ckpt_folder_keep(ckpt_test_path("run/ckpt"), 40, 2), BASE_OK); /* 50 is of another day */
    assert_steps(STEPS(30, 40, 50));
    assert_int_equal(ckpt_folder_keep(ckpt_test_path("run/ckpt"), 45, 1), BASE_OK);
    assert_steps(STEPS(40, 50));
    assert_int_equal(ckpt_folder_keep(ckpt_test_path("run/ckpt"), 5, 1), BASE_OK);
    assert_steps(STEPS(40, 50));
    assert_int_equal(ckpt_folder_keep(ckpt_test_path("run/none"), 5, 1), BASE_ERROR);
}

static void one_that_cannot_go_does_not_hold_the_others(void **state)
{
    (void)state;
    make_run(STEPS(10, 20, 30));
    assert_int_equal(mkdir(ckpt_test_path("run/ckpt/step-00000010/shard-0009.bin"), 0777), 0);
    assert_int_equal(ckpt_folder_keep(ckpt_test_path("run/ckpt"), 30, 1), BASE_ERROR);
    assert_non_null(strstr(base_status_message(), "step-00000010"));
    assert_steps(STEPS(30));
}

static void rests_are_cleaned(void **state)
{
    (void)state;
    make_run(STEPS(10, 20));
    assert_int_equal(unlink(ckpt_test_path("run/ckpt/step-00000010/manifest.pb")), 0);
    assert_int_equal(mkdir(ckpt_test_path("run/ckpt/step-00000030"), 0777), 0);
    assert_int_equal(mkdir(ckpt_test_path("run/ckpt/others"), 0777), 0);
    assert_int_equal(mkdir(ckpt_test_path("run/ckpt/step-00000005.aside"), 0777), 0);
    ckpt_test_put(ckpt_test_path("run/ckpt/step-00000040"), "", 0); /* a file */
    assert_int_equal(ckpt_folder_clean(ckpt_test_path("run/ckpt")), BASE_OK);
    assert_false(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000010")));
    assert_false(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000030")));
    assert_true(ckpt_test_exists(ckpt_test_path("run/ckpt/others")));
    assert_true(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000005.aside")));
    assert_true(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000040")));
    assert_steps(STEPS(20));
    assert_int_equal(ckpt_folder_clean(ckpt_test_path("run/none")), BASE_OK);
}

static void newer_ones_are_set_aside(void **state)
{
    (void)state;
    int count;
    make_run(STEPS(10, 20, 30));
    make_checkpoint(ckpt_test_path("run/ckpt/step-00000030.aside")); /* of an earlier time */
    ckpt_test_put(ckpt_test_path("run/ckpt/step-00000030.aside/shard-0002.bin"), "", 0);
    assert_int_equal(ckpt_folder_set_aside(ckpt_test_path("run/ckpt"), 10, &count), BASE_OK);
    assert_int_equal(count, 2);
    assert_steps(STEPS(10));
    assert_true(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000020.aside/manifest.pb")));
    assert_true(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000030.aside/manifest.pb")));
    assert_true(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000030.aside/shard-0002.bin")));
    assert_true(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000030.aside-2/manifest.pb")));
    assert_int_equal(ckpt_folder_set_aside(ckpt_test_path("run/ckpt"), 10, &count), BASE_OK);
    assert_int_equal(count, 0);
    assert_int_equal(ckpt_folder_set_aside(ckpt_test_path("run/ckpt"), -1, &count), BASE_OK);
    assert_int_equal(count, 1);
    assert_none(ckpt_test_path("run"), "there is no checkpoint in");
    assert_int_equal(ckpt_folder_set_aside(ckpt_test_path("run/none"), 10, &count), BASE_OK);
    assert_int_equal(count, 0);
}

static void a_name_that_is_taken_stays(void **state)
{
    (void)state;
    int count;
    make_run(STEPS(10));
    make_checkpoint(ckpt_test_path("run/ckpt/step-00000010.aside"));
    ckpt_test_put(ckpt_test_path("run/ckpt/step-00000010.aside/notes.txt"), "", 0); /* somebody's */
    assert_int_equal(ckpt_folder_set_aside(ckpt_test_path("run/ckpt"), 0, &count), BASE_OK);
    assert_true(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000010.aside/notes.txt")));
    assert_true(ckpt_test_exists(ckpt_test_path("run/ckpt/step-00000010.aside-2/manifest.pb")));
    assert_none(ckpt_test_path("run"), "there is no checkpoint in");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(paths_are_made, begin, end),
        cmocka_unit_test_setup_teardown(steps_are_told_from_names, begin, end),
        cmocka_unit_test_setup_teardown(run_is_listed_by_step, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_checkpoint_is_passed_over, begin, end),
        cmocka_unit_test_setup_teardown(one_checkpoint_stands_for_itself, begin, end),
        cmocka_unit_test_setup_teardown(relative_paths_have_a_folder, begin, end),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_said, begin, end),
        cmocka_unit_test_setup_teardown(unreadable_folder_is_said, begin, end),
        cmocka_unit_test_setup_teardown(checkpoint_is_removed, begin, end),
        cmocka_unit_test_setup_teardown(files_of_others_stay, begin, end),
        cmocka_unit_test_setup_teardown(removal_cut_short_leaves_no_checkpoint, begin, end),
        cmocka_unit_test_setup_teardown(newest_are_kept, begin, end),
        cmocka_unit_test_setup_teardown(one_that_cannot_go_does_not_hold_the_others, begin, end),
        cmocka_unit_test_setup_teardown(rests_are_cleaned, begin, end),
        cmocka_unit_test_setup_teardown(newer_ones_are_set_aside, begin, end),
        cmocka_unit_test_setup_teardown(a_name_that_is_taken_stays, begin, end),
    };
    return cmocka_run_group_tests(tests, ckpt_test_make_folder, ckpt_test_remove_folder);
}
