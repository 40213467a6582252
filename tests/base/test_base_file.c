#include "base_file.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static const char *inside(const char *name)
{
    static char path[4][PATH_MAX];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], PATH_MAX, "%s/%s", folder, name);
    return path[at];
}

static int setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/ddpt-file-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void assert_content(const char *path, const char *content)
{
    char text[256] = "";
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(text, content);
}

static void assert_absent(const char *path)
{
    assert_int_not_equal(access(path, F_OK), 0);
}

static void folders_are_made_as_needed(void **state)
{
    (void)state;
    assert_int_equal(base_file_make_folder(inside("a/b//c")), BASE_OK);
    assert_int_equal(base_file_make_folder(inside("a/b/c/")), BASE_OK);
    assert_int_equal(access(inside("a/b/c"), W_OK), 0);
}

static void folders_that_were_made_can_be_removed(void **state)
{
    (void)state;
    static const char *const names[] = {"there/x//y/", "there/x/y", "there/z"};
    static const int missing[] = {2, 2, 1};
    assert_int_equal(base_file_make_folder(inside("there")), BASE_OK);
    assert_int_equal(base_file_missing_folders(inside("there")), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(base_file_missing_folders(inside(names[i])), missing[i]);
        assert_int_equal(base_file_make_folder(inside(names[i])), BASE_OK);
        base_file_remove_folders(inside(names[i]), missing[i]);
        assert_int_equal(base_file_missing_folders(inside(names[i])), missing[i]);
        assert_int_equal(base_file_missing_folders(inside("there")), 0);
    }
    assert_int_equal(base_file_make_folder(inside("there/x/y")), BASE_OK);
    assert_int_equal(base_file_write(inside("there/x/kept"), "", 0), BASE_OK);
    base_file_remove_folders(inside("there/x/y"), 3);
    assert_absent(inside("there/x/y"));
    assert_content(inside("there/x/kept"), "");
    assert_int_equal(base_file_missing_folders("none-such"), 1);
    assert_int_equal(base_file_missing_folders("/none-such/x"), 2);
}

static void file_in_the_way_is_named(void **state)
{
    (void)state;
    assert_int_equal(base_file_write(inside("file"), "x", 1), BASE_OK);
    assert_int_equal(base_file_make_folder(inside("file")), BASE_ERROR);
    assert_non_null(strstr(base_status_message(), inside("file")));
    assert_int_equal(base_file_make_folder(inside("file/below")), BASE_ERROR);
    assert_int_equal(base_file_make_folder(""), BASE_ERROR);
}

static void name_too_long_is_an_error(void **state)
{
    (void)state;
    char name[2 * PATH_MAX];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(base_file_make_folder(name), BASE_ERROR);
    assert_int_equal(base_file_write(name, "x", 1), BASE_ERROR);
}

static void write_replaces_the_whole(void **state)
{
    (void)state;
    assert_int_equal(base_file_write(inside("record"), "a long first version", 20), BASE_OK);
    assert_int_equal(base_file_write(inside("record"), "second", 6), BASE_OK);
    assert_content(inside("record"), "second");
    assert_absent(inside("record.partial"));
    assert_int_equal(base_file_write(inside("empty"), "", 0), BASE_OK);
    assert_content(inside("empty"), "");
}

static void missing_folder_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(base_file_write(inside("none/record"), "x", 1), BASE_ERROR);
    assert_non_null(strstr(base_status_message(), "No such file"));
}

/* A limit on the size of files stands for a full disk. */
static void failed_write_keeps_the_old_file(void **state)
{
    (void)state;
    static char large[100000];
    struct rlimit before, small;
    assert_int_equal(base_file_write(inside("kept"), "old", 3), BASE_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 5000;
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    base_status status = base_file_write(inside("kept"), large, sizeof large);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, old);
    assert_int_equal(status, BASE_ERROR);
    assert_non_null(strstr(base_status_message(), "kept"));
    assert_content(inside("kept"), "old");
    assert_absent(inside("kept.partial"));
}

static void commit_gives_a_stream_its_name(void **state)
{
    (void)state;
    int fd = open(inside("steps.csv.partial"), O_WRONLY | O_CREAT, 0666);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "line\n", 5), 5);
    assert_absent(inside("steps.csv"));
    assert_int_equal(base_file_commit(inside("steps.csv"), fd), BASE_OK);
    assert_content(inside("steps.csv"), "line\n");
    assert_absent(inside("steps.csv.partial"));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void commit_over_a_folder_fails_and_cleans_up(void **state)
{
    (void)state;
    assert_int_equal(base_file_make_folder(inside("taken/inner")), BASE_OK);
    int fd = open(inside("taken.partial"), O_WRONLY | O_CREAT, 0666);
    assert_true(fd >= 0);
    assert_int_equal(base_file_commit(inside("taken"), fd), BASE_ERROR);
    assert_absent(inside("taken.partial"));
    assert_int_equal(access(inside("taken/inner"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_made_as_needed),
        cmocka_unit_test(folders_that_were_made_can_be_removed),
        cmocka_unit_test(file_in_the_way_is_named),
        cmocka_unit_test(name_too_long_is_an_error),
        cmocka_unit_test(write_replaces_the_whole),
        cmocka_unit_test(missing_folder_is_an_error),
        cmocka_unit_test(failed_write_keeps_the_old_file),
        cmocka_unit_test(commit_gives_a_stream_its_name),
        cmocka_unit_test(commit_over_a_folder_fails_and_cleans_up),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
