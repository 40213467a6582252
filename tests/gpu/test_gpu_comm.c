/* Groups whose slabs lie on a GPU: what every collective delivers there, in the order of the computation's stream, and
 * how a wait ends when a peer is lost. NCCL itself is played by fake_nccl.c. */
#include "comm/comm_test.h"
#include "fake_nccl.h"
#include "gpu_device.h"

enum { TIMEOUT_MS = 60 * 1000, BOUND_MS = 300, COUNT_MAX = 4096 };

static const size_t counts[] = {0, 1, 63, 64, 65, 640, 768, 4001};
enum { COUNTS = sizeof counts / sizeof *counts };

static comm_kind kinds[3];
static int nkinds;
static const base_device_table *table = &gpu_device_table;
static comm_device device;
static float host[COUNT_MAX + 8]; /* ordinary memory: a copy to it is done when it returns */

static comm_group *open_group(comm_kind kind, int timeout_ms)
{
    comm_group *group = NULL;
    comm_group_options options = {.kind = kind, .timeout_ms = timeout_ms, .device = device};
    EVERYWHERE(comm_group_create(world, &options, &group) == BASE_OK);
    return group;
}

static comm_slab *open_slab(comm_group *group, comm_type type, size_t count)
{
    comm_slab *slab = NULL;
    EVERYWHERE(comm_slab_create(group, COMM_SLAB_OWN, type, count, &slab) == BASE_OK);
    return slab;
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

static float *at(comm_slab *slab, size_t offset)
{
    return (float *)comm_slab_data(slab) + offset;
}

/* Through the stream of the computation: nothing has happened yet when this returns. */
static int put(comm_slab *slab, size_t offset, size_t count)
{
    for (size_t i = 0; i < count + 2; i++)
        host[i] = i == 0 || i == count + 1 ? -1.5f : part(rank, i - 1);
    return table->copy(device.device, device.stream, at(slab, offset - 1), host, (count + 2) * sizeof(float)) ==
           BASE_OK;
}

static int get(comm_slab *slab, size_t offset, size_t count)
{
    int good =
        table->copy(device.device, device.stream, host, at(slab, offset - 1), (count + 2) * sizeof(float)) == BASE_OK &&
        table->stream_wait(device.device, device.stream) == BASE_OK;
    return good && host[0] == -1.5f && host[count + 1] == -1.5f;
}

static int all_reduce(comm_group *group, comm_slab *slab, size_t count)
{
    comm_request *request = NULL;
    int good = put(slab, 5, count) && comm_all_reduce_start(group, slab, 5, count, &request) == BASE_OK;
    good = good && comm_request_wait(&request) == BASE_OK && get(slab, 5, count);
    for (size_t i = 0; i < count; i++)
        good = good && host[1 + i] == total(i);
    return good;
}

static int reduce_scatter(comm_group *group, comm_slab *slab, size_t count)
{
    comm_request *request = NULL;
    size_t begin, end;
    comm_slice(count, size, rank, &begin, &end);
    int good = put(slab, 5, count) && comm_reduce_scatter_start(group, slab, 5, count, &request) == BASE_OK;
    good = good && comm_request_wait(&request) == BASE_OK && get(slab, 5, count);
    for (size_t i = begin; i < end; i++)
        good = good && host[1 + i] == total(i);
    return good;
}

/* Rank r's elements are part(r, i) before, and on all ranks after. */
static int all_gather(comm_group *group, comm_slab *slab, size_t count, const size_t *cuts)
{
    comm_request *request = NULL;
    int good = put(slab, 5, count) && comm_all_gather_start(group, slab, 5, count, cuts, &request) == BASE_OK;
    good = good && comm_request_wait(&request) == BASE_OK && get(slab, 5, count);
    for (int r = 0; r < size; r++) {
        size_t begin, end;
        comm_slice(count, size, r, &begin, &end);
        if (cuts) {
            begin = cuts[r];
            end = cuts[r + 1];
        }
        for (size_t i = begin; i < end; i++)
            good = good && host[1 + i] == part(r, i);
    }
    return good;
}

static void collectives_work_in_the_order_of_the_stream(void **state)
{
    (void)state;
    for (int k = 0; k < nkinds; k++) {
        comm_group *group = open_group(kinds[k], TIMEOUT_MS);
        comm_slab *slab = open_slab(group, COMM_F32, COUNT_MAX + 8);
        EVERYWHERE(comm_group_kind(group) == kinds[k] && !comm_slab_is_one(slab));
        for (size_t c = 0; c < COUNTS; c++) {
            size_t cuts[9] = {0};
            for (int r = 1; r < size; r++)
                cuts[r] = counts[c] / 7 * (size_t)r / (size_t)size;
            cuts[size] = counts[c];
            EVERYWHERE(all_reduce(group, slab, counts[c]));
            EVERYWHERE(reduce_scatter(group, slab, counts[c]));
            EVERYWHERE(all_gather(group, slab, counts[c], NULL));
            EVERYWHERE(all_gather(group, slab, counts[c], cuts));
        }
        comm_slab_destroy(&slab);
        comm_group_destroy(&group);
    }
    if (size > 1)
        EVERYWHERE(fake.in_pieces > 0 && fake.closed == fake.opened && fake.aborted == 0);
}

/* Buckets of a backward pass: all started, then waited for; a small request among them does not wait for the device. */
static void many_requests_are_under_way(void **state)
{
    (void)state;
    enum { BUCKETS = 40, BUCKET = 100 };
    for (int k = 0; k < nkinds; k++) {
        comm_group *group = open_group(kinds[k], TIMEOUT_MS);
        comm_slab *slab = open_slab(group, COMM_F32, COUNT_MAX + 8);
        comm_request *requests[BUCKETS];
        double ranks = 1.0;
        int good = put(slab, 5, BUCKETS * BUCKET);
        for (int b = 0; b < BUCKETS; b++) {
            good =
                good && comm_all_reduce_start(group, slab, (size_t)(5 + b * BUCKET), BUCKET, &requests[b]) == BASE_OK;
            good = good && comm_group_progress(group) == BASE_OK;
        }
        good = good && comm_small_all_reduce(group, &ranks, 1, COMM_F64, COMM_SUM) == BASE_OK && ranks == size;
        for (int b = 0; b < BUCKETS; b++)
            good = good && comm_request_wait(&requests[b]) == BASE_OK;
        good = good && comm_group_synchronize(group) == BASE_OK && get(slab, 5, BUCKETS * BUCKET);
        for (size_t i = 0; i < BUCKETS * BUCKET; i++)
            good = good && host[1 + i] == total(i);
        EVERYWHERE(good);
        comm_slab_destroy(&slab);
        comm_group_destroy(&group);
    }
}

static void doubles_are_summed_in_double(void **state)
{
    (void)state;
    for (int k = 0; k < nkinds; k++) {
        comm_group *group = open_group(kinds[k], TIMEOUT_MS);
        comm_slab *slab = open_slab(group, COMM_F64, 2);
        comm_request *request = NULL;
        double sums[2] = {1.0 + 0x1p-40, 3.0};
        int good = table->copy(device.device, device.stream, comm_slab_data(slab), sums, sizeof sums) == BASE_OK;
        good = good && comm_all_reduce_start(group, slab, 0, 2, &request) == BASE_OK;
        good = good && comm_request_wait(&request) == BASE_OK;
        good = good && table->copy(device.device, device.stream, sums, comm_slab_data(slab), sizeof sums) == BASE_OK;
        good = good && table->stream_wait(device.device, device.stream) == BASE_OK;
        EVERYWHERE(good && sums[0] == size * (1.0 + 0x1p-40) && sums[1] == 3.0 * size);
        comm_slab_destroy(&slab);
        comm_group_destroy(&group);
    }
}

static base_status create(comm_kind kind, comm_device of)
{
    comm_group *group = NULL;
    comm_group_options options = {.kind = kind, .timeout_ms = TIMEOUT_MS, .device = of};
    base_status status = comm_group_create(world, &options, &group);
    comm_group_destroy(&group);
    return status;
}

static void kinds_that_cannot_serve_are_usage_errors(void **state)
{
    (void)state;
    comm_device without_nccl = device, on_the_host = {0};
    without_nccl.nccl = NULL;
    EVERYWHERE(create(COMM_SHM, device) == BASE_USAGE && strstr(base_status_message(), "staged"));
    EVERYWHERE(create(COMM_MPI, device) == BASE_USAGE);
    EVERYWHERE(create(COMM_NCCL, without_nccl) == BASE_USAGE && strstr(base_status_message(), "needs NCCL"));
    EVERYWHERE(create(COMM_NCCL, on_the_host) == BASE_USAGE);
    EVERYWHERE(create(COMM_STAGED, on_the_host) == BASE_USAGE && strstr(base_status_message(), "shm or mpi"));
}

static void auto_chooses(void **state)
{
    (void)state;
    comm_device without_nccl = device;
    without_nccl.nccl = NULL;
    for (int with = 0; with < 2; with++) {
        comm_group *group = NULL;
        comm_group_options options = {.timeout_ms = TIMEOUT_MS, .device = with ? device : without_nccl};
        EVERYWHERE(comm_group_create(world, &options, &group) == BASE_OK);
        comm_kind kind = comm_group_kind(group);
        EVERYWHERE(kind == (size == 1 ? COMM_LOCAL : with ? COMM_NCCL : COMM_STAGED));
        EVERYWHERE(comm_group_can_capture(group) == (kind != COMM_STAGED));
        comm_group_destroy(&group);
    }
}

/* ---- a peer is lost ---- */

static void nccl_that_does_not_come_up_is_a_lost_peer(void **state)
{
    (void)state;
    comm_group *group = open_group(COMM_NCCL, BOUND_MS);
    comm_slab *slab = open_slab(group, COMM_F32, 64);
    comm_request *request = NULL;
    fake.stuck = 1;
    int aborted = fake.aborted;
    int good = comm_all_reduce_start(group, slab, 0, 64, &request) == BASE_PEER;
    good = good && strstr(base_status_message(), "waited 0.3 s") && fake.aborted == aborted + 1;
    good = good && comm_group_synchronize(group) == BASE_PEER;
    fake.stuck = 0;
    EVERYWHERE(good);
    comm_slab_destroy(&slab);
    comm_group_destroy(&group);
}

static base_status never_done(base_device *self, base_event *event, int *done)
{
    (void)self;
    (void)event;
    *done = 0;
    return BASE_OK;
}

/* The device waits for a peer that does not come: the host gives up, and frees the device. */
static void wait_for_a_device_that_waits(comm_kind kind, const char *text, const base_alarm *alarm, int lost)
{
    base_device_table stuck = *table;
    comm_group *group = NULL;
    comm_group_options options = {.kind = kind, .timeout_ms = alarm ? 3600 * 1000 : BOUND_MS, .device = device};
    options.alarm = alarm;
    stuck.event_done = never_done;
    options.device.table = &stuck;
    EVERYWHERE(comm_group_create(world, &options, &group) == BASE_OK);
    int aborted = fake.aborted;
    fake.lost = lost;
    int good = comm_group_synchronize(group) == BASE_PEER && strstr(base_status_message(), text) != NULL;
    good = good && fake.aborted == aborted + (kind == COMM_NCCL);
    fake.lost = 0;
    EVERYWHERE(good);
    comm_group_destroy(&group);
}

static void a_wait_for_the_device_is_bounded(void **state)
{
    (void)state;
    static base_alarm alarm;
    if (size > 1) { /* one rank waits for nobody who could be lost */
        wait_for_a_device_that_waits(COMM_NCCL, "waited 0.3 s", NULL, 0);
        wait_for_a_device_that_waits(COMM_STAGED, "waited 0.3 s", NULL, 0);
    }
    base_alarm_raise(&alarm, "rank 7 is lost");
    wait_for_a_device_that_waits(COMM_NCCL, "rank 7 is lost", &alarm, 0);
    wait_for_a_device_that_waits(COMM_NCCL, "a peer is lost", NULL, 1);
}

/* The last rank is lost and says so; the others wait for their devices, without a bound. */
static void hear_of_a_lost_rank(comm_kind kind)
{
    static const char words[] = "the last rank is lost";
    base_device_table stuck = *table;
    comm_world *part = NULL;
    comm_group *group = NULL;
    comm_group_options options = {.kind = kind, .timeout_ms = COMM_FOREVER, .device = device};
    stuck.event_done = never_done;
    options.device.table = &stuck;
    EVERYWHERE(comm_world_split(world, size, &part) == BASE_OK);
    EVERYWHERE(comm_group_create(part, &options, &group) == BASE_OK);
    int good = 1, aborted = fake.aborted;
    if (rank == size - 1) {
        comm_world_lose(part, words);
    } else {
        good = comm_group_synchronize(group) == BASE_PEER && strcmp(base_status_message(), words) == 0;
        good = good && fake.aborted == aborted + (kind == COMM_NCCL);
    }
    EVERYWHERE(good);
    comm_group_destroy(&group);
    comm_world_close(&part, 0);
}

static void a_wait_for_the_device_hears_of_a_lost_rank(void **state)
{
    (void)state;
    if (size > 1) {
        hear_of_a_lost_rank(COMM_NCCL);
        hear_of_a_lost_rank(COMM_STAGED);
    }
}

/* A rank that stays away from what goes through the hosts. */
static void staged_ranks_miss_one_another(void **state)
{
    (void)state;
    comm_group *group = open_group(COMM_STAGED, BOUND_MS);
    comm_slab *slab = open_slab(group, COMM_F32, 64);
    comm_request *request = NULL;
    int good = 1;
    if (rank < size - 1) {
        good = comm_all_reduce_start(group, slab, 0, 64, &request) == BASE_OK;
        good = good && comm_request_wait(&request) == BASE_PEER && strstr(base_status_message(), "waited 0.3 s");
    }
    EVERYWHERE(good);
    comm_slab_destroy(&slab);
    comm_group_destroy(&group);
}

static int open_device(void)
{
    comm_group_options options = {.kind = size == 1 ? COMM_LOCAL : COMM_MPI, .timeout_ms = TIMEOUT_MS};
    device.table = table;
    device.nccl = &fake_nccl_table;
    fake.device = device;
    kinds[nkinds++] = COMM_NCCL;
    kinds[nkinds++] = COMM_STAGED;
    if (size == 1)
        kinds[nkinds++] = COMM_LOCAL;
    int good = table->open(&device.device, 0) == BASE_OK &&
               table->stream_create(device.device, &device.stream) == BASE_OK &&
               comm_group_create(world, &options, &fake.hosts) == BASE_OK;
    fake.device = device;
    return good;
}

int main(void)
{
    test_open_world();
    if (!open_device()) {
        fprintf(stderr, "skipped: %s\n", base_status_message());
        test_close_world(0);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collectives_work_in_the_order_of_the_stream),
        cmocka_unit_test(many_requests_are_under_way),
        cmocka_unit_test(doubles_are_summed_in_double),
        cmocka_unit_test(kinds_that_cannot_serve_are_usage_errors),
        cmocka_unit_test(auto_chooses),
        cmocka_unit_test(nccl_that_does_not_come_up_is_a_lost_peer),
        cmocka_unit_test(a_wait_for_the_device_is_bounded),
        cmocka_unit_test(a_wait_for_the_device_hears_of_a_lost_rank),
        cmocka_unit_test(staged_ranks_miss_one_another),
    };
    int failed = cmocka_run_group_tests_name("gpu_comm", tests, NULL, NULL);
    comm_group_destroy(&fake.hosts);
    table->stream_destroy(device.device, &device.stream);
    table->close(&device.device);
    return test_close_world(failed);
}
