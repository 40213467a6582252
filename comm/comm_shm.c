/* The ranks of one node reduce through memory that all of them see.
 *
 * The life of request n: every rank arrives at it (its part of the data is ready); the last one opens the `arrived`
 * gate to n. Then its shares are done, one a rank: a slice to sum, or copies to make. A rank takes its own share first
 * and then any other that nobody has taken, so that with more ranks than cores the ranks that are awake do the work of
 * those that are not, and a request never waits for a core. Whoever does the last share opens the request's `completed`
 * gate. Small requests and those on a single copy have no shares: they are done on arrival.
 *
 * A gate wakes only who sleeps on it, and only when it opens. Where ranks outnumber cores, only as many as there are
 * cores are woken on arrival; the others sleep until the sums are there.
 */
#include "comm_gate.h"
#include "comm_reduce.h"
#include "comm_segment.h"
#include "comm_table.h"

#include "base_time.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Small request k travels in mailbox k % MAILBOXES and is not posted before this rank has done small request k -
 * WINDOW. Then all ranks have posted k - WINDOW, so all have done k - 2 WINDOW: the last user of the same mailbox. */
enum { WINDOW = 4, MAILBOXES = 2 * WINDOW };

enum { PAGE = 4096 };

/* What the ranks count of request n, in slot n % COMM_REQUEST_MAX. Requests never mix: a rank comes to n +
 * COMM_REQUEST_MAX only after n is done for it, and nobody works on that before all have come. Counts are never reset:
 * the size'th, 2 size'th,
 * ... is the last of its request. */
typedef struct slot {
    _Alignas(COMM_LINE) _Atomic uint64_t arrived;
    _Atomic uint64_t completed; /* shares */
    comm_gate gate;             /* n when all shares are done */
} slot;

/* The number of a rank's newest request; the others read it only to say who is missing. */
typedef struct place {
    _Alignas(COMM_LINE) _Atomic uint32_t arrived;
} place;

/* Opens to n when all have arrived at n. In order: the last to arrive at n + 1 comes after it has itself arrived at n.
 */
typedef struct shared {
    comm_gate arrived;
    slot slots[COMM_REQUEST_MAX];
} shared;

typedef struct shm {
    comm_segment segment;
    shared *shared;
    place *places;            /* (size) */
    _Atomic uint64_t *shares; /* (COMM_REQUEST_MAX, size): who has taken it for which request, is it done */
    char *mailboxes;          /* (size, MAILBOXES, COMM_SMALL_BYTES) */
    uint32_t posted;          /* this rank has arrived at this request ... */
    uint32_t worked;          /* ... and found nothing left to do for this one */
    uint32_t small_posted, small_worked;
    int helps;     /* is woken on arrival to take shares */
    void **ranges; /* (size): where a range lies in each rank's slab */
} shm;

/* Every rank's part of an OWN slab: rank r's begins at data + r * stride. */
typedef struct shm_slab {
    comm_segment segment;
    size_t stride;
} shm_slab;

static slot *slot_of(const shm *self, uint32_t number)
{
    return &self->shared->slots[number % COMM_REQUEST_MAX];
}

/* The count publishes what this rank has written, and the last one's gate publishes what all have. */
static void count_in(_Atomic uint64_t *counted, int size, comm_gate *gate, uint32_t number)
{
    if ((atomic_fetch_add_explicit(counted, 1, memory_order_acq_rel) + 1) % (uint64_t)size == 0)
        comm_gate_open(gate, number);
}

static int has_shares(const comm_request *request)
{
    return request->call != COMM_CALL_SMALL && !request->slab->one;
}

/* ---- shares ---- */

static _Atomic uint64_t *share_of(const comm_group *group, uint32_t number, int share)
{
    const shm *self = group->backend;
    return &self->shares[(size_t)(number % COMM_REQUEST_MAX) * (size_t)group->size + (size_t)share];
}

