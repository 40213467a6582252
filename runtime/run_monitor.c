#include "run_monitor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A record as words, so that a reader that meets the writer in one reads torn words at worst, which the number of the
 * slot then tells. */
enum { WORDS = sizeof(run_monitor_record) / sizeof(uint64_t) };
_Static_assert(sizeof(run_monitor_record) % sizeof(uint64_t) == 0, "a record is whole words");

/* `number`: 2 n + 1 while record n is being written, 2 n + 2 when it is there; records count from 0. */
typedef struct slot {
    _Atomic uint64_t number;
    _Atomic uint64_t words[WORDS];
} slot;

struct run_monitor {
    base_watch watch;
    _Atomic int64_t step;
    _Atomic uint64_t written; /* records */
    _Atomic uint64_t tests;   /* as slot.number, of the words below */
    _Atomic uint64_t test_words[3];
    base_alarm alarm;
    uint64_t read; /* the watcher's: next record */
    slot ring[RUN_MONITOR_RING];
};

_Static_assert(sizeof(run_monitor_test) == 3 * sizeof(uint64_t), "an evaluation is three words");

base_status run_monitor_create(run_monitor **out)
{
    run_monitor *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for the record of steps");
    *out = self;
    return BASE_OK;
}

void run_monitor_destroy(run_monitor **self)
{
    free(*self);
    *self = NULL;
}

base_watch *run_monitor_watch(run_monitor *self)
{
    return &self->watch;
}

static void write_words(_Atomic uint64_t *to, const void *from, size_t words)
{
    const char *bytes = from;
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, bytes + i * sizeof word, sizeof word);
        atomic_store_explicit(&to[i], word, memory_order_relaxed);
    }
}

static void read_words(void *to, const _Atomic uint64_t *from, size_t words)
{
    char *bytes = to;
    for (size_t i = 0; i < words; i++) {
        uint64_t word = atomic_load_explicit(&from[i], memory_order_relaxed);
        memcpy(bytes + i * sizeof word, &word, sizeof word);
    }
}

void run_monitor_add(run_monitor *self, const run_monitor_record *record)
{
    uint64_t n = atomic_load_explicit(&self->written, memory_order_relaxed);
    slot *to = &self->ring[n % RUN_MONITOR_RING];
    atomic_store_explicit(&to->number, 2 * n + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    write_words(to->words, record, WORDS);
    atomic_store_explicit(&to->number, 2 * n + 2, memory_order_release);
    atomic_store_explicit(&self->step, record->step, memory_order_relaxed);
    atomic_store_explicit(&self->written, n + 1, memory_order_release);
}

void run_monitor_evaluated(run_monitor *self, int64_t step, double loss, double accuracy)
{
    run_monitor_test test = {.step = step, .loss = loss, .accuracy = accuracy};
    uint64_t n = atomic_load_explicit(&self->tests, memory_order_relaxed);
    atomic_store_explicit(&self->tests, n + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    write_words(self->test_words, &test, 3);
    atomic_store_explicit(&self->tests, n + 2, memory_order_release);
}

/* 0: overwritten meanwhile. */
static int read_slot(const run_monitor *self, uint64_t n, run_monitor_record *record)
{
    const slot *from = &self->ring[n % RUN_MONITOR_RING];
    if (atomic_load_explicit(&from->number, memory_order_acquire) != 2 * n + 2)
        return 0;
    read_words(record, from->words, WORDS);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&from->number, memory_order_relaxed) == 2 * n + 2;
}

int run_monitor_read(run_monitor *self, run_monitor_record *records, int most, int64_t *missed)
{
    uint64_t written = atomic_load_explicit(&self->written, memory_order_acquire);
    uint64_t oldest = written > RUN_MONITOR_RING ? written - RUN_MONITOR_RING : 0;
    if (self->read < oldest) {
        *missed += (int64_t)(oldest - self->read);
        self->read = oldest;
    }
    int count = 0;
    for (; self->read < written && count < most; self->read++) {
        if (read_slot(self, self->read, &records[count]))
            count++;
        else
            ++*missed;
    }
    return count;
}

run_monitor_now run_monitor_get_now(const run_monitor *self)
{
    return (run_monitor_now){.step = atomic_load_explicit(&self->step, memory_order_relaxed),
                             .phase = (base_phase)atomic_load_explicit(&self->watch.phase, memory_order_relaxed),
                             .progress = atomic_load_explicit(&self->watch.progress, memory_order_relaxed)};
}

run_monitor_test run_monitor_get_test(const run_monitor *self)
{
    for (;;) {
        run_monitor_test test = {.loss = NAN, .accuracy = NAN};
        uint64_t n = atomic_load_explicit(&self->tests, memory_order_acquire);
        if (n == 0)
            return test;
        read_words(&test, self->test_words, 3);
        atomic_thread_fence(memory_order_acquire);
        if (n % 2 == 0 && atomic_load_explicit(&self->tests, memory_order_relaxed) == n)
            return test;
    }
}

base_alarm *run_monitor_alarm(run_monitor *self)
{
    return &self->alarm;
}
