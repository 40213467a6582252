#include "base_pool.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TASKS = 1000 };

typedef struct record {
    _Atomic int runs[TASKS];
    _Atomic int bad;
    int threads, ntasks;
} record;

static void note(void *context, int task, int ntasks, int thread)
{
    record *r = context;
    if (task < 0 || task >= ntasks || ntasks != r->ntasks || thread < 0 || thread >= r->threads)
        atomic_fetch_add(&r->bad, 1);
    else
        atomic_fetch_add(&r->runs[task], 1);
}

static void every_task_runs_once(void **state)
{
    (void)state;
    static record r;
    for (int threads = 1; threads <= 5; threads++) {
        base_pool *pool;
        assert_int_equal(base_pool_create(&pool, threads), BASE_OK);
        assert_int_equal(base_pool_size(pool), threads);
        for (int ntasks = 0; ntasks <= TASKS; ntasks += ntasks < 10 ? 1 : 330) {
            memset(&r, 0, sizeof r);
            r.threads = threads;
            r.ntasks = ntasks;
            base_pool_run(pool, ntasks, note, &r);
            assert_int_equal(r.bad, 0);
            for (int i = 0; i < TASKS; i++)
                assert_int_equal(r.runs[i], i < ntasks);
        }
        base_pool_destroy(&pool);
        assert_null(pool);
    }
}

/* What a task writes is seen by the caller when the run is over, and by the tasks of the next run. */
static void add_one(void *context, int task, int ntasks, int thread)
{
    (void)ntasks;
    (void)thread;
    int *values = context;
    values[task]++;
}

static void runs_are_ordered(void **state)
{
    (void)state;
    enum { RUNS = 3000, VALUES = 7 };
    int values[VALUES] = {0};
    base_pool *pool;
    assert_int_equal(base_pool_create(&pool, 3), BASE_OK);
    for (int i = 0; i < RUNS; i++) {
        base_pool_run(pool, VALUES, add_one, values);
        assert_int_equal(values[i % VALUES], i + 1);
    }
    base_pool_destroy(&pool);
}

/* A signal to the process is for the main thread: workers have all blocked. */
static void count_unblocked(void *context, int task, int ntasks, int thread)
{
    (void)task;
    (void)ntasks;
    sigset_t mask;
    sigemptyset(&mask);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (thread != 0 && !sigismember(&mask, SIGINT))
        atomic_fetch_add((_Atomic int *)context, 1);
}

static void workers_block_signals(void **state)
{
    (void)state;
    _Atomic int unblocked = 0;
    base_pool *pool;
    assert_int_equal(base_pool_create(&pool, 4), BASE_OK);
    base_pool_run(pool, 200, count_unblocked, (void *)&unblocked);
    base_pool_destroy(&pool);
    assert_int_equal(unblocked, 0);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_false(sigismember(&mask, SIGINT));
}

static void range_covers_everything_once(void **state)
{
    (void)state;
    static const int64_t counts[] = {0, 1, 5, 16, 17, 100, 1000003};
    static const int64_t grains[] = {1, 16, 64};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (size_t g = 0; g < sizeof grains / sizeof *grains; g++)
            for (int parts = 1; parts <= 9; parts++) {
                int64_t at = 0;
                for (int part = 0; part < parts; part++) {
                    int64_t begin, end;
                    base_pool_range(counts[c], grains[g], part, parts, &begin, &end);
                    assert_int_equal(begin, at);
                    assert_true(end >= begin);
                    assert_true(end == counts[c] || end % grains[g] == 0);
                    at = end;
                }
                assert_int_equal(at, counts[c]);
            }
}

static void destroy_accepts_nothing(void **state)
{
    (void)state;
    base_pool *none = NULL;
    base_pool_destroy(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),    cmocka_unit_test(runs_are_ordered),
        cmocka_unit_test(workers_block_signals),   cmocka_unit_test(range_covers_everything_once),
        cmocka_unit_test(destroy_accepts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
