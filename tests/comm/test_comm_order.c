/* Requests in flight, ranks that come early and late, and memory that is used again at once: what a step loop does,
 * often enough that a missing order shows. The MPI back end runs the same with fewer repeats. */
#include "comm_test.h"

#include <time.h>

enum { TIMEOUT_MS = 60 * 1000, BUCKETS = 5 };

static comm_kind kinds[3];
static int nkinds;
static comm_group *group;
static uint32_t dice;

static uint32_t roll(void)
{
    dice = dice * 1664525u + 1013904223u;
    return dice >> 8;
}

/* Now and then a rank is late, and between its calls it may or may not help. */
static void dawdle(unsigned one_in)
{
    if (roll() % one_in == 0)
        nanosleep(&(struct timespec){.tv_nsec = (long)(roll() % 200) * 1000}, NULL);
    if (roll() % 3 == 0)
        comm_group_progress(group);
}

static int repeats(comm_kind kind, int shm)
{
    return kind == COMM_MPI ? shm / 10 : shm;
}

static void open_group(comm_kind kind)
{
    comm_group_options options = {.kind = kind, .timeout_ms = TIMEOUT_MS};
    group = NULL;
    dice = 12345u + 77u * (uint32_t)rank;
    EVERYWHERE(comm_group_create(world, &options, &group) == BASE_OK);
}

static comm_slab *open_slab(comm_slab_kind kind, size_t count)
{
    comm_slab *slab = NULL;
    EVERYWHERE(comm_slab_create(group, kind, COMM_F32, count, &slab) == BASE_OK);
    return slab;
}

static float part(int r, int step, size_t i)
{
    return (float)((i + (size_t)step) % 13) + (float)((r + step) % 5);
}

static float total(int step, size_t i)
{
    float sum = 0;
    for (int r = 0; r < size; r++)
        sum += part(r, step, i);
    return sum;
}

static size_t bucket_begin(int bucket, size_t count)
{
    return (size_t)bucket * count / BUCKETS / 3 * 3; /* not at multiples of a slice's grain */
}

static size_t bucket_end(int bucket, size_t count)
{
    return bucket + 1 == BUCKETS ? count : bucket_begin(bucket + 1, count);
}

typedef base_status start_function(comm_group *, comm_slab *, size_t, size_t, comm_request **);

/* Writes each bucket and starts its request, as a backward pass does. */
static int start_buckets(start_function *start, comm_slab *slab, size_t count, int step, comm_request **requests)
{
    float *data = comm_slab_data(slab);
    int good = 1;
    for (int b = BUCKETS - 1; b >= 0; b--) {
        size_t begin = bucket_begin(b, count), end = bucket_end(b, count);
        for (size_t i = begin; i < end; i++)
            data[i] = part(rank, step, i);
        good = good && start(group, slab, begin, end - begin, &requests[b]) == BASE_OK;
        dawdle(40);
    }
    return good;
}

/* The plain form of a step: all-reduce in buckets, waits in any order, and the slab is overwritten at once. */
static void all_reduce_steps(void **state)
{
    (void)state;
    enum { COUNT = 3001 };
    for (int k = 0; k < nkinds; k++) {
        open_group(kinds[k]);
        comm_slab *slab = open_slab(COMM_SLAB_OWN, COUNT);
        const float *data = comm_slab_data(slab);
        int bad = -1;
        for (int step = 0; step < repeats(kinds[k], 2000) && bad < 0; step++) {
            comm_request *requests[BUCKETS] = {NULL};
            int good = start_buckets(comm_all_reduce_start, slab, COUNT, step, requests);
            for (int b = 0; b < BUCKETS && good; b++)
                good = comm_request_wait(&requests[step % 2 ? b : BUCKETS - 1 - b]) == BASE_OK;
            for (size_t i = 0; i < COUNT; i++)
                good = good && data[i] == total(step, i);
            bad = good ? -1 : step;
        }
        EVERYWHERE(bad < 0);
        comm_slab_destroy(&slab);
        comm_group_destroy(&group);
    }
}

/* The sharded form: the owner of a slice adds the sum to a single copy of the parameters, and nobody orders the reuse
 * of the gradients but the all-gather. Parameters count up in integers, so every step can be checked exactly. */
static int sharded_step(comm_slab *gradients, comm_slab *parameters, size_t count, int step)
{
    float *g = comm_slab_data(gradients), *p = comm_slab_data(parameters);
    comm_request *requests[BUCKETS] = {NULL}, *gathers[BUCKETS] = {NULL};
    int good = start_buckets(comm_reduce_scatter_start, gradients, count, step, requests);
    for (int b = BUCKETS - 1; b >= 0; b--) {
        size_t at = bucket_begin(b, count), n = bucket_end(b, count) - at, begin, end;
        good = good && comm_request_wait(&requests[b]) == BASE_OK;
        comm_slice(n, size, rank, &begin, &end);
        for (size_t i = at + begin; i < at + end; i++)
            p[i] = g[i];
        for (size_t i = at; i < at + n; i++)
            g[i] = -1e6f;
        dawdle(40);
        good = good && comm_all_gather_start(group, parameters, at, n, NULL, &gathers[b]) == BASE_OK;
    }
    for (int b = 0; b < BUCKETS; b++)
        good = good && comm_request_wait(&gathers[b]) == BASE_OK;
    for (size_t i = 0; i < count; i++)
        good = good && p[i] == total(step, i);
    /* Reading a single copy ends before an owner writes it again: the next reduce-scatter, which needs all ranks, does
     * that. */
    return good;
}

