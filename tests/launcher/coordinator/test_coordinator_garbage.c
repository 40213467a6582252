/* test_coordinator_garbage [COUNT [SEED]]: so many random and mutated messages to a coordinator, by somebody who has
 * the key. It must survive, count every one of them, and go on to hear a run that is none of that.
 */
#include "telemetry_test.h"

#include "base_random.h"
#include "base_time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_MAX = TELEMETRY_MESSAGE_BYTES + 4096, SEEDS = 4 };

static long count = 50000;
static unsigned seed = 1;

/* ---- random numbers ---- */

static unsigned next(unsigned below)
{
    static uint32_t block;
    static uint32_t words[4];
    static int left;
    if (left == 0) {
        const base_random random = base_random_stream(seed, BASE_STREAM_DATA, 0);
        base_random_block(&random, 0, block++, words);
        left = 4;
    }
    return words[--left] % below;
}

/* ---- messages ---- */

/* What is mutated: summaries of runs of two sizes, one that has ended, and a query. Their runs are not the good one. */
static size_t make_seed(uint8_t *to, unsigned which)
{
    telemetry_message message = {.kind = TELEMETRY_SUMMARY};
    size_t nbytes;
    if (which == 3) {
        message = (telemetry_message){.kind = TELEMETRY_QUERY, .query = {.id = 7}};
        strcpy(message.query.run_id, telemetry_test_run_id(1000)); /* none: answers stay short */
    } else {
        static int seconds;
        message.summary = telemetry_test_summary(1 + which, (int)next(4), which ? 4096 : 4, 0, seconds++ / 8 % 400);
        message.summary.at.state = which == 2 ? COORDINATOR_DONE : COORDINATOR_RUNNING;
    }
    uint8_t *bytes = telemetry_wire_pack(&message, &nbytes);
    assert_non_null(bytes);
    memcpy(to, bytes, nbytes);
    free(bytes);
    return nbytes;
}

static size_t make_noise(uint8_t *to)
{
    size_t nbytes = next(10) ? next(300) : next(8) ? next(5000) : next(BYTES_MAX);
    for (size_t i = 0; i < nbytes; i++)
        to[i] = (uint8_t)next(256);
    return nbytes;
}

static size_t mutate(uint8_t *bytes, size_t nbytes)
{
    size_t at = next((unsigned)nbytes), other = next((unsigned)nbytes), length;
    switch (next(7)) {
    case 0: bytes[at] ^= (uint8_t)(1u << next(8)); break;
    case 1: bytes[at] = (uint8_t)next(256); break;
    case 2: bytes[at] = (uint8_t)(next(2) ? 0xff : 0x00); break;
    case 3: return at; /* cut */
    case 4:            /* a piece goes */
        length = 1 + next((unsigned)(nbytes - at));
        memmove(bytes + at, bytes + at + length, nbytes - at - length);
        return nbytes - length;
    case 5: /* a piece comes twice */
        length = 1 + next((unsigned)(nbytes - at));
        memmove(bytes + at + length, bytes + at, nbytes - at);
        return nbytes + length;
    default: /* a piece of it elsewhere */
        length = nbytes - (at > other ? at : other);
        memmove(bytes + at, bytes + other, length);
    }
    return nbytes;
}

static size_t make_message(uint8_t *to)
{
    if (next(8) == 0)
        return make_noise(to);
    size_t nbytes = make_seed(to, next(SEEDS));
    for (unsigned i = next(4); i > 0 && nbytes > 0 && nbytes < BYTES_MAX / 2; i--)
        nbytes = mutate(to, nbytes);
    return nbytes;
}

/* ---- the test ---- */

static coordinator_server *server;

static int has_received(void *wanted)
{
    return telemetry_test_counts(server).received >= *(const uint64_t *)wanted;
}

/* Waits until all is received; there is no lull in which less could be. */
static void wait_received(uint64_t wanted)
{
    for (uint64_t done = 0; done < wanted;) {
        uint64_t step = done + 20000 < wanted ? done + 20000 : wanted;
        telemetry_test_wait(has_received, &step, "the coordinator has received what was sent");
        done = step;
    }
}

static void assert_adds_up(const coordinator_counts *counts)
{
    assert_int_equal(counts->received, counts->accepted + counts->malformed + counts->oversized + counts->replayed +
                                           counts->foreign + counts->queries);
    print_message("received %llu = accepted %llu + malformed %llu + oversized %llu + replayed %llu + foreign %llu + "
                  "queries %llu\n",
                  (unsigned long long)counts->received, (unsigned long long)counts->accepted,
                  (unsigned long long)counts->malformed, (unsigned long long)counts->oversized,
                  (unsigned long long)counts->replayed, (unsigned long long)counts->foreign,
                  (unsigned long long)counts->queries);
}

static void assert_all_kinds(const coordinator_counts *counts)
{
    assert_true(counts->accepted > 0 && counts->malformed > 0 && counts->oversized > 0 && counts->replayed > 0 &&
                counts->foreign > 0 && counts->queries > 0);
}

static void assert_good_run(void)
{
    coordinator_view view = {0};
    int found = 0;
    assert_int_equal(coordinator_server_view(server, &view), BASE_OK);
    for (int i = 0; i < view.run_count; i++) {
        if (strcmp(view.runs[i].id, telemetry_test_run_id(77)) != 0)
            continue;
        found = 1;
        assert_int_equal(view.runs[i].step, 20);
        assert_int_equal(view.runs[i].state, COORDINATOR_RUNNING);
    }
    assert_true(found);
    coordinator_view_clear(&view);
}

static void garbage_is_survived_and_counted(void **state)
{
    (void)state;
    static uint8_t bytes[2 * BYTES_MAX];
    assert_int_equal(coordinator_server_create(&(coordinator_server_options){0}, &server), BASE_OK);
    const coordinator_key *key = coordinator_server_key(server);
    telemetry_peer peer = telemetry_peer_open(key, key->addresses[0]);
    telemetry_summary good = telemetry_test_summary(77, 0, 1, 0, 1);
    telemetry_peer_send_summary(&peer, &good);
    wait_received(1);
    double began = base_time_now();
    for (long i = 0; i < count; i++)
        telemetry_peer_send(&peer, bytes, make_message(bytes));
    good = telemetry_test_summary(77, 0, 1, 0, 2);
    telemetry_peer_send_summary(&peer, &good);
    wait_received((uint64_t)count + 2);
    print_message("%ld messages in %.1f s\n", count, base_time_now() - began);
    coordinator_counts counts = telemetry_test_counts(server);
    assert_int_equal(counts.received, (uint64_t)count + 2);
    assert_adds_up(&counts);
    assert_all_kinds(&counts);
    assert_good_run();
    telemetry_peer_close(&peer);
    coordinator_server_destroy(&server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(garbage_is_survived_and_counted)};
    if (argc > 1)
        count = atol(argv[1]);
    if (argc > 2)
        seed = (unsigned)atol(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
