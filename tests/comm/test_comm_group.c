/* What every collective delivers, on every back end that can serve these ranks. */
#include "comm_test.h"

enum { TIMEOUT_MS = 60 * 1000, PAD = 67 };

static const size_t counts[] = {0, 1, 63, 64, 65, 100003};
enum { COUNTS = sizeof counts / sizeof *counts };

static comm_kind kinds[3];
static int nkinds;

static comm_group *open_group(comm_kind kind)
{
    comm_group *group = NULL;
    comm_group_options options = {.kind = kind, .timeout_ms = TIMEOUT_MS};
    EVERYWHERE(comm_group_create(world, &options, &group) == BASE_OK);
    return group;
}

static float *open_slab(comm_group *group, comm_slab_kind kind, size_t count, comm_slab **slab)
{
    *slab = NULL;
    EVERYWHERE(comm_slab_create(group, kind, COMM_F32, count, slab) == BASE_OK);
    EVERYWHERE((uintptr_t)comm_slab_data(*slab) % 256 == 0);
    return comm_slab_data(*slab);
}

/* Small integers: every order of summation gives the same float. */
static float part(int r, size_t i)
{
    return (float)(i % 61) + 7 * (float)r;
}

static float total(size_t i)
{
    return (float)size * (float)(i % 61) + 7 * (float)(size * (size - 1) / 2);
}

static void fill(float *data, size_t offset, size_t count)
{
    for (size_t i = 0; i < offset + count + PAD; i++)
        data[i] = i < offset || i >= offset + count ? -1.5f : part(rank, i - offset);
}

/* Nothing outside the range was written. */
static int pads_hold(const float *data, size_t offset, size_t count)
{
    int good = 1;
    for (size_t i = 0; i < PAD; i++)
        good = good && data[offset + count + i] == -1.5f && (i >= offset || data[i] == -1.5f);
    return good;
}

static void groups_know_their_ranks(void **state)
{
    (void)state;
    for (int k = 0; k < nkinds; k++) {
        comm_group *group = open_group(kinds[k]);
        EVERYWHERE(comm_group_kind(group) == kinds[k]);
        EVERYWHERE(comm_group_rank(group) == rank && comm_group_size(group) == size);
        comm_group_destroy(&group);
        EVERYWHERE(group == NULL);
    }
}

static void auto_chooses(void **state)
{
    (void)state;
    comm_group *group = open_group(COMM_AUTO);
    comm_kind wanted = size == 1 ? COMM_LOCAL : comm_world_get_info(world)->nodes == 1 ? COMM_SHM : COMM_MPI;
    EVERYWHERE(comm_group_kind(group) == wanted);
    comm_group_destroy(&group);
}

static void a_kind_that_cannot_serve_is_a_usage_error(void **state)
{
    (void)state;
    comm_group *group = NULL;
    comm_group_options options = {.kind = COMM_LOCAL, .timeout_ms = TIMEOUT_MS};
    if (size > 1)
        EVERYWHERE(comm_group_create(world, &options, &group) == BASE_USAGE && group == NULL);
}

static void slabs_are_zeroed(void **state)
{
    (void)state;
    for (int k = 0; k < nkinds; k++)
        for (int one = 0; one < 2; one++) {
            comm_group *group = open_group(kinds[k]);
            comm_slab *slab;
            float *data = open_slab(group, one ? COMM_SLAB_ONE : COMM_SLAB_OWN, counts[5], &slab);
            int good = 1;
            for (size_t i = 0; i < counts[5]; i++)
                good = good && data[i] == 0;
            EVERYWHERE(good);
            EVERYWHERE(comm_slab_is_one(slab) == (one && kinds[k] == COMM_SHM));
            comm_slab_destroy(&slab);
            comm_group_destroy(&group);
        }
}

static int all_reduce_once(comm_group *group, comm_slab *slab, size_t offset, size_t count)
{
    float *data = comm_slab_data(slab);
    comm_request *request = NULL;
    fill(data, offset, count);
    int good = comm_all_reduce_start(group, slab, offset, count, &request) == BASE_OK;
    good = good && comm_request_wait(&request) == BASE_OK && !request;
    for (size_t i = 0; i < count; i++)
        good = good && data[offset + i] == total(i);
    good = good && pads_hold(data, offset, count);
    return comm_barrier(group) == BASE_OK && good; /* the next fill is of the pads too */
}

