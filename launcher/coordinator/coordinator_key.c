#include "coordinator_key.h"

#include "base_file.h"
#include "coordinator_address.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define SCHEMA "ddpt.coordinator.v1"

/* ---- the file ---- */

static json_t *to_json(const coordinator_key *key)
{
    json_t *object = json_object(), *addresses = json_array();
    for (int i = 0; i < key->address_count; i++)
        json_array_append_new(addresses, json_string(key->addresses[i]));
    json_object_set_new(object, "schema", json_string(SCHEMA));
    json_object_set_new(object, "addresses", addresses);
    json_object_set_new(object, "server_public", json_string(key->server_public));
    json_object_set_new(object, "member_public", json_string(key->member_public));
    json_object_set_new(object, "member_secret", json_string(key->member_secret));
    return object;
}

/* What lies there from a write that did not end may be open to others. */
base_status coordinator_key_write_secret(const char *path, const char *text)
{
    char partial[PATH_MAX];
    if ((size_t)snprintf(partial, sizeof partial, "%s.partial", path) >= sizeof partial)
        return BASE_FAIL(BASE_ERROR, "the name %s is too long", path);
    unlink(partial);
    int fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot write %s", path);
    ssize_t length = (ssize_t)strlen(text);
    if (write(fd, text, (size_t)length) != length) {
        base_status status = BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot write %s", path);
        close(fd);
        unlink(partial);
        return status;
    }
    return base_file_commit(path, fd);
}

base_status coordinator_key_write(const char *path, const coordinator_key *key)
{
    json_t *object = to_json(key);
    char *text = json_dumps(object, JSON_INDENT(2));
    json_decref(object);
    base_status status = text ? coordinator_key_write_secret(path, text)
                              : BASE_FAIL(BASE_ERROR, "cannot write %s: out of memory, or an address is no text", path);
    free(text);
    return status;
}

static int take_key(const json_t *object, const char *name, char key[COORDINATOR_KEY_TEXT])
{
    uint8_t bytes[32];
    const char *text = json_string_value(json_object_get(object, name));
    if (!text || strlen(text) != COORDINATOR_KEY_TEXT - 1 || !zmq_z85_decode(bytes, text))
        return 0;
    memcpy(key, text, COORDINATOR_KEY_TEXT);
    return 1;
}

/* NULL, or what is wrong with it. */
static const char *from_json(const json_t *object, coordinator_key *key)
{
    const char *schema = json_string_value(json_object_get(object, "schema"));
    const json_t *addresses = json_object_get(object, "addresses");
    *key = (coordinator_key){0};
    if (!schema || strcmp(schema, SCHEMA) != 0)
        return "\"schema\" is not \"" SCHEMA "\"";
    for (size_t i = 0; i < json_array_size(addresses) && i < COORDINATOR_ADDRESSES; i++) {
        const char *address = json_string_value(json_array_get(addresses, i));
        if (!address || strlen(address) >= COORDINATOR_ADDRESS_TEXT ||
            (strncmp(address, "tcp://", 6) != 0 && strncmp(address, "ipc://", 6) != 0))
            return "\"addresses\" has one that is none";
        snprintf(key->addresses[key->address_count++], COORDINATOR_ADDRESS_TEXT, "%s", address);
    }
    if (key->address_count == 0)
        return "\"addresses\" has none";
    if (!take_key(object, "server_public", key->server_public))
        return "\"server_public\" is no CURVE key";
    if (!take_key(object, "member_public", key->member_public))
        return "\"member_public\" is no CURVE key";
    return take_key(object, "member_secret", key->member_secret) ? NULL : "\"member_secret\" is no CURVE key";
}

base_status coordinator_key_read(const char *path, coordinator_key *key)
{
    json_error_t error;
    FILE *file = fopen(path, "re");
    if (!file)
        return BASE_FAIL_ERRNO(BASE_USAGE, errno, "cannot read %s", path);
    json_t *object = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    fclose(file);
    if (!object)
        return BASE_FAIL(BASE_USAGE, "%s is no coordinator.json: %s (line %d)", path, error.text, error.line);
    const char *wrong = from_json(object, key);
    json_decref(object);
    return wrong ? BASE_FAIL(BASE_USAGE, "%s is no coordinator.json: %s", path, wrong) : BASE_OK;
}

/* ---- the folder of coordinators that stand alone ---- */

static const char *home(void)
{
    const char *path = getenv("HOME");
    if (path && *path)
        return path;
    const struct passwd *user = getpwuid(getuid());
    return user ? user->pw_dir : NULL;
}

static int name_folder(char *path, int size)
{
    const char *own = getenv("DDPT_STATE"), *state = getenv("XDG_STATE_HOME");
    int n;
    if (own && *own)
        n = snprintf(path, (size_t)size, "%s", own);
    else if (state && *state)
        n = snprintf(path, (size_t)size, "%s/ddpt", state);
    else
        n = home() ? snprintf(path, (size_t)size, "%s/.local/state/ddpt", home()) : -1;
    return n > 0 && n < size;
}

