/* The messages against bytes written by hand, and there and back. */
#include "telemetry_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- there and back ---- */

static telemetry_summary full_summary(void)
{
    telemetry_summary summary = telemetry_test_summary(7, 3, 8, UINT64_MAX, 100);
    summary.run.first_step = 5;
    summary.run.stall_timeout = 0.1;
    summary.at.state = COORDINATOR_FAILED;
    summary.at.phase = BASE_PHASE_EVALUATE;
    summary.at.sequence = UINT64_MAX;
    summary.at.stuck = 1.0 / 3.0;
    summary.at.since_step = 1e-9;
    summary.at.test_step = 1000;
    summary.at.test_loss = 0.25;
    summary.at.test_accuracy = 0.75;
    strcpy(summary.reason, "rank 3 has lost its \xc3\xa4nthusiasm");
    for (int i = 0; i < BASE_PHASE_COUNT; i++) {
        summary.at.total[i] = 100.0 + i;
        summary.at.window.phases[i] = 0.1 * i;
    }
    return summary;
}

static int same_double(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void assert_same_progress(const telemetry_progress *a, const telemetry_progress *b)
{
    assert_int_equal(a->process, b->process);
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->step, b->step);
    assert_int_equal(a->phase, b->phase);
    assert_int_equal(a->progress, b->progress);
    assert_int_equal(a->samples, b->samples);
    assert_int_equal(a->test_step, b->test_step);
    assert_int_equal(a->window.steps, b->window.steps);
    assert_int_equal(a->window.samples, b->window.samples);
    const double *pairs[][2] = {{&a->elapsed, &b->elapsed},
                                {&a->stuck, &b->stuck},
                                {&a->since_step, &b->since_step},
                                {&a->loss_sum, &b->loss_sum},
                                {&a->loss, &b->loss},
                                {&a->test_loss, &b->test_loss},
                                {&a->test_accuracy, &b->test_accuracy},
                                {&a->window.seconds, &b->window.seconds},
                                {&a->window.loss_sum, &b->window.loss_sum},
                                {&a->window.longest_step, &b->window.longest_step}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_true(same_double(*pairs[i][0], *pairs[i][1]));
    assert_memory_equal(a->total, b->total, sizeof a->total);
    assert_memory_equal(a->window.phases, b->window.phases, sizeof a->window.phases);
}

static void assert_same_summary(const telemetry_summary *a, const telemetry_summary *b)
{
    assert_string_equal(a->run.id, b->run.id);
    assert_string_equal(a->run.name, b->run.name);
    assert_string_equal(a->run.folder, b->run.folder);
    assert_int_equal(a->run.size, b->run.size);
    assert_int_equal(a->run.parameters, b->run.parameters);
    assert_int_equal(a->run.global_batch, b->run.global_batch);
    assert_int_equal(a->run.total_steps, b->run.total_steps);
    assert_int_equal(a->run.first_step, b->run.first_step);
    assert_int_equal(a->run.steps_per_epoch, b->run.steps_per_epoch);
    assert_int_equal(a->run.epochs, b->run.epochs);
    assert_true(same_double(a->run.stall_timeout, b->run.stall_timeout));
    assert_int_equal(a->rank, b->rank);
    assert_string_equal(a->host, b->host);
    assert_string_equal(a->reason, b->reason);
    assert_same_progress(&a->at, &b->at);
}

static void summary_comes_back_to_the_bit(void **state)
{
    (void)state;
    const telemetry_summary summaries[] = {full_summary(), telemetry_test_summary(7, 0, 1, 0, 0)};
    for (int i = 0; i < 2; i++) {
        size_t nbytes;
        telemetry_message message;
        uint8_t *bytes = telemetry_test_pack(&summaries[i], &nbytes);
        assert_true(telemetry_wire_unpack(bytes, nbytes, &message));
        assert_int_equal(message.kind, TELEMETRY_SUMMARY);
        assert_same_summary(&message.summary, &summaries[i]);
        assert_true(nbytes < 700); /* it goes out once a second from every rank */
        free(bytes);
    }
}

static void query_and_end_come_back(void **state)
{
    (void)state;
    telemetry_message query = {.kind = TELEMETRY_QUERY, .query = {.id = 77, .ranks = 1}}, found;
    telemetry_message end = {.kind = TELEMETRY_END, .end = {.reason = "rank 5 (node7) has been silent", .speak = 1}};
    size_t nbytes;
    strcpy(query.query.run_id, telemetry_test_run_id(3));
    strcpy(end.end.run_id, telemetry_test_run_id(4));
    uint8_t *bytes = telemetry_wire_pack(&query, &nbytes);
    assert_true(telemetry_wire_unpack(bytes, nbytes, &found));
    free(bytes);
    assert_int_equal(found.kind, TELEMETRY_QUERY);
    assert_int_equal(found.query.id, 77);
    assert_int_equal(found.query.ranks, 1);
    assert_string_equal(found.query.run_id, query.query.run_id);
    bytes = telemetry_wire_pack(&end, &nbytes);
    assert_true(telemetry_wire_unpack(bytes, nbytes, &found));
    free(bytes);
    assert_int_equal(found.kind, TELEMETRY_END);
    assert_string_equal(found.end.run_id, end.end.run_id);
    assert_string_equal(found.end.reason, end.end.reason);
    assert_int_equal(found.end.speak, 1);
}

/* ---- State ---- */

static coordinator_run_view full_run(coordinator_rank_view *ranks)
{
    coordinator_run_view run = {.name = "mnist",
                                .folder = "runs/mnist",
                                .host = "node0",
                                .state = COORDINATOR_SILENT,
                                .reason = "none",
                                .size = 3,
                                .parameters = 1,
                                .global_batch = 2,
                                .total_steps = 3,
                                .steps_per_epoch = 4,
                                .epochs = 5,
                                .step = 6,
                                .epoch = 7,
                                .loss = 0.5,
                                .test_loss = NAN,
                                .test_accuracy = 0.25,
                                .samples_per_second = 8.0,
                                .elapsed_s = 9.0,
                                .remaining_s = NAN,
                                .efficiency = 0.875,
                                .straggler_count = 1,
                                .stragglers = {{.rank = 2, .phase = BASE_PHASE_DATA, .slower = 0.5, .cost = 0.125}},
                                .curve_count = 2,
                                .curve = {{1, 2.0}, {5, 1.0}},
                                .rank_count = 2,
                                .ranks = ranks};
    strcpy(run.id, telemetry_test_run_id(9));
    return run;
}

static void state_comes_back(void **state)
{
    (void)state;
    coordinator_rank_view ranks[2] = {
        {.rank = 0, .host = "node0", .step = 6, .phase = BASE_PHASE_WAIT, .silent_s = 1.0, .own_ms = 4.0},
        {.rank = 2, .host = "node2", .stuck_s = 2.0, .steps_per_second = 3.0, .lost_summaries = 11}};
    ranks[1].phases_ms[BASE_PHASE_BACKWARD] = 2.0;
    ranks[1].total_s[BASE_PHASE_CHECKPOINT] = 17.0;
    coordinator_run_view runs[2] = {full_run(ranks), full_run(NULL)};
    coordinator_view view = {.version = "1",
                             .address = "tcp://a:1",
                             .uptime_s = 3.0,
                             .counts = {1, 2, 3, 4, 5, 6, 7, 8},
                             .run_count = 2,
                             .runs = runs};
    coordinator_view found;
    uint64_t id;
    size_t nbytes;
    uint8_t *bytes = telemetry_wire_pack_state(12, &view, &nbytes);
    assert_true(telemetry_wire_unpack_state(bytes, nbytes, &id, &found));
    free(bytes);
    assert_int_equal(id, 12);
    assert_string_equal(found.version, "1");
    assert_string_equal(found.address, "tcp://a:1");
    assert_memory_equal(&found.counts, &view.counts, sizeof found.counts);
    assert_int_equal(found.run_count, 2);
    assert_null(found.runs[1].ranks);
    assert_int_equal(found.runs[1].rank_count, 2);
    assert_memory_equal(&found.runs[0].ranks[0], &ranks[0], sizeof ranks[0]);
    assert_memory_equal(&found.runs[0].ranks[1], &ranks[1], sizeof ranks[1]);
    coordinator_run_view run = found.runs[0];
    run.ranks = ranks;
    assert_true(isnan(run.test_loss) && isnan(run.remaining_s));
    run.test_loss = runs[0].test_loss;
    run.remaining_s = runs[0].remaining_s;
    assert_memory_equal(&run, &runs[0], sizeof run);
    coordinator_view_clear(&found);
}

/* ---- bytes by hand ---- */

/* A summary with what is required and nothing else, in parts that can be replaced. */
enum { RUN, PROCESS, SEQUENCE, STATE, PHASE, TOTAL, WINDOW, PARTS };

typedef struct part {
    const char *bytes;
    size_t nbytes;
} part;

#define PART(text)                                                                                                     \
    {                                                                                                                  \
        (text), sizeof(text) - 1                                                                                       \
    }
#define ID                                                                                                             \
    "\x0a\x20"                                                                                                         \
    "0123456789abcdef0123456789abcdef"
#define ID_UPPER                                                                                                       \
    "\x0a\x20"                                                                                                         \
    "0123456789ABCDEF0123456789abcdef"
#define ID_SHORT                                                                                                       \
    "\x0a\x1f"                                                                                                         \
    "0123456789abcdef0123456789abcde"
#define ID_LONG                                                                                                        \
    "\x0a\x21"                                                                                                         \
    "0123456789abcdef0123456789abcdef0"

static const part by_hand[PARTS] = {
    [RUN] = PART("\x0a\x24" ID "\x20\x04"), /* 4 ranks */
    [PROCESS] = PART("\x21\x01\x02\x03\x04\x05\x06\x07\x08"),
    [SEQUENCE] = PART("\x28\x05"),
    [STATE] = PART("\x30\x01"),
    [PHASE] = PART("\x50\x02"),
    [TOTAL] = PART("\x72\x09\x11\0\0\0\0\0\0\xe0\x3f"), /* forward 0.5 s */
    [WINDOW] = PART("\xaa\x01\x00"),
};

/* The parts as a Message: lengths stay below 128. */
static size_t join(const part *parts, uint8_t *to)
{
    size_t n = 2;
    for (int i = 0; i < PARTS; i++) {
        memcpy(to + n, parts[i].bytes, parts[i].nbytes);
        n += parts[i].nbytes;
    }
    to[0] = 0x0a;
    to[1] = (uint8_t)(n - 2);
    assert_true(n - 2 < 128);
    return n;
}

static void least_summary_is_taken(void **state)
{
    (void)state;
    uint8_t bytes[256];
    telemetry_message message;
    size_t nbytes = join(by_hand, bytes);
    assert_true(telemetry_wire_unpack(bytes, nbytes, &message));
    const telemetry_summary *summary = &message.summary;
    assert_string_equal(summary->run.id, "0123456789abcdef0123456789abcdef");
    assert_int_equal(summary->run.size, 4);
    assert_int_equal(summary->at.process, 0x0807060504030201);
    assert_int_equal(summary->at.sequence, 5);
    assert_int_equal(summary->at.state, COORDINATOR_RUNNING);
    assert_int_equal(summary->at.phase, BASE_PHASE_FORWARD);
    assert_true(summary->at.total[BASE_PHASE_FORWARD] == 0.5);
    assert_int_equal(summary->at.window.steps, 0);
}

typedef struct variant {
    int part;
    part bytes;
} variant;

static const variant bad_variants[] = {
    {RUN, PART("")},
    {RUN, PART("\x0a\x02\x20\x04")}, /* no id */
    {RUN, PART("\x0a\x22" ID)},      /* no ranks */
    {RUN, PART("\x0a\x24" ID_UPPER "\x20\x04")},
    {RUN, PART("\x0a\x23" ID_SHORT "\x20\x04")},
    {RUN, PART("\x0a\x25" ID_LONG "\x20\x04")},
    {RUN, PART("\x08\x04")}, /* of another type */
    {PROCESS, PART("")},
    {PROCESS, PART("\x21\0\0\0\0\0\0\0\0")},
    {SEQUENCE, PART("")},
    {SEQUENCE, PART("\x28\0")},
    {STATE, PART("")},
    {STATE, PART("\x30\0")},
    {STATE, PART("\x30\x06")}, /* silent: no rank says so */
    {STATE, PART("\x30\x07")},
    {STATE, PART("\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")}, /* -1 */
    {STATE, PART("\x30\x80\x80\x80\x80\xf8\xff\xff\xff\xff\x01")}, /* the least int */
    {PHASE, PART("")},
    {PHASE, PART("\x50\x0a")},
    {PHASE, PART("\x50\x80\x80\x80\x80\xf8\xff\xff\xff\xff\x01")},
    {TOTAL, PART("")},
    {TOTAL, PART("\x72\x08\x11\0\0\0\0\0\0\xe0")}, /* too short for a double */
    {WINDOW, PART("")},
    {WINDOW, PART("\xaa\x01\x05")}, /* longer than what is left */
};

static void other_bytes_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_variants / sizeof *bad_variants; i++) {
        part parts[PARTS];
        uint8_t bytes[256];
        telemetry_message message;
        memcpy(parts, by_hand, sizeof parts);
        parts[bad_variants[i].part] = bad_variants[i].bytes;
        if (telemetry_wire_unpack(bytes, join(parts, bytes), &message))
            fail_msg("variant %zu was taken", i);
    }
}