static void all_reduce_sums_in_place(void **state)
{
    (void)state;
    for (int k = 0; k < nkinds; k++) {
        comm_group *group = open_group(kinds[k]);
        comm_slab *slab;
        open_slab(group, COMM_SLAB_OWN, 5 + counts[COUNTS - 1] + PAD, &slab);
        for (size_t c = 0; c < COUNTS; c++)
            for (size_t offset = 0; offset < 6; offset += 5)
                EVERYWHERE(all_reduce_once(group, slab, offset, counts[c]));
        comm_slab_destroy(&slab);
        comm_group_destroy(&group);
    }
}

static int reduce_scatter_once(comm_group *group, comm_slab *slab, size_t offset, size_t count)
{
    float *data = comm_slab_data(slab);
    comm_request *request = NULL;
    fill(data, offset, count);
    int good = comm_reduce_scatter_start(group, slab, offset, count, &request) == BASE_OK;
    good = good && comm_request_wait(&request) == BASE_OK;
    size_t begin, end;
    comm_slice(count, size, rank, &begin, &end);
    for (size_t i = begin; i < end; i++)
        good = good && data[offset + i] == total(i);
    good = good && pads_hold(data, offset, count);
    return comm_barrier(group) == BASE_OK && good;
}

static void reduce_scatter_sums_the_slice(void **state)
{
    (void)state;
    for (int k = 0; k < nkinds; k++) {
        comm_group *group = open_group(kinds[k]);
        comm_slab *slab;
        open_slab(group, COMM_SLAB_OWN, 5 + counts[COUNTS - 1] + PAD, &slab);
        for (size_t c = 0; c < COUNTS; c++)
            for (size_t offset = 0; offset < 6; offset += 5)
                EVERYWHERE(reduce_scatter_once(group, slab, offset, counts[c]));
        comm_slab_destroy(&slab);
        comm_group_destroy(&group);
    }
}

static int all_gather_once(comm_group *group, comm_slab *slab, size_t offset, size_t count)
{
    float *data = (float *)comm_slab_data(slab) + offset;
    size_t begin, end;
    comm_slice(count, size, rank, &begin, &end);
    for (size_t i = begin; i < end; i++)
        data[i] = total(i) + (float)offset;
    comm_request *request = NULL;
    int good = comm_all_gather_start(group, slab, offset, count, NULL, &request) == BASE_OK;
    good = good && comm_request_wait(&request) == BASE_OK;
    for (size_t i = 0; i < count; i++)
        good = good && data[i] == total(i) + (float)offset;
    return comm_barrier(group) == BASE_OK && good; /* a single copy is written again by its owners */
}

static void all_gather_brings_every_slice(void **state)
{
    (void)state;
    for (int k = 0; k < nkinds; k++)
        for (int one = 0; one < 2; one++) {
            comm_group *group = open_group(kinds[k]);
            comm_slab *slab;
            open_slab(group, one ? COMM_SLAB_ONE : COMM_SLAB_OWN, 5 + counts[COUNTS - 1], &slab);
            for (size_t c = 0; c < COUNTS; c++)
                for (size_t offset = 0; offset < 6; offset += 5)
                    EVERYWHERE(all_gather_once(group, slab, offset, counts[c]));
            comm_slab_destroy(&slab);
            comm_group_destroy(&group);
        }
}

/* Numbers whose sum depends on the order: the same bits on all ranks and in every repeat. */
static void sums_are_equal_to_the_bit(void **state)
{
    (void)state;
    enum { COUNT = 100003, REPEATS = 3 };
    for (int k = 0; k < nkinds; k++) {
        comm_group *group = open_group(kinds[k]);
        comm_slab *slab;
        float *data = open_slab(group, COMM_SLAB_OWN, COUNT, &slab);
        float *first = malloc(COUNT * sizeof *first);
        for (int repeat = 0; repeat < REPEATS; repeat++) {
            for (size_t i = 0; i < COUNT; i++)
                data[i] = (float)((i * 2654435761u + (size_t)rank * 40503u) % 1000003) * 1.1e-3f / (float)(rank + 1);
            comm_request *request = NULL;
            int good = comm_all_reduce_start(group, slab, 0, COUNT, &request) == BASE_OK;
            good = good && comm_request_wait(&request) == BASE_OK;
            EVERYWHERE(good);
            if (repeat == 0) {
                memcpy(first, data, COUNT * sizeof *first);
                good = comm_world_bcast(world, first, COUNT * sizeof *first, 0) == BASE_OK;
            }
            EVERYWHERE(good && memcmp(first, data, COUNT * sizeof *first) == 0);
        }
        free(first);
        comm_slab_destroy(&slab);
        comm_group_destroy(&group);
    }
}

