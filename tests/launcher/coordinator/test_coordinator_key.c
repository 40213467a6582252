/* coordinator.json: written for its owner alone, read with suspicion, found by what a person types. */
#include "telemetry_test.h"

#include "coordinator_address.h"
#include "coordinator_secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static coordinator_key sample_key(const char *address)
{
    coordinator_secret secret;
    assert_int_equal(coordinator_secret_make(&secret), BASE_OK);
    secret.key.address_count = 1;
    snprintf(secret.key.addresses[0], sizeof secret.key.addresses[0], "%s", address);
    return secret.key;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static mode_t mode_of(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info.st_mode & 0777;
}

/* ---- the file ---- */

static void key_comes_back(void **state)
{
    (void)state;
    coordinator_key key = sample_key("ipc://@ddpt-0"), found;
    key.address_count = COORDINATOR_ADDRESSES;
    for (int i = 0; i < COORDINATOR_ADDRESSES; i++)
        snprintf(key.addresses[i], sizeof key.addresses[i], "tcp://10.0.0.%d:5555", i);
    const char *path = telemetry_test_path("coordinator.json");
    assert_int_equal(coordinator_key_write(path, &key), BASE_OK);
    assert_int_equal(coordinator_key_read(path, &found), BASE_OK);
    assert_memory_equal(&found, &key, sizeof key);
    unlink(path);
}

static void file_is_its_owners_alone(void **state)
{
    (void)state;
    coordinator_key key = sample_key("ipc://@ddpt-0");
    const char *path = telemetry_test_path("coordinator.json"),
               *partial = telemetry_test_path("coordinator.json.partial");
    mode_t before = umask(0);
    put(partial, "left by one that was killed"); /* mode 0666 */
    put(path, "old");
    assert_int_equal(coordinator_key_write(path, &key), BASE_OK);
    umask(before);
    assert_int_equal(mode_of(path), 0600);
    assert_int_not_equal(access(partial, F_OK), 0);
    unlink(path);
    assert_int_equal(coordinator_key_write("/nonexistent/coordinator.json", &key), BASE_ERROR);
    assert_non_null(strstr(base_status_message(), "/nonexistent/coordinator.json"));
}

#define K "0123456789012345678901234567890123456789"

static void damaged_file_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } files[] = {
        {"", "line"},
        {"{", "line"},
        {"[]", "\"schema\""},
        {"{\"schema\": \"ddpt.run.v1\"}", "\"schema\""},
        {"{\"schema\": \"ddpt.coordinator.v1\"}", "\"addresses\" has none"},
        {"{\"schema\": \"ddpt.coordinator.v1\", \"addresses\": \"x\"}", "\"addresses\" has none"},
        {"{\"schema\": \"ddpt.coordinator.v1\", \"addresses\": [1]}", "\"addresses\" has one that is none"},
        {"{\"schema\": \"ddpt.coordinator.v1\", \"addresses\": [\"tcp://a:1\"]}", "\"server_public\""},
        {"{\"schema\": \"ddpt.coordinator.v1\", \"addresses\": [\"tcp://a:1\"], \"server_public\": \"" K "\"}",
         "\"member_public\""},
        {"{\"schema\": \"ddpt.coordinator.v1\", \"addresses\": [\"tcp://a:1\"], \"server_public\": \"" K "\", "
         "\"member_public\": \"" K "\", \"member_secret\": \"012345678901234567890123456789012345678~\"}",
         "\"member_secret\""},
        {"{\"schema\": \"ddpt.coordinator.v1\", \"addresses\": [\"tcp://a:1\"], \"server_public\": \"" K "0\"}",
         "\"server_public\""},
    };
    const char *path = telemetry_test_path("coordinator.json");
    coordinator_key key;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        put(path, files[i].text);
        assert_int_equal(coordinator_key_read(path, &key), BASE_USAGE);
        assert_non_null(strstr(base_status_message(), path));
        if (!strstr(base_status_message(), files[i].says))
            fail_msg("%s: %s", files[i].text, base_status_message());
    }
    unlink(path);
    assert_int_equal(coordinator_key_read(path, &key), BASE_USAGE);
}

/* ---- finding ---- */