/* A share's word: the request's number, the rank that took it, the lowest bit when it is done. */
static uint64_t share_word(uint32_t number, int rank, int done)
{
    return (uint64_t)number << 32 | (uint64_t)(uint32_t)rank << 1 | (uint64_t)(uint32_t)done;
}

static int take(_Atomic uint64_t *share, uint64_t word)
{
    uint64_t old = atomic_load_explicit(share, memory_order_relaxed);
    return old >> 32 != word >> 32 && atomic_compare_exchange_strong(share, &old, word);
}

/* Where the elements of the range from `begin` on lie in every rank's slab. */
static void locate(const comm_request *request, size_t begin)
{
    const shm *self = request->group->backend;
    const shm_slab *slab = request->slab->backend;
    for (int r = 0; r < request->group->size; r++)
        self->ranges[r] = (char *)slab->segment.data + (size_t)r * slab->stride +
                          (request->offset + begin) * comm_type_size(request->type);
}

/* A share of an all-gather is a rank's own: all other slices, copied to it. */
static void copy_slices(const comm_request *request, int to)
{
    const shm *self = request->group->backend;
    locate(request, 0);
    for (int r = 0; r < request->group->size; r++) {
        size_t begin, end, element = comm_type_size(request->type);
        comm_request_part(request, r, &begin, &end);
        if (r != to)
            memcpy((char *)self->ranges[to] + begin * element, (char *)self->ranges[r] + begin * element,
                   (end - begin) * element);
    }
}

static void do_share(const comm_request *request, int share)
{
    const shm *self = request->group->backend;
    int size = request->group->size;
    size_t begin, end;
    if (request->call == COMM_CALL_ALL_GATHER) {
        copy_slices(request, share);
        return;
    }
    comm_slice(request->count, size, share, &begin, &end);
    locate(request, begin);
    if (request->call == COMM_CALL_ALL_REDUCE)
        comm_reduce_ranges(request->type, self->ranges, size, self->ranges, size, end - begin);
    else
        comm_reduce_ranges(request->type, &self->ranges[share], 1, self->ranges, size, end - begin);
}

static void work_shares(comm_group *group, const comm_request *request)
{
    shm *self = group->backend;
    slot *at = slot_of(self, request->number);
    for (int i = 0; i < group->size; i++) {
        int share = (group->rank + i) % group->size;
        _Atomic uint64_t *word = share_of(group, request->number, share);
        if (!take(word, share_word(request->number, group->rank, 0)))
            continue;
        do_share(request, share);
        atomic_store_explicit(word, share_word(request->number, group->rank, 1), memory_order_relaxed);
        count_in(&at->completed, group->size, &at->gate, request->number);
    }
}

/* ---- small requests ---- */

static char *mailbox(const comm_group *group, int rank, uint32_t small)
{
    const shm *self = group->backend;
    return self->mailboxes + ((size_t)rank * MAILBOXES + small % MAILBOXES) * COMM_SMALL_BYTES;
}

static void post_small(comm_group *group, const comm_request *request)
{
    shm *self = group->backend;
    self->small_posted++;
    if (request->count)
        memcpy(mailbox(group, group->rank, self->small_posted), request->data,
               request->count * comm_type_size(request->type));
}

static void work_small(comm_group *group, const comm_request *request)
{
    shm *self = group->backend;
    uint32_t small = ++self->small_worked;
    if (!request->count)
        return;
    memcpy(request->data, mailbox(group, 0, small), request->count * comm_type_size(request->type));
    for (int r = 1; r < group->size; r++)
        comm_reduce_small(request->data, mailbox(group, r, small), request->count, request->type, request->op);
}

/* ---- progress ---- */

/* Arrive at whatever was started, in order, as far as mailboxes are free. */
static void post(comm_group *group)
{
    shm *self = group->backend;
    while (self->posted != group->started) {
        const comm_request *request = comm_group_request(group, self->posted + 1);
        if (request->call == COMM_CALL_SMALL) {
            if (self->small_posted - self->small_worked == WINDOW)
                return;
            post_small(group, request);
        }
        self->posted++;
        atomic_store_explicit(&self->places[group->rank].arrived, self->posted, memory_order_relaxed);
        count_in(&slot_of(self, self->posted)->arrived, group->size, &self->shared->arrived, self->posted);
    }
}

