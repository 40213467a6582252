#include "comm_test.h"

/* What N copies of "rank 0 of 1" look like from inside one of them. */
static void a_launcher_of_another_mpi_is_an_error(void **state)
{
    (void)state;
    setenv("PMI_SIZE", "4", 1);
    comm_world *opened = NULL;
    assert_int_equal(comm_world_open(&opened), BASE_ERROR);
    assert_null(opened);
    assert_non_null(strstr(base_status_message(), "started 4 processes (PMI_SIZE), but MPI sees 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_launcher_of_another_mpi_is_an_error)};
    return cmocka_run_group_tests_name("comm_launcher", tests, NULL, NULL);
}
