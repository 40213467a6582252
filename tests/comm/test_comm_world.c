#include "comm_test.h"

static void info_is_consistent(void **state)
{
    (void)state;
    const comm_world_info *info = comm_world_get_info(world);
    EVERYWHERE(info->rank >= 0 && info->rank < info->size);
    EVERYWHERE(info->node_rank >= 0 && info->node_rank < info->node_size);
    EVERYWHERE(info->nodes >= 1 && info->nodes <= info->size);
    EVERYWHERE(info->host[0] && info->library[0] && info->launcher[0]);
}

static void agreement_of_good_ranks_is_good(void **state)
{
    (void)state;
    EVERYWHERE(comm_world_agree(world, BASE_OK) == BASE_OK);
}

/* Rank `bad` and every other one after it fail, each with a text and a code of its own. */
static int agree_with_failures_from(int bad)
{
    base_status mine = BASE_OK;
    base_status_clear();
    if (rank >= bad && (rank - bad) % 2 == 0)
        mine = BASE_FAIL(rank == bad ? BASE_DATA : BASE_USAGE, "file %d is broken", rank);
    base_status all = comm_world_agree(world, mine);
    char text[64];
    snprintf(text, sizeof text, size > 1 ? "file %d is broken (on rank %d)" : "file %d is broken", bad, bad);
    return all == BASE_DATA && strcmp(base_status_message(), text) == 0;
}

static void the_lowest_failing_rank_speaks(void **state)
{
    (void)state;
    for (int bad = 0; bad < size; bad++)
        EVERYWHERE(agree_with_failures_from(bad));
}

static void ranks_that_fail_alike_say_it_once(void **state)
{
    (void)state;
    base_status all = comm_world_agree(world, BASE_FAIL(BASE_USAGE, "line 3: no such key"));
    EVERYWHERE(all == BASE_USAGE && strcmp(base_status_message(), "line 3: no such key") == 0);
}

static void broadcast_reaches_all(void **state)
{
    (void)state;
    const size_t nbytes[] = {0, 1, 1000003};
    for (size_t n = 0; n < sizeof nbytes / sizeof *nbytes; n++)
        for (int root = 0; root < size; root++) {
            unsigned char *data = calloc(nbytes[n] + 1, 1);
            for (size_t i = 0; i < nbytes[n] && rank == root; i++)
                data[i] = (unsigned char)(i * 7 + (size_t)root);
            int good = comm_world_bcast(world, data, nbytes[n], root) == BASE_OK;
            for (size_t i = 0; i < nbytes[n]; i++)
                good = good && data[i] == (unsigned char)(i * 7 + (size_t)root);
            free(data);
            EVERYWHERE(good);
        }
}

static void gather_is_in_rank_order(void **state)
{
    (void)state;
    int64_t mine[3] = {rank, 10 * rank, -rank}, all[3 * 64] = {0};
    int good = comm_world_all_gather(world, mine, sizeof mine, all) == BASE_OK;
    for (int r = 0; r < size; r++)
        good = good && all[3 * r] == r && all[3 * r + 1] == 10 * r && all[3 * r + 2] == -r;
    EVERYWHERE(good);
}

static void node_memory_is_shared_and_zeroed(void **state)
{
    (void)state;
    const size_t nbytes[] = {1, 5000, 9 * 1024 * 1024 + 17};
    for (size_t n = 0; n < sizeof nbytes / sizeof *nbytes; n++) {
        comm_node_memory *memory = NULL;
        int good = comm_node_memory_create(world, nbytes[n], &memory) == BASE_OK;
        EVERYWHERE(good);
        unsigned char *data = comm_node_memory_data(memory);
        for (size_t i = 0; i < nbytes[n]; i++)
            good = good && data[i] == 0;
        good = comm_node_barrier(world) == BASE_OK && good;
        for (size_t i = 0; i < nbytes[n] && comm_world_get_info(world)->node_rank == 0; i++)
            data[i] = (unsigned char)(i % 251 + 1);
        good = comm_node_barrier(world) == BASE_OK && good;
        for (size_t i = 0; i < nbytes[n]; i++)
            good = good && data[i] == i % 251 + 1;
        comm_node_memory_destroy(&memory);
        EVERYWHERE(good);
        EVERYWHERE(memory == NULL);
    }
}

/* More memory than an address space has: the ranks fail together and the node is good for another try. */
static void node_memory_that_cannot_be_had_fails_everywhere(void **state)
{
    (void)state;
    comm_node_memory *memory = NULL;
    EVERYWHERE(comm_node_memory_create(world, (size_t)1 << 55, &memory) == BASE_ERROR);
    EVERYWHERE(memory == NULL && base_status_message()[0]);
    EVERYWHERE(comm_node_memory_create(world, 64, &memory) == BASE_OK);
    comm_node_memory_destroy(&memory);
}

/* The first `count` ranks work together while the others rest; then all meet again. */
static int work_in_a_part_of(int count)
{
    comm_world *part = NULL;
    int good = comm_world_split(world, count, &part) == BASE_OK && (part != NULL) == (rank < count);
    if (good && part) {
        const comm_world_info *info = comm_world_get_info(part);
        good = info->rank == rank && info->size == count && info->node_size <= count;
        comm_group *group = NULL;
        comm_group_options options = {.kind = COMM_AUTO, .timeout_ms = 60000};
        int64_t ranks = 1;
        good = good && comm_group_create(part, &options, &group) == BASE_OK;
        good = good && comm_small_all_reduce(group, &ranks, 1, COMM_I64, COMM_SUM) == BASE_OK && ranks == count;
        comm_group_destroy(&group);
        good = comm_world_agree(part, BASE_OK) == BASE_OK && good;
        comm_world_close(&part, 0);
    }
    return comm_world_rest(world, &(comm_rest){.timeout_ms = COMM_FOREVER}) == BASE_OK && good && !part;
}

static void parts_of_the_world_work_while_others_rest(void **state)
{
    (void)state;
    for (int turn = 0; turn < 2; turn++)
        for (int count = 1; count <= size; count++)
            EVERYWHERE(work_in_a_part_of(count));
}

int main(void)
{
    test_open_world();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_the_world_work_while_others_rest),
        cmocka_unit_test(info_is_consistent),
        cmocka_unit_test(agreement_of_good_ranks_is_good),
        cmocka_unit_test(the_lowest_failing_rank_speaks),
        cmocka_unit_test(ranks_that_fail_alike_say_it_once),
        cmocka_unit_test(broadcast_reaches_all),
        cmocka_unit_test(gather_is_in_rank_order),
        cmocka_unit_test(node_memory_is_shared_and_zeroed),
        cmocka_unit_test(node_memory_that_cannot_be_had_fails_everywhere),
    };
    return test_close_world(cmocka_run_group_tests_name("comm_world", tests, NULL, NULL));
}
