/* A coordinator over real sockets: who gets in, what becomes of messages, what viewers get. */
#include "telemetry_test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

/* ---- a coordinator for each test ---- */

static coordinator_server *server;
static coordinator_key key;

static int start_server(void **state)
{
    (void)state;
    const coordinator_server_options options = {.bind = "tcp://127.0.0.1:*"};
    if (coordinator_server_create(&options, &server) != BASE_OK)
        return -1;
    key = *coordinator_server_key(server);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    coordinator_server_destroy(&server);
    return 0;
}

static int has_received(void *count)
{
    return telemetry_test_counts(server).received >= *(const uint64_t *)count;
}

static void wait_received(uint64_t count)
{
    telemetry_test_wait(has_received, &count, "the coordinator has received all messages");
}

static int has_refused(void *count)
{
    return telemetry_test_counts(server).refused >= *(const uint64_t *)count;
}

/* ---- viewers ---- */

static void viewer_sees_what_workers_say(void **state)
{
    (void)state;
    coordinator_client *client;
    coordinator_view view = {0};
    telemetry_peer worker = telemetry_peer_open(&key, key.addresses[0]);
    for (int rank = 0; rank < 3; rank++) {
        telemetry_summary summary = telemetry_test_summary(7, rank, 4, 0, 12);
        telemetry_peer_send_summary(&worker, &summary);
    }
    wait_received(3);
    assert_int_equal(coordinator_client_open(&key, &client), BASE_OK);
    assert_string_equal(coordinator_client_address(client), key.addresses[0]);
    assert_int_equal(coordinator_client_query(client, &(coordinator_query){.ranks = 1}, 60000, &view), BASE_OK);
    assert_string_equal(view.address, key.addresses[0]);
    assert_int_equal(view.run_count, 1);
    assert_string_equal(view.runs[0].id, telemetry_test_run_id(7));
    assert_int_equal(view.runs[0].step, 120);
    assert_int_equal(view.runs[0].rank_count, 3);
    assert_string_equal(view.runs[0].ranks[2].host, "node2");
    assert_int_equal(view.counts.accepted, 3);
    assert_int_equal(view.counts.queries, 1);
    assert_int_equal(
        coordinator_client_query(client, &(coordinator_query){.run_id = telemetry_test_run_id(7)}, 60000, &view),
        BASE_OK);
    assert_int_equal(view.runs[0].rank_count, 3);
    assert_null(view.runs[0].ranks);
    assert_int_equal(
        coordinator_client_query(client, &(coordinator_query){.run_id = telemetry_test_run_id(8)}, 60000, &view),
        BASE_OK);
    assert_int_equal(view.run_count, 0);
    assert_int_equal(coordinator_client_query(client, &(coordinator_query){.run_id = "none"}, 60000, &view),
                     BASE_USAGE);
    coordinator_view_clear(&view);
    coordinator_client_close(&client);
    telemetry_peer_close(&worker);
}

/* An answer that came too late is not taken for that to the next question. */
static void late_answer_is_dropped(void **state)
{
    (void)state;
    coordinator_client *client;
    coordinator_view view = {0};
    const coordinator_query all = {0}, none = {.run_id = telemetry_test_run_id(8)};
    telemetry_peer worker = telemetry_peer_open(&key, key.addresses[0]);
    telemetry_summary summary = telemetry_test_summary(7, 0, 1, 0, 12);
    telemetry_peer_send_summary(&worker, &summary);
    wait_received(1);
    assert_int_equal(coordinator_client_open(&key, &client), BASE_OK);
    assert_int_equal(coordinator_client_query(client, &all, 60000, &view), BASE_OK);
    for (int i = 0; i < 20; i++) {
        coordinator_client_query(client, &all, 0, &view); /* does not wait */
        assert_int_equal(coordinator_client_query(client, &none, 60000, &view), BASE_OK);
        assert_int_equal(view.run_count, 0);
    }
    coordinator_view_clear(&view);
    coordinator_client_close(&client);
    telemetry_peer_close(&worker);
}

/* From any thread, while messages come. */
static void *look_often(void *context)
{
    (void)context;
    for (int i = 0; i < 200; i++) {
        coordinator_view view = {0};
        if (coordinator_server_view(server, &view) != BASE_OK || view.run_count > 1)
            return "a bad view";
        coordinator_view_clear(&view);
    }
    return NULL;
}

