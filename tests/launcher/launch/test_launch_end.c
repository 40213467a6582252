/* test_launch_end.c: what status and words the first failure of a job makes. */
#include "launch_end.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EXITED_9 = 9 << 8, KILLED = SIGKILL, TERMINATED = SIGTERM };

/* Three workers; they came in the order 2, 0, 1. */
static launch_member members[3];
static launch_crew crew;
static launch_signals signals;
static launch_end end;

static int begin(void **state)
{
    (void)state;
    static const int ranks[] = {2, 0, 1};
    memset(members, 0, sizeof members);
    for (int i = 0; i < 3; i++) {
        members[i].rank = ranks[i];
        members[i].pid = 100 + ranks[i];
    }
    crew = (launch_crew){.room = 3, .count = 3, .joined = 3, .members = members};
    signals = (launch_signals){.fd = -1};
    return 0;
}

static void speak(int index, int status, const char *text)
{
    members[index].has_spoken = 1;
    members[index].status = status;
    members[index].text = (char *)text;
    crew.spoken++;
}

/* `text` must be in what is said; "" for nothing. */
static void judge(launch_failure failure, base_status status, const char *text, int may_restart)
{
    launch_end_judge(&failure, &crew, &signals, &end);
    assert_int_equal(end.status, status);
    assert_int_equal(end.may_restart, may_restart);
    if (*text)
        assert_non_null(strstr(end.text, text));
    else
        assert_string_equal(end.text, "");
}

static void no_failure_is_success(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        speak(i, 0, "");
    judge((launch_failure){.cause = LAUNCH_NONE}, BASE_OK, "", 0);
}

static void what_all_agree_on_is_said_as_rank_0_says_it(void **state)
{
    (void)state;
    speak(0, BASE_DATA, "no data (on rank 0)");
    speak(1, BASE_DATA, "no data");
    speak(2, BASE_DATA, "no data (on rank 0)");
    judge((launch_failure){.cause = LAUNCH_SPOKE, .index = 0}, BASE_DATA, "no data", 0);
    assert_string_equal(end.text, "no data");
}

static void what_one_says_has_its_name(void **state)
{
    (void)state;
    speak(2, BASE_ERROR, "out of luck");
    speak(1, BASE_PEER, "rank 1 is gone");
    judge((launch_failure){.cause = LAUNCH_SPOKE, .index = 2}, BASE_ERROR, "worker 1 (pid 101): out of luck", 1);
}

static void who_has_spoken_before_is_pointed_to(void **state)
{
    (void)state;
    speak(1, BASE_PEER, "");
    judge((launch_failure){.cause = LAUNCH_SPOKE, .index = 1}, BASE_PEER,
          "worker 0 (pid 100) ended the job (peer lost)", 1);
}

static void who_knows_why_is_named_before_who_was_told(void **state)
{
    (void)state;
    speak(2, BASE_PEER, "rank 1 is lost");
    speak(0, BASE_PEER, "");
    speak(1, BASE_PEER, "");
    judge((launch_failure){.cause = LAUNCH_SPOKE, .index = 2}, BASE_PEER, "worker 1 (pid 101): rank 1 is lost", 1);
}

