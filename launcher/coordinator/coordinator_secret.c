#include "coordinator_secret.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define SCHEMA "ddpt.coordinator-server.v1"

base_status coordinator_secret_make(coordinator_secret *self)
{
    *self = (coordinator_secret){0};
    if (zmq_curve_keypair(self->key.server_public, self->server_secret) != 0 ||
        zmq_curve_keypair(self->key.member_public, self->key.member_secret) != 0)
        return BASE_FAIL(BASE_ERROR, "cannot make CURVE keys: %s", zmq_strerror(zmq_errno()));
    return BASE_OK;
}

static base_status name_half(const char *file, char name[PATH_MAX])
{
    if ((size_t)snprintf(name, PATH_MAX, "%s.server", file) >= PATH_MAX)
        return BASE_FAIL(BASE_USAGE, "the name %s is too long", file);
    return BASE_OK;
}

static int read_half(const char *file, char secret[COORDINATOR_KEY_TEXT])
{
    json_t *object = json_load_file(file, 0, NULL);
    const char *schema = json_string_value(json_object_get(object, "schema"));
    const char *text = json_string_value(json_object_get(object, "server_secret"));
    int good = schema && strcmp(schema, SCHEMA) == 0 && text && strlen(text) == COORDINATOR_KEY_TEXT - 1;
    if (good)
        memcpy(secret, text, COORDINATOR_KEY_TEXT);
    json_decref(object);
    return good;
}

base_status coordinator_secret_take(const char *file, coordinator_secret *self)
{
    char half[PATH_MAX], derived[COORDINATOR_KEY_TEXT];
    BASE_TRY(name_half(file, half));
    if (access(file, F_OK) != 0)
        return coordinator_secret_make(self);
    *self = (coordinator_secret){0};
    BASE_TRY(coordinator_key_read(file, &self->key));
    if (!read_half(half, self->server_secret) || zmq_curve_public(derived, self->server_secret) != 0 ||
        strcmp(derived, self->key.server_public) != 0)
        return BASE_FAIL(
            BASE_USAGE,
            "%s is the key of another coordinator, or %s, the half that this one needs, is damaged or gone: "
            "remove it (workers and viewers that know the old key are then refused), or name another with "
            "--key-file",
            file, half);
    return BASE_OK;
}

base_status coordinator_secret_write(const char *file, const coordinator_secret *self)
{
    char half[PATH_MAX], text[256];
    BASE_TRY(name_half(file, half));
    json_t *object = json_pack("{s:s, s:s}", "schema", SCHEMA, "server_secret", self->server_secret);
    size_t length = object ? json_dumpb(object, text, sizeof text - 1, JSON_INDENT(2)) : 0;
    json_decref(object);
    if (length == 0 || length >= sizeof text)
        return BASE_FAIL(BASE_ERROR, "out of memory for %s", half);
    text[length] = '\0';
    BASE_TRY(coordinator_key_write_secret(half, text));
    return coordinator_key_write(file, &self->key);
}

base_status coordinator_secret_name(const char *address, char *file, int size)
{
    char folder[PATH_MAX], host[64] = "", name[COORDINATOR_ADDRESS_TEXT];
    BASE_TRY(coordinator_key_folder(folder, sizeof folder));
    gethostname(host, sizeof host - 1);
    size_t used = 0;
    for (const char *at = address; *at && used < sizeof name - 4; at++) {
        if (*at == '*')
            used += (size_t)snprintf(name + used, sizeof name - used, "any");
        else if (isalnum((unsigned char)*at) || *at == '.' || *at == '_')
            name[used++] = *at;
        else if (used > 0 && name[used - 1] != '-')
            name[used++] = '-';
    }
    name[used] = '\0';
    int n = snprintf(file, (size_t)size, "%s/%s-%s.json", folder, host, name);
    if (n < 0 || n >= size)
        return BASE_FAIL(BASE_ERROR, "the name of the coordinator's key file is too long");
    return BASE_OK;
}
