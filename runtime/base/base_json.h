/* base_json.h: values that JSON has no form for. Each returns a new reference, NULL when memory is short. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>

/* null for what is not finite. */
json_t *base_json_number(double value);

/* '?' for each byte that is not UTF-8. */
json_t *base_json_text(const char *text);

#endif
