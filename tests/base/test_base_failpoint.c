#include "base_failpoint.h"

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

enum { PASSAGES = 5 };

/* Passes "x/file" at "point" PASSAGES times and returns a bit for each that was refused. Other places come between. */
static int pass(void)
{
    int refused = 0;
    for (int i = 0; i < PASSAGES; i++) {
        errno = 0;
        if (base_failpoint("x/file", "point"))
            refused |= errno == EIO ? 1 << i : 0x80;
        if (base_failpoint("x/file2", "point") || base_failpoint("x/file", "poin") || base_failpoint("file/x", "point"))
            refused |= 0x80;
    }
    return refused;
}

/* In a child, since the variable is read once. The bits of pass(), or minus the signal that ended it; `said`: whether
 * anything was written to stderr. */
static int pass_with(const char *armed, int *said)
{
    int ends[2], status;
    char text[256];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        if (armed)
            setenv("DDPT_FAILPOINT", armed, 1);
        else
            unsetenv("DDPT_FAILPOINT");
        _exit(pass());
    }
    assert_true(child > 0);
    close(ends[1]);
    *said = read(ends[0], text, sizeof text) > 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void assert_passes(const char *armed, int result)
{
    int said;
    assert_int_equal(pass_with(armed, &said), result);
    assert_false(said);
}

static void unarmed_is_passed(void **state)
{
    (void)state;
    assert_passes(NULL, 0);
    assert_passes("", 0);
    assert_passes("other:point", 0);
    assert_passes("file:other", 0);
}

static void kill_ends_the_process(void **state)
{
    (void)state;
    assert_passes("file:point", -SIGKILL);
    assert_passes("file:point:5", -SIGKILL);
    assert_passes("file:point:5:kill", -SIGKILL);
    assert_passes("file:point:6", 0); /* never reached */
}

static void stop_stops_the_process(void **state)
{
    (void)state;
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        setenv("DDPT_FAILPOINT", "file:point:2:stop", 1);
        _exit(pass());
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    kill(child, SIGCONT);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void fail_refuses_from_then_on(void **state)
{
    (void)state;
    assert_passes("file:point:1:fail", 0x1f);
    assert_passes("file:point:3:fail", 0x1c);
    assert_passes("file:point:6:fail", 0);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Bounded from below alone: a slow machine may take longer. */
static void pause_sleeps_each_time(void **state)
{
    (void)state;
    double begin = now();
    assert_passes("file:point:4:pause=60", 0);
    assert_true(now() - begin >= 0.12);
    begin = now();
    assert_passes("file:point:1:pause=7.5", 0);
    assert_true(now() - begin >= 0.0375);
}

static void several_places_count_for_themselves(void **state)
{
    (void)state;
    assert_passes("other:point:1:kill,file:point:3:fail", 0x1c);
    assert_passes("file:point:5:fail,file:point:2:pause=0", 0x10);
    assert_passes("file:point:4:fail,file:other,file:point:2:fail", 0x1e);
    assert_passes("a:b,c:d,file:point:3", -SIGKILL);
}

/* A test whose failpoint does not exist would pass for nothing. */
static void nonsense_is_told_and_does_nothing(void **state)
{
    (void)state;
    static const char *const nonsense[] = {"file",
                                           "file:",
                                           ":point",
                                           ":",
                                           "file:point:",
                                           "file:point:0",
                                           "file:point:-1",
                                           "file:point:x",
                                           "file:point:1x",
                                           "file:point:kill",
                                           "file:point:1:",
                                           "file:point:1:fial",
                                           "file:point:1:stop=1",
                                           "file:point:1:pause",
                                           "file:point:1:pause=",
                                           "file:point:1:pause=-1",
                                           "file:point:1:pause=1s",
                                           "file:point:1:fail:",
                                           "file:point:1:fail,",
                                           ",file:point:1:fail",
                                           "file:point:1:fail,file:point:0:fail",
                                           "file:point,a:b,a:b,a:b,a:b,a:b,a:b,a:b,a:b",
                                           "file:point:1:pause=nan",
                                           "file:point:1:fail:more"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        int said;
        assert_int_equal(pass_with(nonsense[i], &said), 0);
        assert_true(said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unarmed_is_passed),
        cmocka_unit_test(several_places_count_for_themselves),
        cmocka_unit_test(kill_ends_the_process),
        cmocka_unit_test(fail_refuses_from_then_on),
        cmocka_unit_test(stop_stops_the_process),
        cmocka_unit_test(pause_sleeps_each_time),
        cmocka_unit_test(nonsense_is_told_and_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
