/* A rank that does not come: the others say so within the bound, or at once where it says itself that it is lost, and
 * the world goes on to an orderly end. */
#include "comm_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* Half of it is for the answers of ranks that may have to wait for a core. */
enum { BOUND_MS = 2000 };

/* The others have given up, as the last rank sees where it waits for nobody (who waits answers): so many of them.
 * Between nodes it stays away for longer than they wait. */
static comm_node_memory *memory;

static void give_up(void)
{
    atomic_fetch_add((atomic_int *)comm_node_memory_data(memory), 1);
}

static void stay_away(int others)
{
    static int gone;
    struct timespec moment = {.tv_nsec = 10 * 1000 * 1000}, longer = {.tv_sec = 2 * BOUND_MS / 1000};
    gone += others;
    if (comm_world_get_info(world)->nodes > 1)
        nanosleep(&longer, NULL);
    else
        while (atomic_load((atomic_int *)comm_node_memory_data(memory)) < gone)
            nanosleep(&moment, NULL);
}

/* The last rank is the one, and no other. */
static int names_the_last(const char *words)
{
    char name[64];
    snprintf(name, sizeof name, words, size - 1);
    const char *message = base_status_message();
    return strstr(message, "waited 2.0 s") && strstr(message, name);
}

/* The last rank stays away from a barrier; its peers' verdicts come through the world, which still works. */
static void miss_a_barrier(comm_kind kind)
{
    comm_group *group = NULL;
    comm_group_options options = {.kind = kind, .timeout_ms = BOUND_MS};
    EVERYWHERE(comm_group_create(world, &options, &group) == BASE_OK);
    int good = 1;
    if (rank < size - 1) {
        good = comm_barrier(group) == BASE_PEER &&
               names_the_last(kind == COMM_SHM ? ": rank %d did not arrive" : "from rank %d:");
        /* What follows fails at once. */
        good = good && comm_barrier(group) == BASE_PEER && comm_group_progress(group) == BASE_PEER;
        give_up();
    } else {
        stay_away(size - 1);
    }
    EVERYWHERE(good);
    comm_group_destroy(&group);
    EVERYWHERE(group == NULL);
}

static void shm_names_the_missing_rank(void **state)
{
    (void)state;
    if (comm_world_get_info(world)->nodes == 1)
        miss_a_barrier(COMM_SHM);
}

static void mpi_names_the_missing_rank(void **state)
{
    (void)state;
    miss_a_barrier(COMM_MPI);
}

static void *raise_soon(void *alarm)
{
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    base_alarm_raise(alarm, "rank 7 is lost");
    base_alarm_raise(alarm, "rank 8 is lost");
    return NULL;
}

/* The bound is an hour away; the test's own is what fails if the alarm is not heard. */
static void hear_an_alarm(comm_kind kind)
{
    static base_alarm alarms[3];
    base_alarm *alarm = &alarms[kind - 1];
    comm_group *group = NULL;
    comm_group_options options = {.kind = kind, .timeout_ms = 3600 * 1000, .alarm = alarm};
    EVERYWHERE(comm_group_create(world, &options, &group) == BASE_OK);
    int good = 1;
    if (rank < size - 1) {
        pthread_t thread;
        good = pthread_create(&thread, NULL, raise_soon, alarm) == 0;
        good = good && comm_barrier(group) == BASE_PEER && strcmp(base_status_message(), "rank 7 is lost") == 0;
        pthread_join(thread, NULL);
    }
    EVERYWHERE(good);
    comm_group_destroy(&group);
}

static void an_alarm_ends_a_wait(void **state)
{
    (void)state;
    hear_an_alarm(COMM_MPI);
    if (comm_world_get_info(world)->nodes == 1)
        hear_an_alarm(COMM_SHM);
}

enum { RANKS_MAX = 64, ROUNDS = 7, ROUND_LOST = 4 };

/* A gather into memory that outlives it, since MPI ends it when the missing rank comes. */
static base_status gather_in(comm_world *where, int round)
{
    static int mine[ROUNDS], all[ROUNDS][RANKS_MAX];
    mine[round] = round;
    base_status status = size <= RANKS_MAX ? BASE_OK : BASE_ERROR;
    if (status == BASE_OK)
        status = comm_world_all_gather(where, &mine[round], sizeof mine[round], all[round]);
    for (int i = 0; status == BASE_OK && i < size; i++)
        status = all[round][i] == round ? BASE_OK : BASE_ERROR;
    return status;
}

static base_status gather(int round)
{
    return gather_in(world, round);
}

/* The world's own waits too, once they are told to. */
static void the_world_takes_a_bound_and_an_alarm(void **state)
{
    (void)state;
    static base_alarm alarm;
    int good = 1;
    if (rank < size - 1) {
        comm_world_set_patience(world, BOUND_MS, NULL);
        good = gather(0) == BASE_PEER && names_the_last("from rank %d:");
        comm_world_set_patience(world, 3600 * 1000, &alarm);
        base_alarm_raise(&alarm, "rank 7 is lost");
        good = good && gather(1) == BASE_PEER && strcmp(base_status_message(), "rank 7 is lost") == 0;
        comm_world_set_patience(world, 0, NULL);
        give_up();
    } else {
        stay_away(size - 1);
        good = gather(0) == BASE_OK && gather(1) == BASE_OK;
    }
    EVERYWHERE(good);
    EVERYWHERE(gather(2) == BASE_OK);
}

