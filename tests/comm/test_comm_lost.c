/* A rank that does not come: the others say so within the bound, and the world goes on to an orderly end. */
#include "comm_test.h"

#include <pthread.h>
#include <time.h>

enum { BOUND_MS = 300 };

/* The last rank stays away from a barrier; its peers' verdicts come through the world, which still works. */
static void miss_a_barrier(comm_kind kind)
{
    comm_group *group = NULL;
    comm_group_options options = {.kind = kind, .timeout_ms = BOUND_MS};
    EVERYWHERE(comm_group_create(world, &options, &group) == BASE_OK);
    int good = 1;
    if (rank < size - 1) {
        char name[32];
        snprintf(name, sizeof name, "rank %d did not arrive", size - 1);
        good = comm_barrier(group) == BASE_PEER && strstr(base_status_message(), "waited 0.3 s") != NULL;
        good = good && (kind != COMM_SHM || strstr(base_status_message(), name));
        /* What follows fails at once. */
        good = good && comm_barrier(group) == BASE_PEER && comm_group_progress(group) == BASE_PEER;
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

static void mpi_says_how_long_it_waited(void **state)
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

enum { RANKS_MAX = 64 };

/* A gather into memory that outlives it, since MPI ends it when the missing rank comes. */
static base_status gather(int round)
{
    static int mine[3], all[3][RANKS_MAX];
    mine[round] = round;
    base_status status = size <= RANKS_MAX ? BASE_OK : BASE_ERROR;
    if (status == BASE_OK)
        status = comm_world_all_gather(world, &mine[round], sizeof mine[round], all[round]);
    for (int i = 0; status == BASE_OK && i < size; i++)
        status = all[round][i] == round ? BASE_OK : BASE_ERROR;
    return status;
}

/* The world's own waits too, once they are told to. */
static void the_world_takes_a_bound_and_an_alarm(void **state)
{
    (void)state;
    static base_alarm alarm;
    comm_group *group = NULL; /* through it the missing rank hears that it may come */
    comm_group_options options = {.kind = COMM_MPI, .timeout_ms = 3600 * 1000};
    EVERYWHERE(comm_group_create(world, &options, &group) == BASE_OK);
    int good = 1;
    if (rank < size - 1) {
        comm_world_set_patience(world, BOUND_MS, NULL);
        good = gather(0) == BASE_PEER && strstr(base_status_message(), "waited 0.3 s") != NULL;
        comm_world_set_patience(world, 3600 * 1000, &alarm);
        base_alarm_raise(&alarm, "rank 7 is lost");
        good = good && gather(1) == BASE_PEER && strcmp(base_status_message(), "rank 7 is lost") == 0;
        comm_world_set_patience(world, 0, NULL);
        good = comm_barrier(group) == BASE_OK && good;
    } else {
        good = comm_barrier(group) == BASE_OK && gather(0) == BASE_OK && gather(1) == BASE_OK;
    }
    EVERYWHERE(good);
    EVERYWHERE(gather(2) == BASE_OK);
    comm_group_destroy(&group);
}

int main(void)
{
    test_open_world();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shm_names_the_missing_rank),
        cmocka_unit_test(an_alarm_ends_a_wait),
        cmocka_unit_test(mpi_says_how_long_it_waited),
        cmocka_unit_test(the_world_takes_a_bound_and_an_alarm),
    };
    return test_close_world(cmocka_run_group_tests_name("comm_lost", tests, NULL, NULL));
}
