/* Refused connections, counted from events that do not always say which connection they are of. */
#include "telemetry_test.h"

#include "coordinator_handshakes.h"

#include <stdlib.h>
#include <zmq.h>

#define LONGEST 7.0

static void accept_one(coordinator_handshakes *self, int file, double now)
{
    coordinator_handshakes_take(self, ZMQ_EVENT_ACCEPTED, file, now);
}

static void succeed(coordinator_handshakes *self, double now)
{
    coordinator_handshakes_take(self, ZMQ_EVENT_HANDSHAKE_SUCCEEDED, 0, now);
}

static void fail_one(coordinator_handshakes *self, int file, double now)
{
    coordinator_handshakes_take(self, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, 1, now);
    coordinator_handshakes_take(self, ZMQ_EVENT_DISCONNECTED, file, now);
}

static void close_one(coordinator_handshakes *self, int file, double now)
{
    coordinator_handshakes_take(self, ZMQ_EVENT_DISCONNECTED, file, now);
}

static void members_are_not_refused(void **state)
{
    (void)state;
    coordinator_handshakes self = {.longest = LONGEST};
    for (int i = 0; i < 1000; i++) {
        accept_one(&self, 10 + i % 50, 0.1 * i);
        succeed(&self, 0.1 * i);
        if (i >= 40)
            close_one(&self, 10 + (i - 40) % 50, 0.1 * i);
    }
    coordinator_handshakes_settle(&self, 1000.0);
    assert_int_equal(self.refused, 0);
    coordinator_handshakes_clear(&self);
}

static void failures_are_refused(void **state)
{
    (void)state;
    coordinator_handshakes self = {.longest = LONGEST};
    accept_one(&self, 7, 0.0);
    succeed(&self, 0.0);
    for (int i = 0; i < 100; i++) {
        accept_one(&self, 8, 0.1 * i);
        fail_one(&self, 8, 0.1 * i);
        assert_int_equal(self.refused, i + 1);
    }
    close_one(&self, 7, 20.0);
    assert_int_equal(self.refused, 100);
    coordinator_handshakes_clear(&self);
}

/* What closes without a word was refused at once, as long as no handshake has succeeded. */
static void closed_without_a_word_is_refused(void **state)
{
    (void)state;
    coordinator_handshakes self = {.longest = LONGEST};
    accept_one(&self, 7, 0.0);
    accept_one(&self, 8, 0.0);
    close_one(&self, 7, 0.0);
    assert_int_equal(self.refused, 1);
    succeed(&self, 1.0); /* that is 8 */
    close_one(&self, 8, 2.0);
    assert_int_equal(self.refused, 1);
    accept_one(&self, 8, 3.0);
    close_one(&self, 8, 3.0);
    assert_int_equal(self.refused, 2);
    coordinator_handshakes_clear(&self);
}

/* One of two has succeeded, one has closed: whether they are the same is clear when the other one gets too old. */
static void doubt_is_resolved_by_time(void **state)
{
    (void)state;
    coordinator_handshakes self = {.longest = LONGEST};
    accept_one(&self, 7, 0.0);
    accept_one(&self, 8, 1.0);
    succeed(&self, 1.0);
    close_one(&self, 8, 2.0);
    assert_int_equal(self.refused, 0);
    coordinator_handshakes_settle(&self, 7.5); /* 7 is still there: it was 7 */
    assert_int_equal(self.refused, 1);

    accept_one(&self, 8, 10.0);
    accept_one(&self, 9, 11.0);
    succeed(&self, 11.0);
    close_one(&self, 9, 12.0);
    fail_one(&self, 8, 14.0); /* it was 9 */
    coordinator_handshakes_settle(&self, 100.0);
    assert_int_equal(self.refused, 2);
    coordinator_handshakes_clear(&self);
}

static void random_course_adds_up(void **state)
{
    (void)state;
    coordinator_handshakes self = {.longest = LONGEST};
    enum { FILES = 40 };
    int open[FILES] = {0};
    unsigned refused = 0;
    double now = 0.0;
    srand(1);
    for (int i = 0; i < 100000; i++) {
        int file = rand() % FILES, kind = rand() % 3;
        now += 0.01;
        if (!open[file]) {
            accept_one(&self, file, now);
            open[file] = kind == 0; /* a member */
            if (kind == 0)
                succeed(&self, now);
            else if (kind == 1)
                fail_one(&self, file, now);
            else
                close_one(&self, file, now);
            refused += kind != 0;
        } else if (rand() % 20 == 0) {
            close_one(&self, file, now);
            open[file] = 0;
        }
        assert_true(self.refused <= refused);
    }
    coordinator_handshakes_settle(&self, now + 2.0 * LONGEST);
    assert_int_equal(self.refused, refused);
    assert_int_equal(self.count, 0);
    coordinator_handshakes_clear(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_not_refused),
        cmocka_unit_test(failures_are_refused),
        cmocka_unit_test(closed_without_a_word_is_refused),
        cmocka_unit_test(doubt_is_resolved_by_time),
        cmocka_unit_test(random_course_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
