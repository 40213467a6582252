#include "base_worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { ROUNDS = 5000 };

static int setup(void **state)
{
    base_worker *worker = NULL;
    base_status status = base_worker_create(&worker);
    *state = worker;
    return status != BASE_OK;
}

static int teardown(void **state)
{
    base_worker *worker = *state;
    base_worker_destroy(&worker);
    return worker != NULL;
}

static base_status count(void *context)
{
    ++*(int *)context; /* plain: the worker orders it */
    return BASE_OK;
}

static void jobs_run_one_after_the_other(void **state)
{
    base_worker *worker = *state;
    int jobs = 0;
    assert_int_equal(base_worker_idle(worker), 1);
    for (int i = 1; i <= ROUNDS; i++) {
        base_worker_start(worker, count, &jobs);
        assert_int_equal(base_worker_wait(worker, -1), 1);
        assert_int_equal(jobs, i);
        assert_int_equal(base_worker_result(worker), BASE_OK);
    }
}

static base_status tell_thread(void *context)
{
    *(pthread_t *)context = pthread_self();
    return BASE_OK;
}

static void job_has_a_thread_of_its_own(void **state)
{
    base_worker *worker = *state;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        base_worker_start(worker, tell_thread, &threads[i]);
        assert_int_equal(base_worker_wait(worker, -1), 1);
    }
    assert_true(pthread_equal(threads[0], threads[1]));
    assert_false(pthread_equal(threads[0], pthread_self()));
}

/* A job that goes on until it is let go. */
static base_status wait_for_leave(void *context)
{
    while (!atomic_load((atomic_int *)context))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return BASE_OK;
}

static void wait_has_a_bound(void **state)
{
    base_worker *worker = *state;
    atomic_int leave = 0;
    base_worker_start(worker, wait_for_leave, &leave);
    assert_int_equal(base_worker_idle(worker), 0);
    assert_int_equal(base_worker_wait(worker, 0), 0);
    assert_int_equal(base_worker_wait(worker, 20), 0);
    assert_int_equal(base_worker_idle(worker), 0);
    atomic_store(&leave, 1);
    assert_int_equal(base_worker_wait(worker, 60000), 1);
    assert_int_equal(base_worker_idle(worker), 1);
    assert_int_equal(base_worker_wait(worker, 0), 1);
}

static void idle_worker_can_be_asked_without_waiting(void **state)
{
    base_worker *worker = *state;
    int jobs = 0;
    for (int i = 1; i <= ROUNDS; i++) {
        base_worker_start(worker, count, &jobs);
        while (!base_worker_idle(worker))
            sched_yield();
        assert_int_equal(jobs, i); /* what the job wrote is visible */
    }
}

static base_status fail_so(void *context)
{
    return BASE_FAIL(BASE_CKPT, "cannot do %s", (const char *)context);
}

static void failure_comes_with_its_text(void **state)
{
    base_worker *worker = *state;
    int jobs = 0;
    base_status_clear();
    base_worker_start(worker, fail_so, "this");
    assert_int_equal(base_worker_wait(worker, -1), 1);
    assert_string_equal(base_status_message(), ""); /* until it is asked for, it is the worker's */
    assert_int_equal(base_worker_result(worker), BASE_CKPT);
    assert_string_equal(base_status_message(), "cannot do this");
    base_status_clear();
    assert_int_equal(base_worker_result(worker), BASE_CKPT); /* as often as one likes */
    assert_string_equal(base_status_message(), "cannot do this");
    base_worker_start(worker, count, &jobs);
    assert_int_equal(base_worker_wait(worker, -1), 1);
    assert_int_equal(base_worker_result(worker), BASE_OK);
}

/* A path may be as long as PATH_MAX; what is around it must not get lost. */
static base_status fail_at_length(void *context)
{
    memset(context, 'x', 1500);
    return BASE_FAIL(BASE_ERROR, "%s!", (const char *)context);
}

static void long_text_comes_whole(void **state)
{
    base_worker *worker = *state;
    char text[1501] = "";
    base_worker_start(worker, fail_at_length, text);
    assert_int_equal(base_worker_wait(worker, -1), 1);
    assert_int_equal(base_worker_result(worker), BASE_ERROR);
    assert_int_equal(strlen(base_status_message()), 1501);
    assert_int_equal(base_status_message()[1500], '!');
}

static void worker_that_did_nothing_is_well(void **state)
{
    base_worker *worker = *state;
    assert_int_equal(base_worker_wait(worker, -1), 1);
    assert_int_equal(base_worker_result(worker), BASE_OK);
}

static base_status tell_signals(void *context)
{
    return pthread_sigmask(SIG_BLOCK, NULL, context) ? BASE_ERROR : BASE_OK;
}

static void signals_go_to_others(void **state)
{
    base_worker *worker = *state;
    sigset_t blocked, mine;
    base_worker_start(worker, tell_signals, &blocked);
    assert_int_equal(base_worker_wait(worker, -1), 1);
    assert_int_equal(sigismember(&blocked, SIGTERM), 1);
    assert_int_equal(sigismember(&blocked, SIGUSR1), 1);
    assert_int_equal(sigismember(&blocked, SIGUSR2), 1);
    assert_int_equal(sigismember(&blocked, SIGINT), 1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mine), 0);
    assert_int_equal(sigismember(&mine, SIGTERM), 0); /* the owner's are as they were */
}

static base_status nap_and_count(void *context)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    return count(context);
}

static void destroy_waits_for_the_job(void **state)
{
    (void)state;
    base_worker *worker;
    int jobs = 0;
    assert_int_equal(base_worker_create(&worker), BASE_OK);
    base_worker_start(worker, nap_and_count, &jobs);
    base_worker_destroy(&worker);
    assert_int_equal(jobs, 1);
    assert_null(worker);
    base_worker_destroy(&worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_run_one_after_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(job_has_a_thread_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(wait_has_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(idle_worker_can_be_asked_without_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(failure_comes_with_its_text, setup, teardown),
        cmocka_unit_test_setup_teardown(long_text_comes_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(worker_that_did_nothing_is_well, setup, teardown),
        cmocka_unit_test_setup_teardown(signals_go_to_others, setup, teardown),
        cmocka_unit_test(destroy_waits_for_the_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