static void unknown_fields_are_ignored(void **state)
{
    (void)state;
    part parts[PARTS];
    uint8_t bytes[256];
    telemetry_message message;
    memcpy(parts, by_hand, sizeof parts);
    parts[WINDOW] = (part)PART("\xaa\x01\x03\xf8\x06\x01\xf8\x06\x01"); /* field 111, in the window and behind it */
    assert_true(telemetry_wire_unpack(bytes, join(parts, bytes), &message));
}

/* In one message, or its bytes, none of these is what a coordinator is sent. */
static void what_is_no_message_is_refused(void **state)
{
    (void)state;
    static const part parts[] = {PART(""),
                                 PART("\0"),
                                 PART("\x0a"),
                                 PART("\x0a\x00"),
                                 PART("\xff\xff\xff"),
                                 PART("\x22\x00"),           /* EndRun without a run */
                                 PART("\x12\x04\x12\x02zz"), /* Query for a run that is none */
                                 PART("\x1a\x00")};          /* State */
    telemetry_message message;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_false(telemetry_wire_unpack((const uint8_t *)parts[i].bytes, parts[i].nbytes, &message));
    assert_true(telemetry_wire_unpack((const uint8_t *)"\x12\x00", 2, &message)); /* an empty Query is one */
    assert_int_equal(message.kind, TELEMETRY_QUERY);
}

