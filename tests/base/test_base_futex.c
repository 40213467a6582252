#include "base_futex.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Long enough that a missed wake-up is seen as a failure and not as a slow machine. */
enum { BOUND_MS = 20000, ROUNDS = 2000 };

static void changed_word_does_not_sleep(void **state)
{
    (void)state;
    _Atomic uint32_t word = 5;
    assert_int_equal(base_futex_wait(&word, 4, -1), 0);
}

static void time_runs_out(void **state)
{
    (void)state;
    _Atomic uint32_t word = 5;
    int over = 0;
    for (int tries = 0; tries < 100 && !over; tries++) /* spurious returns are allowed */
        over = base_futex_wait(&word, 5, 5);
    assert_int_equal(over, 1);
    assert_int_equal(base_futex_wait(&word, 5, 0), 1);
}

/* Returns 1 if the word did not reach `value` in time. */
static int wait_for(_Atomic uint32_t *word, uint32_t value)
{
    for (uint32_t now; (now = atomic_load(word)) != value;)
        if (base_futex_wait(word, now, BOUND_MS))
            return 1;
    return 0;
}

static void set(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store(word, value);
    base_futex_wake(word);
}

/* Two sides count up in turn: odd values are the other side's. Every missed wake-up would cost BOUND_MS. */
static int answer(_Atomic uint32_t *word)
{
    int late = 0;
    for (uint32_t i = 0; i < ROUNDS && !late; i++) {
        late = wait_for(word, 2 * i + 1);
        set(word, 2 * i + 2);
    }
    return late;
}

static int ask(_Atomic uint32_t *word)
{
    int late = 0;
    for (uint32_t i = 0; i < ROUNDS && !late; i++) {
        set(word, 2 * i + 1);
        late = wait_for(word, 2 * i + 2);
    }
    return late;
}

static void *answer_in_thread(void *word)
{
    return answer(word) ? word : NULL;
}

static void threads_wake_each_other(void **state)
{
    (void)state;
    static _Atomic uint32_t word;
    pthread_t thread;
    void *late;
    assert_int_equal(pthread_create(&thread, NULL, answer_in_thread, (void *)&word), 0);
    assert_int_equal(ask(&word), 0);
    pthread_join(thread, &late);
    assert_null(late);
}

static void processes_wake_each_other(void **state)
{
    (void)state;
    _Atomic uint32_t *word = mmap(NULL, sizeof *word, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(word, MAP_FAILED);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(answer(word));
    int late = ask(word), status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(late, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    munmap((void *)word, sizeof *word);
}

/* One wake reaches all sleepers. */
static void all_sleepers_wake(void **state)
{
    (void)state;
    enum { SLEEPERS = 6 };
    _Atomic uint32_t *word = mmap(NULL, sizeof *word, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(word, MAP_FAILED);
    pid_t children[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            _exit(wait_for(word, 1));
    }
    nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL); /* most of them sleep by now */
    set(word, 1);
    int bad = 0;
    for (int i = 0; i < SLEEPERS; i++) {
        int status;
        bad |= waitpid(children[i], &status, 0) != children[i] || status != 0;
    }
    assert_int_equal(bad, 0);
    munmap((void *)word, sizeof *word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_word_does_not_sleep), cmocka_unit_test(time_runs_out),
        cmocka_unit_test(threads_wake_each_other),     cmocka_unit_test(processes_wake_each_other),
        cmocka_unit_test(all_sleepers_wake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
