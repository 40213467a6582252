#include "checkpoint_compare.h"

#include "base_futex.h"

#include <math.h>
#include <string.h>

/* Both checkpoints are read from begin to end, each in the chunks that it comes in: `a` by the worker, which lends a
 * chunk at a time, `b` by the caller, who takes from what is lent. */
enum { EMPTY, LENT, ENDED, GIVEN_UP };

typedef struct lender {
    ckpt_reader *reader;
    const ckpt_tensor *tensor;
    _Atomic uint32_t state;
    const float *elements; /* of the chunk that is lent */
    uint64_t count;
} lender;

typedef struct comparison {
    lender *other;
    uint64_t used; /* of the chunk that is lent */
    checkpoint_difference *difference;
} comparison;

/* ---- the worker ---- */

static void set_state(lender *self, uint32_t state)
{
    atomic_store(&self->state, state);
    base_futex_wake(&self->state);
}

static uint32_t wait_while(lender *self, uint32_t state)
{
    uint32_t now;
    while ((now = atomic_load(&self->state)) == state)
        base_futex_wait(&self->state, state, -1);
    return now;
}

static base_status lend(void *context, const ckpt_tensor *tensor, uint64_t first, uint64_t count, const void *elements)
{
    lender *self = context;
    uint32_t empty = EMPTY;
    (void)tensor;
    (void)first;
    self->elements = elements;
    self->count = count;
    /* The caller may have given up in the meantime. */
    if (count == 0 || !atomic_compare_exchange_strong(&self->state, &empty, LENT))
        return count == 0 ? BASE_OK : BASE_FAIL(BASE_ERROR, "the comparison was given up");
    base_futex_wake(&self->state);
    return wait_while(self, LENT) == EMPTY ? BASE_OK : BASE_FAIL(BASE_ERROR, "the comparison was given up");
}

static base_status read_all(void *context)
{
    lender *self = context;
    base_status status = ckpt_reader_read(self->reader, self->tensor, 0, self->tensor->elements, lend, self);
    uint32_t empty = EMPTY;
    if (atomic_compare_exchange_strong(&self->state, &empty, ENDED))
        base_futex_wake(&self->state);
    return status;
}

/* ---- the caller ---- */

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void compare_elements(const float *a, const float *b, uint64_t count, checkpoint_difference *difference)
{
    for (uint64_t i = 0; i < count; i++) {
        if (bits_of(a[i]) == bits_of(b[i]))
            continue;
        double distance = fabs((double)a[i] - (double)b[i]);
        difference->differing++;
        if (!(distance <= difference->most))
            difference->most = isnan(distance) ? INFINITY : distance;
    }
}

static base_status compare_chunk(void *context, const ckpt_tensor *tensor, uint64_t first, uint64_t count,
                                 const void *elements)
{
    comparison *self = context;
    const float *mine = elements;
    (void)tensor;
    (void)first;
    while (count > 0) {
        /* The worker says why it ended too early. */
        if (wait_while(self->other, EMPTY) != LENT)
            return BASE_FAIL(BASE_CKPT, "the other checkpoint ended");
        uint64_t left = self->other->count - self->used, n = left < count ? left : count;
        compare_elements(self->other->elements + self->used, mine, n, self->difference);
        mine += n;
        count -= n;
        self->used += n;
        if (self->used == self->other->count) {
            self->used = 0;
            set_state(self->other, EMPTY);
        }
    }
    return BASE_OK;
}

base_status checkpoint_compare(base_worker *worker, ckpt_reader *a, const ckpt_tensor *ta, ckpt_reader *b,
                               const ckpt_tensor *tb, checkpoint_difference *difference)
{
    lender other = {.reader = a, .tensor = ta};
    comparison self = {.other = &other, .difference = difference};
    *difference = (checkpoint_difference){0};
    base_worker_start(worker, read_all, &other);
    base_status status = ckpt_reader_read(b, tb, 0, tb->elements, compare_chunk, &self);
    int ended = atomic_load(&other.state) == ENDED;
    if (status != BASE_OK && !ended)
        set_state(&other, GIVEN_UP);
    base_worker_wait(worker, -1);
    /* A worker that did not end by itself only says that it was given up. */
    base_status first = status == BASE_OK || ended ? base_worker_result(worker) : BASE_OK;
    return first != BASE_OK ? first : status;
}