static void views_are_safe_beside_messages(void **state)
{
    (void)state;
    enum { RANKS = 50, SECONDS = 40 };
    pthread_t thread;
    void *complaint;
    telemetry_peer worker = telemetry_peer_open(&key, key.addresses[0]);
    assert_int_equal(pthread_create(&thread, NULL, look_often, NULL), 0);
    for (int second = 0; second < SECONDS; second++) {
        for (int rank = 0; rank < RANKS; rank++) {
            telemetry_summary summary = telemetry_test_summary(1, rank, RANKS, 0, second);
            telemetry_peer_send_summary(&worker, &summary);
        }
    }
    pthread_join(thread, &complaint);
    assert_null(complaint);
    wait_received(RANKS * SECONDS);
    assert_int_equal(telemetry_test_counts(server).accepted, RANKS * SECONDS);
    telemetry_peer_close(&worker);
}

static void client_says_that_nobody_answers(void **state)
{
    (void)state;
    coordinator_client *client;
    coordinator_view view = {0};
    coordinator_server_destroy(&server);
    assert_int_equal(coordinator_client_open(&key, &client), BASE_OK);
    assert_int_equal(coordinator_client_query(client, &(coordinator_query){0}, 50, &view), BASE_PEER);
    assert_non_null(strstr(base_status_message(), "no answer from a coordinator at tcp://127.0.0.1:"));
    assert_int_equal(view.run_count, 0);
    coordinator_client_close(&client);
}

static int says_refused(void *client)
{
    coordinator_view view = {0};
    assert_int_equal(coordinator_client_query(client, &(coordinator_query){0}, 20, &view), BASE_PEER);
    return strstr(base_status_message(), "does not take our key") != NULL;
}

static void client_says_that_its_key_is_refused(void **state)
{
    (void)state;
    coordinator_client *client;
    coordinator_key other = key;
    assert_int_equal(zmq_curve_keypair(other.member_public, other.member_secret), 0);
    assert_int_equal(coordinator_client_open(&other, &client), BASE_OK);
    telemetry_test_wait(says_refused, client, "the client says that its key is refused");
    coordinator_client_close(&client);
}

static void client_wants_a_valid_key(void **state)
{
    (void)state;
    coordinator_client *client;
    coordinator_key bad = key;
    strcpy(bad.server_public, "short");
    assert_int_equal(coordinator_client_open(&bad, &client), BASE_USAGE);
    bad = key;
    strcpy(bad.addresses[0], "nowhere");
    assert_int_equal(coordinator_client_open(&bad, &client), BASE_USAGE);
    bad.address_count = 0;
    assert_int_equal(coordinator_client_open(&bad, &client), BASE_USAGE);
    assert_null(client);
}

/* ---- messages that are none ---- */

static void bad_messages_are_counted(void **state)
{
    (void)state;
    enum { LARGE = TELEMETRY_MESSAGE_BYTES + 1 };
    size_t nbytes;
    telemetry_peer peer = telemetry_peer_open(&key, key.addresses[0]);
    telemetry_summary summary = telemetry_test_summary(1, 0, 2, 0, 10),
                      foreign = telemetry_test_summary(1, 0, 3, 0, 11);
    telemetry_message end = {.kind = TELEMETRY_END};
    uint8_t *large = calloc(1, LARGE), *bytes;
    strcpy(end.end.run_id, telemetry_test_run_id(1));
    bytes = telemetry_wire_pack(&end, &nbytes);
    telemetry_peer_send_summary(&peer, &summary); /* accepted */
    telemetry_peer_send_summary(&peer, &summary); /* replayed */
    telemetry_peer_send_summary(&peer, &foreign);
    telemetry_peer_send(&peer, "", 0);            /* malformed: empty */
    telemetry_peer_send(&peer, "nonsense", 8);    /* malformed */
    telemetry_peer_send(&peer, bytes, nbytes);    /* malformed: not for a coordinator */
    telemetry_peer_send(&peer, large, LARGE);     /* oversized */
    telemetry_peer_send(&peer, large, LARGE - 1); /* malformed */
    assert_int_equal(zmq_send(peer.socket, "\x12\x00", 2, ZMQ_SNDMORE), 2);
    telemetry_peer_send(&peer, "\x12\x00", 2); /* malformed: of two frames */
    telemetry_peer_send(&peer, "\x12\x00", 2); /* a query */
    wait_received(10);
    const coordinator_counts wanted = {
        .received = 10, .accepted = 1, .malformed = 5, .oversized = 1, .replayed = 1, .foreign = 1, .queries = 1};
    coordinator_counts found = telemetry_test_counts(server);
    assert_memory_equal(&found, &wanted, sizeof wanted);
    free(bytes);
    free(large);
    telemetry_peer_close(&peer);
}