base_status coordinator_key_folder(char *path, int size)
{
    struct stat info;
    if (!name_folder(path, size))
        return BASE_FAIL(BASE_ERROR, "there is no folder for the coordinator's keys: set DDPT_STATE to one");
    if (stat(path, &info) == 0)
        return BASE_OK;
    char above[PATH_MAX];
    snprintf(above, sizeof above, "%s", path);
    char *slash = strrchr(above, '/');
    if (slash && slash != above) {
        *slash = '\0';
        BASE_TRY(base_file_make_folder(above));
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno,
                               "cannot make the folder %s for the coordinator's keys (DDPT_STATE names another)", path);
    return BASE_OK;
}

/* ---- finding one ---- */

static int listens_at(const coordinator_key *key, const char *address)
{
    for (int i = 0; i < key->address_count; i++)
        if (strcmp(key->addresses[i], address) == 0)
            return 1;
    return 0;
}

/* The newest file of the folder that knows the address. Others that cannot be read are none of our business. */
static int find_in(DIR *folder, const char *path, const char *address, coordinator_key *key)
{
    char file[PATH_MAX];
    coordinator_key candidate;
    struct stat info;
    struct timespec newest = {0};
    int found = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".json") != 0)
            continue;
        if ((size_t)snprintf(file, sizeof file, "%s/%s", path, entry->d_name) >= sizeof file ||
            stat(file, &info) != 0 || coordinator_key_read(file, &candidate) != BASE_OK ||
            !listens_at(&candidate, address))
            continue;
        if (found && (info.st_mtim.tv_sec < newest.tv_sec ||
                      (info.st_mtim.tv_sec == newest.tv_sec && info.st_mtim.tv_nsec < newest.tv_nsec)))
            continue;
        found = 1;
        newest = info.st_mtim;
        *key = candidate;
    }
    base_status_clear();
    return found;
}

static base_status find_address(const char *text, coordinator_key *key)
{
    char path[PATH_MAX], address[COORDINATOR_ADDRESS_TEXT];
    coordinator_address_normalize(text, address);
    int named = name_folder(path, sizeof path);
    DIR *folder = named ? opendir(path) : NULL;
    int found = folder && find_in(folder, path, address, key);
    if (folder)
        closedir(folder);
    if (found)
        return BASE_OK;
    return BASE_FAIL(
        BASE_USAGE,
        "no key for the coordinator at %s in %s: start it with `ddpt coordinator --bind %s`, or if it runs "
        "elsewhere, name the key file that it prints instead of its address",
        text, named ? path : "any folder", text);
}

base_status coordinator_key_find(const char *text, coordinator_key *key)
{
    struct stat info;
    char path[PATH_MAX];
    if (strstr(text, "://"))
        return find_address(text, key);
    if (stat(text, &info) != 0) {
        int n = snprintf(path, sizeof path, "tcp://%s", text);
        char host[COORDINATOR_HOST_TEXT], port[8];
        if (n > 0 && n < COORDINATOR_ADDRESS_TEXT && coordinator_address_split(path, host, port))
            return find_address(path, key);
        return BASE_FAIL(
            BASE_USAGE,
            "there is no coordinator '%s': it must be a run's folder, a coordinator.json, or an address as "
            "tcp://HOST:PORT",
            text);
    }
    if (!S_ISDIR(info.st_mode))
        return coordinator_key_read(text, key);
    if ((size_t)snprintf(path, sizeof path, "%s/coordinator.json", text) >= sizeof path)
        return BASE_FAIL(BASE_USAGE, "the name %s is too long", text);
    if (access(path, F_OK) != 0)
        return BASE_FAIL(BASE_USAGE,
                         "%s holds no coordinator.json: no run is under way there, or it was started with "
                         "--no-coordinator",
                         text);
    return coordinator_key_read(path, key);
}

/* ---- choosing an address ---- */

/* 3: this host itself, 2: in a network that it is in, 1: elsewhere, 0: the loopback. `elsewhere`: the coordinator is
 * known to be on another host, so that what looks like an address of this one is a network that many hosts have inside.
 */
static int nearness(uint32_t address, int elsewhere, const coordinator_interface *interfaces, int count)
{
    int near = 1;
    if (address >> 24 == 127)
        return 0;
    for (int i = 0; i < count; i++) {
        if (interfaces[i].loopback)
            continue;
        if (interfaces[i].address == address)
            return elsewhere ? 0 : 3;
        if ((interfaces[i].address & interfaces[i].mask) == (address & interfaces[i].mask))
            near = 2;
    }
    return near;
}

const char *coordinator_key_choose(const coordinator_key *key)
{
    coordinator_interface interfaces[COORDINATOR_INTERFACES];
    char host[COORDINATOR_HOST_TEXT], port[8];
    const char *best = NULL;
    int best_near = -1, elsewhere = 0;
    for (int i = 0; i < key->address_count; i++) {
        if (coordinator_address_is_local(key->addresses[i]))
            return key->addresses[i];
        elsewhere |= strncmp(key->addresses[i], "ipc://", 6) == 0;
    }
    int count = coordinator_address_interfaces(interfaces);
    for (int i = 0; i < key->address_count; i++) {
        uint32_t address;
        if (!coordinator_address_split(key->addresses[i], host, port))
            continue;
        int near = coordinator_address_resolve(host, &address) ? nearness(address, elsewhere, interfaces, count) : 0;
        if (near > best_near) {
            best = key->addresses[i];
            best_near = near;
        }
    }
    return best ? best : key->address_count > 0 ? key->addresses[0] : NULL;
}