static base_status comm_progress_shm(comm_group *group)
{
    shm *self = group->backend;
    post(group);
    while (self->worked != self->posted &&
           comm_gate_reached(comm_gate_number(&self->shared->arrived), self->worked + 1)) {
        const comm_request *request = comm_group_request(group, self->worked + 1);
        if (request->call == COMM_CALL_SMALL)
            work_small(group, request);
        else if (!request->slab->one)
            work_shares(group, request);
        self->worked++;
        post(group);
    }
    return BASE_OK;
}

/* `worked` has to pass the request even when others have done its shares, since its slot will be used again. */
static int comm_done_shm(const comm_request *request)
{
    const shm *self = request->group->backend;
    if (!comm_gate_reached(self->worked, request->number))
        return 0;
    return !has_shares(request) || comm_gate_number(&slot_of(self, request->number)->gate) == request->number;
}

static base_status comm_start_shm(comm_request *request)
{
    post(request->group);
    return BASE_OK;
}

/* ---- waiting ---- */

/* What a rank that can do nothing for `request` waits for. */
typedef struct goal {
    comm_gate *gate;
    uint32_t number;
    int arrival;
} goal;

static goal next_goal(const comm_request *request)
{
    const shm *self = request->group->backend;
    int worked = comm_gate_reached(self->worked, request->number);
    /* Nothing of what comes before this request is left to this rank alone, so it may sleep until others have done all.
     */
    int next = !self->helps && has_shares(request) && request->number == self->worked + 1;
    if (worked || next)
        return (goal){.gate = &slot_of(self, request->number)->gate, .number = request->number};
    return (goal){.gate = &self->shared->arrived, .number = self->worked + 1, .arrival = 1};
}

static double bound_s(const comm_group *group)
{
    if (group->timeout_ms == COMM_FOREVER)
        return INFINITY;
    return (group->timeout_ms + base_alarm_grace_ms(group->alarm)) * 1e-3;
}

static base_status report_missing(const comm_request *request)
{
    const comm_group *group = request->group;
    const shm *self = group->backend;
    char ranks[COMM_ROLL_TEXT] = "";
    for (int r = 0; r < group->size; r++)
        if (!comm_gate_reached(atomic_load(&self->places[r].arrived), request->number))
            comm_roll_name(ranks, r);
    const char *verb = *ranks ? "arrive" : "finish";
    for (int s = 0; s < group->size && *verb == 'f'; s++) {
        uint64_t word = atomic_load(share_of(group, request->number, s));
        if (word >> 32 == request->number && !(word & 1))
            comm_roll_name(ranks, (int)((word & UINT32_MAX) >> 1));
    }
    return BASE_FAIL(BASE_PEER, "waited %.1f s for the other ranks in %s %u: rank %s did not %s: stopped or lost",
                     bound_s(group), comm_call_name(request->call), request->number, *ranks ? ranks : "?", verb);
}

static base_status comm_wait_shm(comm_request *request)
{
    comm_group *group = request->group;
    double looked = 0.0, waited = 0.0;
    int sleep_ms = group->alarm ? BASE_ALARM_POLL_MS : (int)(1e3 * BASE_AWAKE_S / 2);
    for (;;) {
        BASE_TRY(comm_progress_shm(group));
        if (comm_done_shm(request))
            return BASE_OK;
        goal to = next_goal(request);
        uint32_t seen = comm_gate_number(to.gate);
        if (to.arrival ? comm_gate_reached(seen, to.number) : seen == to.number)
            continue;
        if (base_alarm_raised(group->alarm))
            return comm_alarm_failure(group->alarm);
        waited += base_time_awake(&looked, base_time_now());
        double left = bound_s(group) - waited;
        if (left <= 0.0)
            return report_missing(request);
        BASE_TRY(comm_roll_look(comm_world_roll(group->world), waited)); /* another may wait over MPI, or be lost */
        comm_gate_sleep(to.gate, seen, 1e3 * left < sleep_ms ? (int)(1e3 * left) + 1 : sleep_ms);
    }
}

