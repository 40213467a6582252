/* comm_test.h: what the tests of several ranks share. A rank that fails an assertion leaves its test early, so nothing
 * is asserted before all ranks have told each other how it went. */
#ifndef COMM_TEST_H
#define COMM_TEST_H

#include "comm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static comm_world *world;
static int rank, size;

static inline void test_open_world(void)
{
    if (comm_world_open(&world) != BASE_OK) {
        fprintf(stderr, "%s\n", base_status_message());
        exit(1);
    }
    rank = comm_world_get_info(world)->rank;
    size = comm_world_get_info(world)->size;
}

/* The exit status of the program: the worst rank's. */
static inline int test_close_world(int failed)
{
    int any = comm_world_agree(world, failed ? BASE_ERROR : BASE_OK) != BASE_OK;
    comm_world_close(&world, any);
    return any;
}

/* Asserts on every rank that `mine` held on all. */
static inline void assert_everywhere(int mine, const char *what)
{
    int *all = calloc((size_t)size, sizeof *all);
    int good = comm_world_all_gather(world, &mine, sizeof mine, all) == BASE_OK;
    for (int r = 0; r < size; r++) {
        if (!all[r])
            fprintf(stderr, "[%d] on rank %d: %s%s%s\n", rank, r, what, r == rank ? "; last failure: " : "",
                    r == rank ? base_status_message() : "");
        good = good && all[r];
    }
    free(all);
    assert_true(good);
}

#define EVERYWHERE(condition) assert_everywhere((condition), #condition)

#endif