/* ---- small vectors ---- */

typedef union value {
    float f32;
    double f64;
    int64_t i64;
    uint64_t u64;
} value;

static void set_value(void *data, size_t i, comm_type type, int64_t v)
{
    switch (type) {
    case COMM_F32: ((float *)data)[i] = (float)v; break;
    case COMM_F64: ((double *)data)[i] = (double)v; break;
    case COMM_I64: ((int64_t *)data)[i] = v; break;
    case COMM_U64: ((uint64_t *)data)[i] = (uint64_t)v; break;
    }
}

static int has_value(const void *data, size_t i, comm_type type, int64_t v)
{
    switch (type) {
    case COMM_F32: return ((const float *)data)[i] == (float)v;
    case COMM_F64: return ((const double *)data)[i] == (double)v;
    case COMM_I64: return ((const int64_t *)data)[i] == v;
    case COMM_U64: return ((const uint64_t *)data)[i] == (uint64_t)v;
    }
    return 0;
}

/* Rank r brings base + r, descending ranks for odd elements, so that minimum and maximum are not always the same
 * rank's. */
static int64_t small_part(int r, size_t i)
{
    return 1000 + (int64_t)(i % 100) + (i % 2 ? size - 1 - r : r) * 3;
}

static int64_t small_result(comm_op op, size_t i)
{
    int64_t base = 1000 + (int64_t)(i % 100);
    return op == COMM_SUM   ? base * size + 3 * (int64_t)size * (size - 1) / 2
           : op == COMM_MIN ? base
                            : base + 3 * (size - 1);
}

static int small_once(comm_group *group, size_t count, comm_type type, comm_op op)
{
    static value data[COMM_SMALL_BYTES / sizeof(float)];
    for (size_t i = 0; i < count; i++)
        set_value(data, i, type, small_part(rank, i));
    int good = comm_small_all_reduce(group, data, count, type, op) == BASE_OK;
    for (size_t i = 0; i < count; i++)
        good = good && has_value(data, i, type, small_result(op, i));
    return good;
}

static void small_vectors_of_every_type_and_op(void **state)
{
    (void)state;
    const comm_type types[] = {COMM_F32, COMM_F64, COMM_I64, COMM_U64};
    const comm_op ops[] = {COMM_SUM, COMM_MIN, COMM_MAX};
    for (int k = 0; k < nkinds; k++) {
        comm_group *group = open_group(kinds[k]);
        for (size_t t = 0; t < 4; t++)
            for (size_t o = 0; o < 3; o++) {
                size_t most = COMM_SMALL_BYTES / (types[t] == COMM_F32 ? sizeof(float) : sizeof(double));
                int good = small_once(group, 1, types[t], ops[o]);
                good = small_once(group, 7, types[t], ops[o]) && good;
                good = small_once(group, most, types[t], ops[o]) && good;
                EVERYWHERE(good);
            }
        comm_group_destroy(&group);
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
        cmocka_unit_test(groups_know_their_ranks),
        cmocka_unit_test(auto_chooses),
        cmocka_unit_test(a_kind_that_cannot_serve_is_a_usage_error),
        cmocka_unit_test(slabs_are_zeroed),
        cmocka_unit_test(all_reduce_sums_in_place),
        cmocka_unit_test(reduce_scatter_sums_the_slice),
        cmocka_unit_test(all_gather_brings_every_slice),
        cmocka_unit_test(sums_are_equal_to_the_bit),
        cmocka_unit_test(small_vectors_of_every_type_and_op),
    };
    return test_close_world(cmocka_run_group_tests_name("comm_group", tests, NULL, NULL));
}