/* Too large for the gate: the connection goes, and the next message comes by another. */
static void huge_message_does_not_come_in(void **state)
{
    (void)state;
    enum { HUGE_BYTES = 2 * 1024 * 1024 };
    telemetry_peer peer = telemetry_peer_open(&key, key.addresses[0]);
    telemetry_summary summary = telemetry_test_summary(1, 0, 2, 0, 10);
    uint8_t *bytes = calloc(1, HUGE_BYTES);
    telemetry_peer_send(&peer, bytes, HUGE_BYTES);
    free(bytes);
    telemetry_peer other = telemetry_peer_open(&key, key.addresses[0]);
    telemetry_peer_send_summary(&other, &summary);
    wait_received(1);
    assert_int_equal(telemetry_test_counts(server).accepted, 1);
    telemetry_peer_close(&peer);
    telemetry_peer_close(&other);
}

/* ---- who gets in ---- */

/* A peer of that kind is refused at least once, and what it sends does not come in. */
static void assert_refused(const coordinator_key *with)
{
    uint64_t before = telemetry_test_counts(server).refused, wanted = before + 1;
    telemetry_peer peer = telemetry_peer_open(with, key.addresses[0]);
    zmq_send(peer.socket, "x", 1, ZMQ_DONTWAIT);
    telemetry_test_wait(has_refused, &wanted, "a peer was refused");
    /* One with the key comes in after it. */
    uint64_t received = telemetry_test_counts(server).received;
    telemetry_peer good = telemetry_peer_open(&key, key.addresses[0]);
    telemetry_peer_send(&good, "x", 1);
    wait_received(received + 1);
    assert_int_equal(telemetry_test_counts(server).received, received + 1);
    telemetry_peer_close(&good);
    telemetry_peer_close(&peer);
}

static void wrong_member_is_refused(void **state)
{
    (void)state;
    coordinator_key other = key;
    assert_int_equal(zmq_curve_keypair(other.member_public, other.member_secret), 0);
    assert_refused(&other);
}

/* Not even the coordinator's own key makes a member. */
static void server_key_is_no_member(void **state)
{
    (void)state;
    char text[512] = "", secret[COORDINATOR_KEY_TEXT];
    char path[512];
    snprintf(path, sizeof path, "%s.server", coordinator_server_key_file(server));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    const char *at = strstr(text, "\"server_secret\": \"");
    assert_non_null(at);
    snprintf(secret, sizeof secret, "%s", at + strlen("\"server_secret\": \""));
    coordinator_key other = key;
    memcpy(other.member_secret, secret, sizeof secret);
    memcpy(other.member_public, key.server_public, sizeof other.member_public);
    assert_refused(&other);
}

static void wrong_server_key_is_refused(void **state)
{
    (void)state;
    coordinator_key other = key;
    char secret[COORDINATOR_KEY_TEXT];
    assert_int_equal(zmq_curve_keypair(other.server_public, secret), 0);
    assert_refused(&other);
}

static void peer_without_keys_is_refused(void **state)
{
    (void)state;
    assert_refused(NULL);
}

static int connect_raw(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)atoi(strrchr(key.addresses[0], ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void junk_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t nbytes;
    } junk[] = {{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27},
                {"", 0},
                {"\x01\x00", 2},
                {"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x00"
                 "CURVE",
                 17},
                {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12}};
    for (uint64_t i = 0; i < sizeof junk / sizeof *junk; i++) {
        uint64_t wanted = i + 1;
        int fd = connect_raw();
        assert_int_equal(write(fd, junk[i].bytes, junk[i].nbytes), junk[i].nbytes);
        shutdown(fd, SHUT_WR);
        telemetry_test_wait(has_refused, &wanted, "junk was refused");
        assert_int_equal(telemetry_test_counts(server).refused, wanted);
        close(fd);
    }
    assert_int_equal(telemetry_test_counts(server).received, 0);
}

/* Who does not show the key is told nothing but what the protocol begins with. */
static void silent_peer_learns_nothing(void **state)
{
    (void)state;
    uint8_t bytes[256];
    int fd = connect_raw();
    ssize_t n = 0, more;
    uint64_t wanted = 1;
    telemetry_peer good = telemetry_peer_open(&key, key.addresses[0]);
    telemetry_summary summary = telemetry_test_summary(1, 0, 1, 0, 10);
    telemetry_peer_send_summary(&good, &summary);
    wait_received(1);
    while ((more = read(fd, bytes, sizeof bytes)) > 0) /* until the coordinator hangs up */
        n += more;
    assert_true(n <= 64); /* a greeting */
    close(fd);
    telemetry_test_wait(has_refused, &wanted, "a silent peer was refused");
    telemetry_peer_close(&good);
}

/* ---- addresses and keys ---- */