static void found_by_folder_file_and_address(void **state)
{
    (void)state;
    coordinator_key key = sample_key("tcp://127.0.0.1:4711"), other = sample_key("tcp://127.0.0.1:4712"), found;
    const char *own = telemetry_test_path("coordinator.json"), *stray = telemetry_test_path("other.json");
    put(telemetry_test_path("damaged.json"), "{");
    assert_int_equal(coordinator_key_write(stray, &other), BASE_OK);
    assert_int_equal(coordinator_key_write(own, &key), BASE_OK);
    const char *const names[] = {own, getenv("DDPT_STATE"), "tcp://127.0.0.1:4711", "127.0.0.1:4711",
                                 "tcp://localhost:4711"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(coordinator_key_find(names[i], &found), BASE_OK);
        assert_string_equal(found.server_public, key.server_public);
    }
    assert_int_equal(coordinator_key_find("tcp://127.0.0.1:4712", &found), BASE_OK);
    assert_string_equal(found.server_public, other.server_public);
    unlink(own);
    unlink(stray);
}

static void what_is_not_found_is_said(void **state)
{
    (void)state;
    coordinator_key key;
    static const struct {
        const char *name, *says;
    } names[] = {{"tcp://127.0.0.1:4713", "ddpt coordinator --bind tcp://127.0.0.1:4713"},
                 {"ipc://@nobody", "no key for the coordinator at ipc://@nobody"},
                 {"/nonexistent", "there is no coordinator '/nonexistent'"},
                 {"/proc", "/proc holds no coordinator.json"},
                 {"/etc/passwd", "/etc/passwd is no coordinator.json"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(coordinator_key_find(names[i].name, &key), BASE_USAGE);
        if (!strstr(base_status_message(), names[i].says))
            fail_msg("%s", base_status_message());
    }
}

/* Of two coordinators that were at the same address, the later. */
static void newest_key_of_an_address_is_taken(void **state)
{
    (void)state;
    coordinator_key keys[2], found;
    const char *paths[2] = {telemetry_test_path("a.json"), telemetry_test_path("b.json")};
    for (int later = 0; later < 2; later++) {
        for (int i = 0; i < 2; i++) {
            keys[i] = sample_key("tcp://127.0.0.1:4714");
            assert_int_equal(coordinator_key_write(paths[i], &keys[i]), BASE_OK);
            const struct timespec times[2] = {{.tv_sec = 1000000 + (i == later)}, {.tv_sec = 1000000 + (i == later)}};
            assert_int_equal(utimensat(-1, paths[i], times, 0), 0);
        }
        assert_int_equal(coordinator_key_find("tcp://127.0.0.1:4714", &found), BASE_OK);
        assert_string_equal(found.server_public, keys[later].server_public);
    }
    unlink(paths[0]);
    unlink(paths[1]);
}

static void folder_is_made_for_the_user_alone(void **state)
{
    (void)state;
    char path[512], wanted[512];
    const char *before = getenv("DDPT_STATE");
    snprintf(wanted, sizeof wanted, "%s/state/ddpt", before);
    setenv("XDG_STATE_HOME", telemetry_test_path("state"), 1);
    char *saved = strdup(before);
    unsetenv("DDPT_STATE");
    assert_int_equal(coordinator_key_folder(path, sizeof path), BASE_OK);
    assert_string_equal(path, wanted);
    assert_int_equal(mode_of(path), 0700);
    rmdir(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
    unsetenv("XDG_STATE_HOME");
    setenv("DDPT_STATE", "/proc/nothing/there", 1);
    assert_int_equal(coordinator_key_folder(path, sizeof path), BASE_ERROR);
    setenv("DDPT_STATE", saved, 1);
    free(saved);
}

/* ---- the coordinator's half ---- */

static void both_halves_belong_together(void **state)
{
    (void)state;
    coordinator_secret made, found;
    const char *path = telemetry_test_path("keys.json"), *half = telemetry_test_path("keys.json.server");
    assert_int_equal(coordinator_secret_take(path, &made), BASE_OK); /* new */
    made.key.address_count = 1;
    strcpy(made.key.addresses[0], "tcp://127.0.0.1:1");
    assert_int_equal(coordinator_secret_write(path, &made), BASE_OK);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(mode_of(half), 0600);
    assert_int_equal(coordinator_secret_take(path, &found), BASE_OK);
    assert_string_equal(found.server_secret, made.server_secret);
    assert_memory_equal(&found.key, &made.key, sizeof found.key);

    coordinator_key other = sample_key("tcp://127.0.0.1:1");
    assert_int_equal(coordinator_key_write(path, &other), BASE_OK);
    assert_int_equal(coordinator_secret_take(path, &found), BASE_USAGE);
    assert_non_null(strstr(base_status_message(), "of another coordinator"));
    unlink(half);
    assert_int_equal(coordinator_secret_take(path, &found), BASE_USAGE);
    unlink(path);
}

/* ---- which address ---- */

static coordinator_key key_of(int count, const char *const *addresses)
{
    coordinator_key key = {.address_count = count};
    for (int i = 0; i < count; i++)
        snprintf(key.addresses[i], sizeof key.addresses[i], "%s", addresses[i]);
    return key;
}

static int bind_abstract(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(address.sun_path + 1, name, strlen(name));
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void ipc_is_chosen_on_its_host_alone(void **state)
{
    (void)state;
    char name[64], ipc[80];
    snprintf(name, sizeof name, "ddpt-test-key-%ld", (long)getpid());
    snprintf(ipc, sizeof ipc, "ipc://@%s", name);
    const char *const addresses[] = {ipc, "tcp://192.0.2.1:5555"};
    coordinator_key key = key_of(2, addresses);
    assert_string_equal(coordinator_key_choose(&key), "tcp://192.0.2.1:5555");
    int fd = bind_abstract(name);
    assert_string_equal(coordinator_key_choose(&key), ipc);
    close(fd);
    key.address_count = 1;
    assert_string_equal(coordinator_key_choose(&key), ipc); /* there is no other */
    key.address_count = 0;
    assert_null(coordinator_key_choose(&key));
}

static void loopback_is_chosen_last(void **state)
{
    (void)state;
    const char *const addresses[] = {"tcp://127.0.0.1:5555", "tcp://192.0.2.1:5555"};
    coordinator_key key = key_of(2, addresses);
    assert_string_equal(coordinator_key_choose(&key), "tcp://192.0.2.1:5555");
    key.address_count = 1;
    assert_string_equal(coordinator_key_choose(&key), "tcp://127.0.0.1:5555");
}

/* The addresses of this host are in its networks, those of a documentation network are not. */
static void near_address_is_chosen(void **state)
{
    (void)state;
    coordinator_interface interfaces[COORDINATOR_INTERFACES];
    char near[COORDINATOR_ADDRESS_TEXT];
    int count = coordinator_address_interfaces(interfaces);
    if (count == 0 || interfaces[0].loopback) {
        print_message("this host is in no network: nothing to choose\n");
        skip();
    }
    coordinator_address_write(near, interfaces[0].address, "5555");
    const char *const addresses[] = {"tcp://192.0.2.1:5555", near, "ipc://@ddpt-of-another-host"};
    coordinator_key key = key_of(2, addresses);
    assert_string_equal(coordinator_key_choose(&key), near);
    /* With a socket that would be here if this were its host, an address of ours is one inside many hosts. */
    key = key_of(3, addresses);
    assert_string_equal(coordinator_key_choose(&key), "tcp://192.0.2.1:5555");
}

static void addresses_are_taken_apart(void **state)
{
    (void)state;
    char host[COORDINATOR_HOST_TEXT], port[8];
    assert_true(coordinator_address_split("tcp://*:5555", host, port));
    assert_string_equal(host, "*");
    assert_string_equal(port, "5555");
    assert_true(coordinator_address_split("tcp://node1.cluster:*", host, port));
    assert_string_equal(port, "*");
    const char *const bad[] = {"tcp://a",    "tcp://:1",       "tcp://a:", "tcp://a:65536", "tcp://a:1x", "udp://a:1",
                               "tcp://a:-1", "tcp://a:123456", "",         "ipc://a:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(coordinator_address_split(bad[i], host, port));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_comes_back),
        cmocka_unit_test(file_is_its_owners_alone),
        cmocka_unit_test(damaged_file_is_refused),
        cmocka_unit_test(found_by_folder_file_and_address),
        cmocka_unit_test(what_is_not_found_is_said),
        cmocka_unit_test(newest_key_of_an_address_is_taken),
        cmocka_unit_test(folder_is_made_for_the_user_alone),
        cmocka_unit_test(both_halves_belong_together),
        cmocka_unit_test(ipc_is_chosen_on_its_host_alone),
        cmocka_unit_test(loopback_is_chosen_last),
        cmocka_unit_test(near_address_is_chosen),
        cmocka_unit_test(addresses_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, telemetry_test_make_folder, telemetry_test_remove_folder);
}