static void statuses_that_would_come_again_are_not_tried_again(void **state)
{
    (void)state;
    static const struct {
        int status, may_restart;
    } cases[] = {{BASE_ERROR, 1}, {BASE_USAGE, 0},    {BASE_DATA, 0},    {BASE_CKPT, 0},        {BASE_DEVICE, 0},
                 {BASE_PEER, 1},  {BASE_DIVERGED, 0}, {BASE_STOPPED, 0}, {BASE_INTERRUPTED, 0}, {139, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(NULL);
        speak(0, cases[i].status, "text");
        judge((launch_failure){.cause = LAUNCH_SPOKE, .index = 0},
              cases[i].status == 139 ? BASE_ERROR : (base_status)cases[i].status, "text", cases[i].may_restart);
    }
}

static void a_killed_worker_is_a_lost_one(void **state)
{
    (void)state;
    judge((launch_failure){.cause = LAUNCH_LOST, .index = 0, .known = 1, .wait_status = KILLED}, BASE_PEER,
          "worker 2 (pid 102) was killed by signal 9 (Killed)", 1);
    judge((launch_failure){.cause = LAUNCH_LOST, .index = 0}, BASE_PEER, "worker 2 (pid 102) ended without a word", 1);
    judge((launch_failure){.cause = LAUNCH_LOST, .index = 0, .known = 1, .wait_status = EXITED_9}, BASE_PEER,
          "worker 2 (pid 102) ended with status 9 without a word", 1);
}

static void a_status_of_ours_without_a_word_is_taken(void **state)
{
    (void)state;
    judge((launch_failure){.cause = LAUNCH_LOST, .index = 0, .known = 1, .wait_status = BASE_INTERRUPTED << 8},
          BASE_INTERRUPTED, "interrupted", 0);
    judge((launch_failure){.cause = LAUNCH_LOST, .index = 0, .known = 1, .wait_status = BASE_DATA << 8}, BASE_DATA,
          "worker 2 (pid 102) ended with status 3", 0);
}

static launch_failure lost(int known, int wait_status)
{
    return (launch_failure){.cause = LAUNCH_LOST, .known = known, .wait_status = wait_status};
}

static void who_crashed_outranks_who_was_killed(void **state)
{
    (void)state;
    const launch_failure killed = lost(1, KILLED), crashed = lost(1, SIGSEGV), failed = lost(1, EXITED_9),
                         left = lost(1, BASE_PEER << 8), unknown = lost(0, 0), spoke = {.cause = LAUNCH_SPOKE};
    assert_true(launch_end_outranks(&crashed, &killed));
    assert_true(launch_end_outranks(&failed, &killed));
    assert_false(launch_end_outranks(&killed, &killed));
    assert_false(launch_end_outranks(&left, &killed));
    assert_false(launch_end_outranks(&unknown, &killed));
    assert_false(launch_end_outranks(&crashed, &failed));
    assert_false(launch_end_outranks(&crashed, &unknown));
    assert_false(launch_end_outranks(&crashed, &spoke));
}

static void an_mpiexec_that_starts_nothing_is_an_error(void **state)
{
    (void)state;
    crew.count = crew.joined = 0;
    judge((launch_failure){.cause = LAUNCH_MPIEXEC, .known = 1, .wait_status = EXITED_9, .pid = 77}, BASE_ERROR,
          "mpiexec (pid 77) ended with status 9, and no worker had begun", 1);
    crew.count = 3;
    judge((launch_failure){.cause = LAUNCH_MPIEXEC, .known = 1, .wait_status = EXITED_9, .pid = 77}, BASE_PEER,
          "while its workers were at work", 1);
    judge((launch_failure){.cause = LAUNCH_MPIEXEC, .known = 1, .wait_status = KILLED, .pid = 77}, BASE_PEER,
          "mpiexec (pid 77) was killed by signal 9", 1);
}

static void the_other_processes_have_names(void **state)
{
    (void)state;
    judge((launch_failure){.cause = LAUNCH_GUARD, .known = 1, .wait_status = KILLED, .pid = 7}, BASE_PEER,
          "guard (pid 7) was killed", 1);
    judge((launch_failure){.cause = LAUNCH_HELPER, .known = 1, .wait_status = KILLED, .pid = 7}, BASE_PEER,
          "helper (pid 7) was killed", 1);
    crew.joined = 1;
    judge((launch_failure){.cause = LAUNCH_LATE}, BASE_ERROR, "of 3 workers 1 had joined", 1);
}

static void who_was_interrupted_says_so(void **state)
{
    (void)state;
    signals.interrupts = 1;
    judge((launch_failure){.cause = LAUNCH_NONE}, BASE_INTERRUPTED, "interrupted", 0);
    judge((launch_failure){.cause = LAUNCH_LOST, .index = 1, .known = 1, .wait_status = KILLED}, BASE_INTERRUPTED,
          "interrupted", 0);
    for (int i = 0; i < 3; i++)
        speak(i, BASE_INTERRUPTED, "interrupted after step 7");
    judge((launch_failure){.cause = LAUNCH_SPOKE, .index = 1}, BASE_INTERRUPTED, "interrupted after step 7", 0);
}

static void a_job_that_ended_well_was_not_interrupted(void **state)
{
    (void)state;
    signals.interrupts = 1;
    for (int i = 0; i < 3; i++)
        speak(i, 0, "");
    judge((launch_failure){.cause = LAUNCH_NONE}, BASE_OK, "", 0);
}

static void a_stop_that_nobody_catches_is_no_loss(void **state)
{
    (void)state;
    signals.stop = SIGTERM;
    judge((launch_failure){.cause = LAUNCH_LOST, .index = 1, .known = 1, .wait_status = TERMINATED}, BASE_INTERRUPTED,
          "ended by SIGTERM", 0);
    judge((launch_failure){.cause = LAUNCH_LOST, .index = 1, .known = 1, .wait_status = KILLED}, BASE_PEER, "killed",
          0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(no_failure_is_success, begin),
        cmocka_unit_test_setup(what_all_agree_on_is_said_as_rank_0_says_it, begin),
        cmocka_unit_test_setup(what_one_says_has_its_name, begin),
        cmocka_unit_test_setup(who_has_spoken_before_is_pointed_to, begin),
        cmocka_unit_test_setup(who_knows_why_is_named_before_who_was_told, begin),
        cmocka_unit_test_setup(statuses_that_would_come_again_are_not_tried_again, begin),
        cmocka_unit_test_setup(a_killed_worker_is_a_lost_one, begin),
        cmocka_unit_test_setup(a_status_of_ours_without_a_word_is_taken, begin),
        cmocka_unit_test(who_crashed_outranks_who_was_killed),
        cmocka_unit_test_setup(an_mpiexec_that_starts_nothing_is_an_error, begin),
        cmocka_unit_test_setup(the_other_processes_have_names, begin),
        cmocka_unit_test_setup(who_was_interrupted_says_so, begin),
        cmocka_unit_test_setup(a_job_that_ended_well_was_not_interrupted, begin),
        cmocka_unit_test_setup(a_stop_that_nobody_catches_is_no_loss, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