static void wrong_addresses_are_refused(void **state)
{
    (void)state;
    coordinator_server *second = NULL;
    static const char *const bad[] = {"", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "udp://127.0.0.1:1",
                                      "tcp://192.0.2.1:5555"};
    coordinator_server_destroy(&server);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const coordinator_server_options options = {.bind = bad[i], .key_file = telemetry_test_path("bad.json")};
        assert_int_equal(coordinator_server_create(&options, &second), BASE_USAGE);
        assert_null(second);
        assert_int_not_equal(access(options.key_file, F_OK), 0);
    }
}

static void taken_address_is_said(void **state)
{
    (void)state;
    coordinator_server *second = NULL;
    coordinator_server_destroy(&server);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    char bind_address[64];
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    snprintf(bind_address, sizeof bind_address, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    const coordinator_server_options options = {.bind = bind_address};
    assert_int_equal(coordinator_server_create(&options, &second), BASE_ERROR);
    assert_non_null(strstr(base_status_message(), bind_address));
    close(fd);
}

/* At the address that it had, under any of its names, it has the keys that it had. */
static void restarted_coordinator_has_its_keys(void **state)
{
    (void)state;
    char name[64], file[256];
    snprintf(file, sizeof file, "%s", coordinator_server_key_file(server));
    snprintf(name, sizeof name, "tcp://localhost:%s", strrchr(key.addresses[0], ':') + 1);
    const char *const binds[] = {key.addresses[0], name};
    for (int i = 0; i < 2; i++) {
        const coordinator_server_options options = {.bind = binds[i]};
        coordinator_server_destroy(&server);
        assert_int_equal(coordinator_server_create(&options, &server), BASE_OK);
        assert_string_equal(coordinator_server_key_file(server), file);
        assert_memory_equal(coordinator_server_key(server), &key, sizeof key);
    }
    coordinator_key found;
    assert_int_equal(coordinator_key_find(key.addresses[0], &found), BASE_OK);
    assert_memory_equal(&found, &key, sizeof key);
}

/* The one of a run has a name that cannot be guessed, leaves no file, and is reached from its host. */
static void coordinator_within_a_run(void **state)
{
    (void)state;
    coordinator_server *other = NULL;
    coordinator_client *client;
    coordinator_view view = {0};
    coordinator_server_destroy(&server);
    assert_int_equal(coordinator_server_create(&(coordinator_server_options){.tcp = 1, .peers = 8}, &other), BASE_OK);
    const coordinator_key *own = coordinator_server_key(other);
    assert_true(own->address_count >= 2);
    assert_int_equal(strlen(own->addresses[0]), strlen("ipc://@ddpt-") + 32);
    for (int i = 1; i < own->address_count; i++)
        assert_int_equal(strncmp(own->addresses[i], "tcp://", 6), 0);
    assert_string_equal(coordinator_server_key_file(other), "");
    assert_int_equal(coordinator_client_open(own, &client), BASE_OK);
    assert_string_equal(coordinator_client_address(client), own->addresses[0]);
    assert_int_equal(coordinator_client_query(client, &(coordinator_query){0}, 60000, &view), BASE_OK);
    coordinator_client_close(&client);
    coordinator_key tcp = *own; /* and by its last address, which is the loopback */
    tcp.address_count = 1;
    memcpy(tcp.addresses[0], own->addresses[own->address_count - 1], sizeof tcp.addresses[0]);
    assert_int_equal(coordinator_client_open(&tcp, &client), BASE_OK);
    assert_int_equal(coordinator_client_query(client, &(coordinator_query){0}, 60000, &view), BASE_OK);
    coordinator_client_close(&client);
    coordinator_view_clear(&view);
    coordinator_server_destroy(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_server, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(late_answer_is_dropped),
        TEST(viewer_sees_what_workers_say),
        TEST(views_are_safe_beside_messages),
        TEST(client_says_that_nobody_answers),
        TEST(client_says_that_its_key_is_refused),
        TEST(client_wants_a_valid_key),
        TEST(bad_messages_are_counted),
        TEST(huge_message_does_not_come_in),
        TEST(wrong_member_is_refused),
        TEST(server_key_is_no_member),
        TEST(wrong_server_key_is_refused),
        TEST(peer_without_keys_is_refused),
        TEST(junk_is_refused),
        TEST(silent_peer_learns_nothing),
        TEST(wrong_addresses_are_refused),
        TEST(taken_address_is_said),
        TEST(restarted_coordinator_has_its_keys),
        TEST(coordinator_within_a_run),
    };
    return cmocka_run_group_tests(tests, telemetry_test_make_folder, telemetry_test_remove_folder);
}
