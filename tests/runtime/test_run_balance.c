#include "comm/comm_test.h"

#include "run_balance.h"
#include "run_stats.h"

#include <math.h>

enum { STEPS = 500 };

static int near(double a, double b)
{
    return fabs(a - b) <= 1e-12 + 1e-9 * fabs(b);
}

/* `own(rank, step)` in forward beside 1 s of update; the rest of a step of `length` is waiting. */
static int gather(double (*own)(int rank, int step), double length, run_balance *balance)
{
    base_arena *arena;
    run_balance_log *log;
    int good =
        base_arena_create(&arena, "test") == BASE_OK && run_balance_log_create(arena, STEPS, size, &log) == BASE_OK;
    for (int s = 0; good && s < STEPS; s++) {
        base_phases phases = {0};
        phases.seconds[BASE_PHASE_FORWARD] = own(rank, s);
        phases.seconds[BASE_PHASE_UPDATE] = 1.0;
        phases.seconds[BASE_PHASE_WAIT] = 0.75 * (length - 1.0 - own(rank, s));
        phases.seconds[BASE_PHASE_REDUCE] = 0.25 * (length - 1.0 - own(rank, s));
        run_balance_log_add(log, 1, &phases);
    }
    good = comm_world_agree(world, good ? BASE_OK : BASE_ERROR) == BASE_OK;
    good = good && run_balance_gather(world, log, balance) == BASE_OK;
    base_arena_destroy(&arena);
    return good && balance->steps == STEPS - run_stats_warmup(STEPS);
}

static double sum(const run_balance *b)
{
    double sum = b->imbalance_s + b->exposed_s;
    for (int i = 0; i < BASE_PHASE_COUNT; i++)
        sum += b->own_s[i];
    return sum;
}

/* Rank 1 (if there is one) always takes 3 s, the others 2 s. */
static double one_is_slow(int r, int s)
{
    (void)s;
    return r == 1 ? 3.0 : 2.0;
}

static void the_slowest_rank_is_named_with_its_phases(void **state)
{
    (void)state;
    run_balance b;
    EVERYWHERE(gather(one_is_slow, 5.0, &b));
    double slowest = size > 1 ? 3.0 : 2.0;
    EVERYWHERE(b.slowest == (size > 1));
    EVERYWHERE(near(b.own_s[BASE_PHASE_FORWARD], slowest) && near(b.own_s[BASE_PHASE_UPDATE], 1.0));
    EVERYWHERE(near(b.median_s[BASE_PHASE_FORWARD], 2.0));
    EVERYWHERE(near(b.imbalance_s, 0.0) && near(b.exposed_s, 4.0 - slowest));
    EVERYWHERE(b.own_s[BASE_PHASE_WAIT] == 0.0 && b.own_s[BASE_PHASE_REDUCE] == 0.0 && near(sum(&b), 5.0));
}

/* A rank after the other takes 6 s where the rest takes 2 s: nobody is slow on average, but somebody is always late. */
static double in_turn(int r, int s)
{
    return (s - (int)run_stats_warmup(STEPS)) % size == r ? 6.0 : 2.0;
}

static void changing_lateness_is_imbalance(void **state)
{
    (void)state;
    run_balance b;
    EVERYWHERE(gather(in_turn, 8.0, &b));
    int counted = STEPS - (int)run_stats_warmup(STEPS);
    double late = 2.0 + 4.0 * ((counted + size - 1) / size) / counted; /* the first in turn is late once more at most */
    EVERYWHERE(near(b.own_s[BASE_PHASE_FORWARD], late));
    EVERYWHERE(near(b.imbalance_s, 6.0 - late) && near(b.exposed_s, 1.0) && near(sum(&b), 8.0));
}

/* A sample of the steps must not turn into another mean. */
static void long_runs_are_sampled(void **state)
{
    (void)state;
    base_arena *arena;
    run_balance_log *log;
    run_balance b;
    int good =
        base_arena_create(&arena, "test") == BASE_OK && run_balance_log_create(arena, 1000000, size, &log) == BASE_OK;
    for (int s = 0; good && s < 1000000; s++) {
        base_phases phases = {
            .seconds = {[BASE_PHASE_FORWARD] = 2.0 + rank, [BASE_PHASE_WAIT] = (double)(size - rank)}};
        run_balance_log_add(log, 1, &phases);
    }
    EVERYWHERE(good);
    EVERYWHERE(run_balance_gather(world, log, &b) == BASE_OK);
    base_arena_destroy(&arena);
    EVERYWHERE(b.slowest == size - 1 && near(b.own_s[BASE_PHASE_FORWARD], 1.0 + size));
    EVERYWHERE(near(b.imbalance_s, 0.0) && near(b.exposed_s, 1.0));
}

static void no_steps_are_no_failure(void **state)
{
    (void)state;
    base_arena *arena;
    run_balance_log *log;
    run_balance b;
    EVERYWHERE(base_arena_create(&arena, "test") == BASE_OK && run_balance_log_create(arena, 1, size, &log) == BASE_OK);
    EVERYWHERE(run_balance_gather(world, log, &b) == BASE_OK && b.steps == 0);
    base_arena_destroy(&arena);
}

int main(void)
{
    test_open_world();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_slowest_rank_is_named_with_its_phases),
        cmocka_unit_test(changing_lateness_is_imbalance),
        cmocka_unit_test(long_runs_are_sampled),
        cmocka_unit_test(no_steps_are_no_failure),
    };
    return test_close_world(cmocka_run_group_tests_name("run_balance", tests, NULL, NULL));
}