static void sharded_steps(void **state)
{
    (void)state;
    enum { COUNT = 3001 };
    for (int k = 0; k < nkinds; k++)
        for (int one = 0; one < 2; one++) {
            open_group(kinds[k]);
            comm_slab *gradients = open_slab(COMM_SLAB_OWN, COUNT);
            comm_slab *parameters = open_slab(one ? COMM_SLAB_ONE : COMM_SLAB_OWN, COUNT);
            int bad = -1;
            for (int step = 0; step < repeats(kinds[k], 2000) && bad < 0; step++)
                bad = sharded_step(gradients, parameters, COUNT, step) ? -1 : step;
            EVERYWHERE(bad < 0);
            comm_slab_destroy(&gradients);
            comm_slab_destroy(&parameters);
            comm_group_destroy(&group);
        }
}

/* Small requests follow each other faster than slow ranks read them: the mailboxes must not be overwritten. */
static void small_requests_in_flight(void **state)
{
    (void)state;
    enum { FLIGHT = 50 };
    for (int k = 0; k < nkinds; k++) {
        open_group(kinds[k]);
        int bad = -1;
        for (int round = 0; round < repeats(kinds[k], 200) && bad < 0; round++) {
            int64_t data[FLIGHT][3];
            comm_request *requests[FLIGHT] = {NULL};
            int good = 1, flight = 1 + round % FLIGHT;
            for (int i = 0; i < flight; i++) {
                for (int j = 0; j < 3; j++)
                    data[i][j] = round + 100 * i + j + rank;
                good =
                    good && comm_small_all_reduce_start(group, data[i], 3, COMM_I64, COMM_SUM, &requests[i]) == BASE_OK;
                dawdle(20);
            }
            for (int i = 0; i < flight; i++)
                good = good && comm_request_wait(&requests[round % 2 ? i : flight - 1 - i]) == BASE_OK;
            for (int i = 0; i < flight; i++)
                for (int j = 0; j < 3; j++)
                    good = good && data[i][j] == (int64_t)size * (round + 100 * i + j) + size * (size - 1) / 2;
            bad = good ? -1 : round;
        }
        EVERYWHERE(bad < 0);
        comm_group_destroy(&group);
    }
}

/* As many requests as there may be, of mixed kinds; one more is refused and harms nobody. */
static void as_many_requests_as_allowed(void **state)
{
    (void)state;
    enum { EACH = 40 };
    for (int k = 0; k < nkinds; k++) {
        open_group(kinds[k]);
        comm_slab *slab = open_slab(COMM_SLAB_OWN, COMM_REQUEST_MAX * EACH);
        float *data = comm_slab_data(slab);
        for (int round = 0; round < 3; round++) {
            comm_request *requests[COMM_REQUEST_MAX] = {NULL}, *extra = NULL;
            double sums[COMM_REQUEST_MAX];
            int good = 1;
            for (size_t n = 0; n < COMM_REQUEST_MAX; n++) {
                for (size_t i = n * EACH; i < (n + 1) * EACH; i++)
                    data[i] = part(rank, round, i);
                sums[n] = (double)n + rank;
                good = good && (n % 4 ? comm_all_reduce_start(group, slab, n * EACH, EACH, &requests[n])
                                      : comm_small_all_reduce_start(group, &sums[n], 1, COMM_F64, COMM_MAX,
                                                                    &requests[n])) == BASE_OK;
            }
            good =
                good && comm_small_all_reduce_start(group, sums, 1, COMM_F64, COMM_MAX, &extra) == BASE_ERROR && !extra;
            while (good && !comm_request_test(requests[COMM_REQUEST_MAX - 1]))
                nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
            for (size_t n = 0; n < COMM_REQUEST_MAX; n++) {
                good = good && comm_request_wait(&requests[n]) == BASE_OK;
                good = good && (n % 4 || sums[n] == (double)n + size - 1);
                for (size_t i = n * EACH; i < (n + 1) * EACH && n % 4; i++)
                    good = good && data[i] == total(round, i);
            }
            EVERYWHERE(good);
        }
        comm_slab_destroy(&slab);
        comm_group_destroy(&group);
    }
}

/* Two groups of the same ranks do not disturb each other. */
static void two_groups_at_once(void **state)
{
    (void)state;
    for (int k = 0; k < nkinds; k++) {
        open_group(kinds[k]);
        comm_group *first = group;
        open_group(kinds[k]);
        int good = 1;
        for (int i = 0; i < 50; i++) {
            int64_t a = i, b = -i;
            comm_request *ra = NULL, *rb = NULL;
            good = good && comm_small_all_reduce_start(first, &a, 1, COMM_I64, COMM_SUM, &ra) == BASE_OK;
            good = good && comm_small_all_reduce_start(group, &b, 1, COMM_I64, COMM_SUM, &rb) == BASE_OK;
            good = good && comm_request_wait(&rb) == BASE_OK && comm_request_wait(&ra) == BASE_OK;
            good = good && a == (int64_t)size * i && b == -(int64_t)size * i;
        }
        EVERYWHERE(good);
        comm_group_destroy(&group);
        comm_group_destroy(&first);
    }
}

int main(void)
{
    test_open_world();
    if (size == 1)
        kinds[nkinds++] = COMM_LOCAL;
    if (comm_world_get_info(world)->nodes == 1)
        kinds[nkinds++] = COMM_SHM;
    kinds[nkinds++] = COMM_MPI;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_reduce_steps),         cmocka_unit_test(sharded_steps),
        cmocka_unit_test(small_requests_in_flight), cmocka_unit_test(as_many_requests_as_allowed),
        cmocka_unit_test(two_groups_at_once),
    };
    return test_close_world(cmocka_run_group_tests_name("comm_order", tests, NULL, NULL));
}
