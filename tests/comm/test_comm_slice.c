#include "comm_test.h"

static void slices_cover_the_range_in_order(void **state)
{
    (void)state;
    const size_t counts[] = {0, 1, 63, 64, 65, 127, 128, 129, 4096, 100003, 669706};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (int n = 1; n <= 17; n++) {
            size_t at = 0;
            for (int r = 0; r < n; r++) {
                size_t begin, end;
                comm_slice(counts[c], n, r, &begin, &end);
                assert_int_equal(begin, at);
                assert_true(end >= begin);
                assert_true(begin % 64 == 0 || begin == counts[c]);
                at = end;
            }
            assert_int_equal(at, counts[c]);
        }
}

static void slices_differ_by_at_most_one_grain(void **state)
{
    (void)state;
    for (int n = 1; n <= 9; n++) {
        size_t least = SIZE_MAX, most = 0;
        for (int r = 0; r < n; r++) {
            size_t begin, end;
            comm_slice(64 * 1000, n, r, &begin, &end);
            least = end - begin < least ? end - begin : least;
            most = end - begin > most ? end - begin : most;
        }
        assert_true(most - least <= 64);
    }
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(comm_kind_name(COMM_AUTO), "auto");
    assert_string_equal(comm_kind_name(COMM_LOCAL), "local");
    assert_string_equal(comm_kind_name(COMM_SHM), "shm");
    assert_string_equal(comm_kind_name(COMM_MPI), "mpi");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_cover_the_range_in_order),
        cmocka_unit_test(slices_differ_by_at_most_one_grain),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests_name("comm_slice", tests, NULL, NULL);
}
