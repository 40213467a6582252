/* report_json.h: values of JSON, written and read with what a report needs. Local.
 */
#ifndef REPORT_JSON_H
#define REPORT_JSON_H

#include "base_status.h"

#include <jansson.h>
#include <stdint.h>

/* The fewest digits that bring back the same double; "0.1", "3.0", "1e-09". */
enum { REPORT_JSON_NUMBER_BYTES = 32 };
const char *report_json_number_text(double value, char text[REPORT_JSON_NUMBER_BYTES]);

/* The text of `json`, with a line for each element of the first two levels; malloc'd, the caller frees; NULL with a
 * recorded failure when memory is short. */
char *report_json_text(const json_t *json);

/* Read a file whose key `schema` is `schema`. BASE_DATA names the file, and the line or what it is instead. */
base_status report_json_load(const char *path, const char *schema, json_t **json);

/* Where a value is read from, for messages: "FILE: WHERE.KEY = VALUE: must be ...". */
typedef struct report_json_source {
    const char *file;
    char where[96]; /* "" or "trials[2]" */
} report_json_source;

/* BASE_DATA: the value `value` at `key`, or nothing where it is NULL, is not what it must be. */
base_status report_json_fail(const report_json_source *source, const char *key, const json_t *value, const char *must);

base_status report_json_get_integer(const report_json_source *source, const json_t *object, const char *key,
                                    int64_t least, int64_t most, int64_t *value);
base_status report_json_get_int(const report_json_source *source, const json_t *object, const char *key, int least,
                                int most, int *value);
/* A number from `least` to `most`. */
base_status report_json_get_number(const report_json_source *source, const json_t *object, const char *key,
                                   double least, double most, double *value);
/* `type`: JSON_OBJECT, JSON_ARRAY or JSON_STRING. The value is borrowed. */
base_status report_json_get(const report_json_source *source, const json_t *object, const char *key, json_type type,
                            json_t **value);

#endif