static void every_truncation_is_survived(void **state)
{
    (void)state;
    telemetry_summary summary = full_summary();
    telemetry_message message;
    size_t nbytes;
    uint8_t *bytes = telemetry_test_pack(&summary, &nbytes);
    for (size_t n = 0; n < nbytes; n++) {
        uint8_t *cut = malloc(n ? n : 1); /* so that reading on would be seen */
        memcpy(cut, bytes, n);
        assert_false(telemetry_wire_unpack(cut, n, &message));
        free(cut);
    }
    free(bytes);
}

/* ---- text ---- */

static void text_is_clean(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"plain", "plain"},
        {"t\xc3\xa4xt \xe2\x82\xac \xf0\x9f\x9a\x82", "t\xc3\xa4xt \xe2\x82\xac \xf0\x9f\x9a\x82"},
        {"\x1b[2J", "?[2J"},
        {"a\nb\x7f", "a?b?"},
        {"\xc2\x9b"
         "31m",
         "??31m"},                    /* a control character of two bytes */
        {"\xc0\xaf", "??"},           /* overlong */
        {"\xed\xa0\x80", "???"},      /* a surrogate */
        {"\xf4\x90\x80\x80", "????"}, /* beyond U+10FFFF */
        {"\xe2\x82", "??"},           /* cut off */
        {"\xff", "?"},
        {"0123456789abcdef", "0123456789abcde"},
        {"0123456789abcd\xc3\xa4", "0123456789abcd"}, /* not half of a character */
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[16];
        telemetry_wire_text(text, sizeof text, pairs[i][0]);
        assert_string_equal(text, pairs[i][1]);
    }
}

static void text_of_others_is_cleaned(void **state)
{
    (void)state;
    telemetry_summary summary = full_summary();
    telemetry_message message;
    size_t nbytes;
    strcpy(summary.host, "\x1b]0;x\x07");
    strcpy(summary.run.name, "a\rb");
    uint8_t *bytes = telemetry_test_pack(&summary, &nbytes);
    assert_true(telemetry_wire_unpack(bytes, nbytes, &message));
    assert_string_equal(message.summary.host, "?]0;x?");
    assert_string_equal(message.summary.run.name, "a?b");
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summary_comes_back_to_the_bit),
        cmocka_unit_test(query_and_end_come_back),
        cmocka_unit_test(state_comes_back),
        cmocka_unit_test(least_summary_is_taken),
        cmocka_unit_test(other_bytes_are_refused),
        cmocka_unit_test(unknown_fields_are_ignored),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(every_truncation_is_survived),
        cmocka_unit_test(text_is_clean),
        cmocka_unit_test(text_of_others_is_cleaned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
