#include "base_json.h"

#include "base_utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *base_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *base_json_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    json_t *json = copy ? json_string(base_utf8_copy(text, copy, size)) : NULL;
    free(copy);
    return json;
}
