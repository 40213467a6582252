/* test_scale_process.c: programs run to their end, and the ends that signals make. */
#include "scale_process.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static scale_process_end end;

static base_status run(const char *script)
{
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    return scale_process_run(argv, &end);
}

static void status_and_words_are_kept(void **state)
{
    (void)state;
    assert_int_equal(run("echo one; echo two >&2; exit 7"), BASE_OK);
    assert_int_equal(end.status, 7);
    assert_string_equal(end.tail, "one\ntwo\n");
    assert_int_equal(run("kill -KILL $$"), BASE_OK);
    assert_int_equal(end.status, 128 + SIGKILL);
    assert_string_equal(end.tail, "");
}

static void of_many_words_the_last_are_kept(void **state)
{
    (void)state;
    assert_int_equal(run("i=0; while [ $i -lt 20000 ]; do echo 'line of many'; i=$((i + 1)); done; echo last"),
                     BASE_OK);
    assert_int_equal(end.status, 0);
    assert_int_equal(end.length, SCALE_PROCESS_TAIL - 1);
    assert_int_equal(strlen(end.tail), end.length);
    assert_string_equal(end.tail + end.length - 18, "line of many\nlast\n");
}

static void nothing_is_on_stdin(void **state)
{
    (void)state;
    assert_int_equal(run("cat; echo done"), BASE_OK);
    assert_string_equal(end.tail, "done\n");
}

/* It holds the pipe open for a minute. */
static void what_is_left_behind_is_not_waited_for(void **state)
{
    (void)state;
    assert_int_equal(run("sleep 60 & echo $!"), BASE_OK);
    assert_int_equal(end.status, 0);
    int pid = atoi(end.tail);
    assert_true(pid > 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
}

static void what_cannot_be_started_is_named(void **state)
{
    (void)state;
    char *argv[] = {"./no-such-program", NULL};
    assert_int_equal(scale_process_run(argv, &end), BASE_USAGE);
    assert_string_equal(base_status_message(), "cannot start ./no-such-program: No such file or directory");
}

static void message_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *tail, *message; /* NULL: none */
    } cases[] = {
        {"", NULL},
        {"error:", NULL},
        {"an error: of somebody else\n", NULL},
        {"[", NULL},
        {"[12]", NULL},
        {"noise\nerror: this\nerror: that\n", "this"},
        {"warning: x\n[3] error: lost\nmore", "lost"},
        {"error: without an end", "without an end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[64] = "";
        snprintf(end.tail, sizeof end.tail, "%s", cases[i].tail);
        end.length = strlen(end.tail);
        assert_int_equal(scale_process_message(&end, message, sizeof message), cases[i].message != NULL);
        assert_string_equal(message, cases[i].message ? cases[i].message : "");
    }
}

/* ---- signals: each in a process of its own ---- */

/* Runs `script`, with the file to which it writes its number as $1; its exit status is that of scale_process_run. */
static pid_t start(const char *script, char *file)
{
    int fd = mkstemp(strcpy(file, "/tmp/ddpt-scale-XXXXXX"));
    assert_true(fd >= 0);
    close(fd);
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {"sh", "-c", (char *)script, "sh", file, NULL};
        _exit((int)scale_process_run(argv, &end));
    }
    assert_true(pid > 0);
    return pid;
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
}

/* What the script wrote, once it has. */
static int read_pid(const char *file)
{
    int pid = 0;
    for (int i = 0; i < 6000 && pid == 0; i++) {
        FILE *f = fopen(file, "r");
        if (!f || fscanf(f, "%d\n", &pid) != 1)
            pid = 0;
        if (f)
            fclose(f);
        rest();
    }
    unlink(file);
    return pid;
}

static int await_gone(pid_t pid)
{
    for (int i = 0; i < 6000; i++) {
        if (kill(pid, 0) != 0 && errno == ESRCH)
            return 1;
        rest();
    }
    return 0;
}

static int wait_status(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void ends_with_us(int signal, const char *script, int status)
{
    char file[64];
    pid_t us = start(script, file);
    int program = read_pid(file);
    assert_true(program > 1);
    kill(us, signal);
    assert_int_equal(wait_status(us), status);
    assert_true(await_gone(program));
}

static const char sleeps[] = "echo $$ >$1; exec sleep 1000";

static void ctrl_c_ends_both(void **state)
{
    (void)state;
    ends_with_us(SIGINT, sleeps, BASE_INTERRUPTED);
}

static void sigterm_ends_both(void **state)
{
    (void)state;
    ends_with_us(SIGTERM, sleeps, BASE_INTERRUPTED);
}

static void stubborn_program_is_killed(void **state)
{
    (void)state;
    ends_with_us(SIGINT, "trap '' INT TERM HUP; echo $$ >$1; while :; do sleep 1; done", BASE_INTERRUPTED);
}

static void program_that_ends_well_counts_as_interrupted(void **state)
{
    (void)state;
    ends_with_us(SIGINT, "trap 'exit 0' INT; echo $$ >$1; while :; do sleep 0.1; done", BASE_INTERRUPTED);
}

static void program_does_not_outlive_us(void **state)
{
    (void)state;
    ends_with_us(SIGKILL, sleeps, 128 + SIGKILL);
}

/* In a session of its own, as an MPI's helpers are, and not told by the program that started it. */
static const char leaves_one[] = "setsid sleep 1000 & echo $! >$1; exec sleep 1000";

static void what_the_program_started_ends_too(void **state)
{
    (void)state;
    ends_with_us(SIGINT, leaves_one, BASE_INTERRUPTED);
    ends_with_us(SIGKILL, leaves_one, 128 + SIGKILL);
}

static void after_a_signal_nothing_is_started(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        raise(SIGTERM);
        base_status status = run("echo started");
        _exit(end.length > 0 ? 1 : (int)status);
    }
    assert_int_equal(wait_status(pid), BASE_INTERRUPTED);
}

static void released_signals_are_as_before(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        scale_process_release();
        raise(SIGTERM);
        _exit(0);
    }
    assert_int_equal(wait_status(pid), 128 + SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_and_words_are_kept),
        cmocka_unit_test(of_many_words_the_last_are_kept),
        cmocka_unit_test(nothing_is_on_stdin),
        cmocka_unit_test(what_is_left_behind_is_not_waited_for),
        cmocka_unit_test(what_cannot_be_started_is_named),
        cmocka_unit_test(message_is_found),
        cmocka_unit_test(ctrl_c_ends_both),
        cmocka_unit_test(sigterm_ends_both),
        cmocka_unit_test(stubborn_program_is_killed),
        cmocka_unit_test(program_that_ends_well_counts_as_interrupted),
        cmocka_unit_test(program_does_not_outlive_us),
        cmocka_unit_test(what_the_program_started_ends_too),
        cmocka_unit_test(after_a_signal_nothing_is_started),
        cmocka_unit_test(released_signals_are_as_before),
    };
    scale_process_hold();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