/* ---- memory ---- */

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Cores that the group's ranks may use, each counted once. Every rank may be bound to a core of its own. */
static base_status count_cores(comm_group *group, int *cores)
{
    cpu_set_t mine, any;
    cpu_set_t *all = calloc((size_t)group->size, sizeof *all);
    if (!all)
        comm_world_no_memory(group->world);
    CPU_ZERO(&mine);
    CPU_ZERO(&any);
    sched_getaffinity(0, sizeof mine, &mine); /* beyond 1024 cores it fails and leaves none: all help then */
    base_status status = comm_world_all_gather(group->world, &mine, sizeof mine, all);
    for (int r = 0; r < group->size; r++)
        CPU_OR(&any, &any, &all[r]);
    free(all);
    *cores = CPU_COUNT(&any) ? CPU_COUNT(&any) : group->size;
    return status;
}

static base_status comm_open_shm(comm_group *group)
{
    size_t size = (size_t)group->size;
    shm *self = calloc(1, sizeof *self);
    void **ranges = calloc(size, sizeof *ranges);
    group->backend = self;
    if (!self || !ranges)
        comm_world_no_memory(group->world);
    self->ranges = ranges;
    int cores;
    BASE_TRY(count_cores(group, &cores));
    self->helps = group->rank < cores;
    size_t places = sizeof(shared), shares = places + size * sizeof(place);
    size_t mailboxes = round_up(shares + COMM_REQUEST_MAX * size * sizeof *self->shares, PAGE);
    size_t all = mailboxes + size * MAILBOXES * COMM_SMALL_BYTES;
    BASE_TRY(comm_segment_create(group->world, all, &self->segment));
    char *data = self->segment.data;
    self->shared = (shared *)data;
    self->places = (place *)(data + places);
    self->shares = (_Atomic uint64_t *)(data + shares);
    self->mailboxes = data + mailboxes;
    return BASE_OK;
}

static void comm_close_shm(comm_group *group)
{
    shm *self = group->backend;
    comm_segment_destroy(&self->segment);
    free(self->ranges);
    free(self);
}

/* Equal addresses modulo a power of two would share the few lines of a cache set, so each rank's part is shifted. */
static size_t slab_stride(size_t nbytes)
{
    return round_up(nbytes, PAGE) + PAGE + 256;
}

static base_status comm_slab_open_shm(comm_slab *slab)
{
    const comm_group *group = slab->group;
    shm_slab *self = calloc(1, sizeof *self);
    if (!self)
        comm_world_no_memory(group->world);
    slab->backend = self;
    slab->one = slab->kind == COMM_SLAB_ONE;
    self->stride = slab->one ? 0 : slab_stride(slab->nbytes);
    size_t nbytes = slab->one ? slab->nbytes : self->stride * (size_t)group->size;
    BASE_TRY(comm_segment_create(group->world, nbytes, &self->segment));
    slab->data = (char *)self->segment.data + (size_t)group->rank * self->stride;
    size_t begin = 0, end = slab->nbytes;
    if (slab->one)
        comm_slice(slab->nbytes, group->size, group->rank, &begin, &end);
    comm_segment_touch((char *)slab->data + begin, end - begin);
    return BASE_OK;
}

static void comm_slab_close_shm(comm_slab *slab)
{
    shm_slab *self = slab->backend;
    if (self)
        comm_segment_destroy(&self->segment);
    free(self);
}

const comm_table comm_table_shm = {
    .open = comm_open_shm,
    .close = comm_close_shm,
    .slab_open = comm_slab_open_shm,
    .slab_close = comm_slab_close_shm,
    .start = comm_start_shm,
    .progress = comm_progress_shm,
    .done = comm_done_shm,
    .wait = comm_wait_shm,
};