/* Rank 0 waits over MPI, the last one for nobody, those between in shared memory: they are there. */
static void who_waits_elsewhere_is_not_missing(void **state)
{
    (void)state;
    if (comm_world_get_info(world)->nodes > 1)
        return;
    comm_group *group = NULL;
    comm_group_options options = {.kind = COMM_SHM, .timeout_ms = 3600 * 1000};
    EVERYWHERE(comm_group_create(world, &options, &group) == BASE_OK);
    int good = 1;
    if (rank == 0) {
        comm_world_set_patience(world, BOUND_MS, NULL);
        good = gather(3) == BASE_PEER && names_the_last("from rank %d:");
        comm_world_set_patience(world, 0, NULL);
        give_up();
    } else if (rank == size - 1) {
        stay_away(1);
    }
    good = comm_barrier(group) == BASE_OK && good;
    if (rank != 0)
        good = gather(3) == BASE_OK && good;
    EVERYWHERE(good);
    comm_group_destroy(&group);
}

/* ---- a rank that says that it is lost ---- */

/* A world that may lose a rank, a part of it, and a group over either; none of their waits has a bound. */
typedef struct doomed {
    comm_world *whole, *part;
    comm_group *shm, *mpi; /* shm: NULL over several nodes */
} doomed;

static void open_doomed(doomed *self)
{
    *self = (doomed){0};
    comm_group_options options = {.kind = COMM_SHM, .timeout_ms = COMM_FOREVER};
    EVERYWHERE(comm_world_split(world, size, &self->whole) == BASE_OK);
    EVERYWHERE(comm_world_split(self->whole, size, &self->part) == BASE_OK);
    if (comm_world_get_info(world)->nodes == 1)
        EVERYWHERE(comm_group_create(self->whole, &options, &self->shm) == BASE_OK);
    options.kind = COMM_MPI;
    EVERYWHERE(comm_group_create(self->part, &options, &self->mpi) == BASE_OK);
    comm_world_set_patience(self->whole, COMM_FOREVER, NULL);
}

static void close_doomed(doomed *self)
{
    comm_group_destroy(&self->mpi);
    comm_group_destroy(&self->shm);
    comm_world_close(&self->part, 0);
    comm_world_close(&self->whole, 0);
}

static int hears(base_status status, const char *words)
{
    return status == BASE_PEER && strcmp(base_status_message(), words) == 0;
}

static int hears_in_group(comm_group *group, const char *words)
{
    return !group || hears(comm_barrier(group), words);
}

/* One rank speaks; the others hear it wherever they wait, each of them somewhere else at first. */
static void lose(int lost, int round)
{
    doomed d;
    char words[64];
    int good = 1;
    snprintf(words, sizeof words, "rank %d is lost: the moon has fallen on it", lost);
    open_doomed(&d);
    if (rank == lost) {
        comm_world_lose(d.whole, words);
        comm_world_lose(d.whole, "nobody hears this");
        good = !comm_world_lost(d.whole);
    } else {
        while (rank % 3 == 2 && !comm_world_lost(d.whole))
            comm_world_stay(d.whole, 1);
        good = hears_in_group(rank % 3 == 0 ? d.shm : d.mpi, words);
        good = hears_in_group(rank % 3 == 0 ? d.mpi : d.shm, words) && good;
        good = hears(gather_in(d.whole, round), words) && good;
        comm_world_lose(d.whole, "nobody hears this");
        good = good && comm_world_lost(d.part) && strcmp(comm_world_lost(d.part), words) == 0;
    }
    EVERYWHERE(good);
    /* Ends what MPI has under way. */
    EVERYWHERE(rank != lost || (gather_in(d.whole, round) == BASE_OK && comm_barrier(d.mpi) == BASE_OK));
    close_doomed(&d);
}

static void who_is_lost_says_so(void **state)
{
    (void)state;
    int first = 0, middle = size / 2, last = size - 1;
    lose(first, ROUND_LOST);
    if (middle != last)
        lose(middle, ROUND_LOST + 1);
    lose(last, ROUND_LOST + 2);
}

int main(void)
{
    test_open_world();
    if (comm_node_memory_create(world, sizeof(atomic_int), &memory) != BASE_OK)
        comm_world_abort(world, BASE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shm_names_the_missing_rank),         cmocka_unit_test(an_alarm_ends_a_wait),
        cmocka_unit_test(mpi_names_the_missing_rank),         cmocka_unit_test(the_world_takes_a_bound_and_an_alarm),
        cmocka_unit_test(who_waits_elsewhere_is_not_missing), cmocka_unit_test(who_is_lost_says_so),
    };
    int failed = cmocka_run_group_tests_name("comm_lost", tests, NULL, NULL);
    comm_node_memory_destroy(&memory);
    return test_close_world(failed);
}
