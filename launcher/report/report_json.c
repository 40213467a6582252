#include "report_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

const char *report_json_number_text(double value, char text[REPORT_JSON_NUMBER_BYTES])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, REPORT_JSON_NUMBER_BYTES, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    if (!strpbrk(text, ".e"))
        memcpy(text + strlen(text), ".0", 3);
    return text;
}

enum { LEVELS_OPEN = 2, INDENT = 2 };

static void write_value(FILE *to, const json_t *json, int level);

/* Between the elements of a list, and before its first and after its last one. */
static void write_break(FILE *to, int level, int is_first)
{
    if (!is_first)
        fputc(',', to);
    if (level < LEVELS_OPEN)
        fprintf(to, "\n%*s", (level + 1) * INDENT, "");
    else if (!is_first)
        fputc(' ', to);
}

static void write_end(FILE *to, int level, size_t count, char bracket)
{
    if (level < LEVELS_OPEN && count)
        fprintf(to, "\n%*s", level * INDENT, "");
    fputc(bracket, to);
}

static void write_scalar(FILE *to, const json_t *json)
{
    char *text = json_dumps(json, JSON_ENCODE_ANY);
    fputs(text ? text : "null", to);
    free(text);
}

static void write_object(FILE *to, const json_t *json, int level)
{
    const char *key;
    json_t *value;
    int is_first = 1;
    fputc('{', to);
    json_object_foreach((json_t *)json, key, value)
    {
        json_t *name = json_string(key);
        write_break(to, level, is_first);
        write_scalar(to, name);
        fputs(": ", to);
        write_value(to, value, level + 1);
        json_decref(name);
        is_first = 0;
    }
    write_end(to, level, json_object_size(json), '}');
}

static void write_array(FILE *to, const json_t *json, int level)
{
    fputc('[', to);
    for (size_t i = 0; i < json_array_size(json); i++) {
        write_break(to, level, i == 0);
        write_value(to, json_array_get(json, i), level + 1);
    }
    write_end(to, level, json_array_size(json), ']');
}

static void write_value(FILE *to, const json_t *json, int level)
{
    char number[REPORT_JSON_NUMBER_BYTES];
    if (json_is_object(json))
        write_object(to, json, level);
    else if (json_is_array(json))
        write_array(to, json, level);
    else if (json_is_real(json))
        fputs(report_json_number_text(json_real_value(json), number), to);
    else
        write_scalar(to, json);
}

char *report_json_text(const json_t *json)
{
    char *text = NULL;
    size_t nbytes;
    FILE *to = json ? open_memstream(&text, &nbytes) : NULL;
    if (to) {
        write_value(to, json, 0);
        fputc('\n', to);
    }
    if (to && fclose(to) == 0)
        return text;
    free(text);
    (void)BASE_FAIL(BASE_ERROR, "out of memory for a report");
    return NULL;
}

/* ---- reading ---- */

base_status report_json_load(const char *path, const char *schema, json_t **out)
{
    json_error_t error;
    json_t *json = json_load_file(path, 0, &error);
    if (!json && error.line < 1)
        return BASE_FAIL(BASE_DATA, "%s", error.text); /* "unable to open PATH: ..." */
    if (!json)
        return BASE_FAIL(BASE_DATA, "%s:%d: not JSON: %s", path, error.line, error.text);
    const char *found = json_string_value(json_object_get(json, "schema"));
    base_status status = BASE_OK;
    if (!found)
        status = BASE_FAIL(BASE_DATA, "%s: not a file of ddpt: schema is missing, must be \"%s\"", path, schema);
    else if (strcmp(found, schema) != 0)
        status = BASE_FAIL(BASE_DATA, "%s: schema = \"%.60s\": must be \"%s\"", path, found, schema);
    if (status == BASE_OK)
        *out = json;
    else
        json_decref(json);
    return status;
}

base_status report_json_fail(const report_json_source *source, const char *key, const json_t *value, const char *must)
{
    enum { SHOWN = 60 };
    const char *dot = *source->where && *key && *key != '[' ? "." : "";
    if (!value)
        return BASE_FAIL(BASE_DATA, "%s: %s%s%s is missing: must be %s", source->file, source->where, dot, key, must);
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
    base_status status = BASE_FAIL(BASE_DATA, "%s: %s%s%s = %.*s%s: must be %s", source->file, source->where, dot, key,
                                   SHOWN, text ? text : "?", text && strlen(text) > SHOWN ? "..." : "", must);
    free(text);
    return status;
}

base_status report_json_get_integer(const report_json_source *source, const json_t *object, const char *key,
                                    int64_t least, int64_t most, int64_t *out)
{
    const json_t *value = json_object_get(object, key);
    char must[96];
    *out = json_integer_value(value);
    if (json_is_integer(value) && *out >= least && *out <= most)
        return BASE_OK;
    snprintf(must, sizeof must, "a whole number from %" PRId64 " to %" PRId64, least, most);
    return report_json_fail(source, key, value, must);
}

base_status report_json_get_int(const report_json_source *source, const json_t *object, const char *key, int least,
                                int most, int *out)
{
    int64_t value;
    base_status status = report_json_get_integer(source, object, key, least, most, &value);
    *out = status == BASE_OK ? (int)value : 0;
    return status;
}

base_status report_json_get_number(const report_json_source *source, const json_t *object, const char *key,
                                   double least, double most, double *out)
{
    const json_t *value = json_object_get(object, key);
    char must[96];
    *out = json_number_value(value);
    if (json_is_number(value) && *out >= least && *out <= most)
        return BASE_OK;
    snprintf(must, sizeof must, "a number from %g to %g", least, most);
    return report_json_fail(source, key, value, must);
}

base_status report_json_get(const report_json_source *source, const json_t *object, const char *key, json_type type,
                            json_t **out)
{
    const char *must = type == JSON_OBJECT ? "an object" : type == JSON_ARRAY ? "a list" : "a text";
    *out = json_object_get(object, key);
    return *out && json_typeof(*out) == type ? BASE_OK : report_json_fail(source, key, *out, must);
}
