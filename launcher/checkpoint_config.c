/* A configuration in the syntax that it was read in. */
#include "checkpoint.h"

#include <inttypes.h>
#include <string.h>

static void print_value(const json_t *value, int indent);

/* libconfig knows \" \\ \n \r \t \f and \xHH; everything else stands for itself. */
static void print_string(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < ' ' || *text == 0x7f)
            printf("\\x%02x", (unsigned)*text);
        else
            putchar(*text);
    }
    putchar('"');
}

/* As the echo is dumped, so that the number is read as what it was; a real needs a dot or an exponent. */
static void print_real(double value)
{
    char text[40];
    snprintf(text, sizeof text, "%.15g", value);
    printf("%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void print_members(const json_t *object, int indent)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (json_is_null(value)) /* left open */
            continue;
        printf("%*s%s = ", indent, "", key);
        print_value(value, indent);
        printf(";\n");
    }
}

/* Groups and other lists in ( ), a line each; scalars in [ ]. */
static void print_array(const json_t *array, int indent)
{
    const json_t *first = json_array_get(array, 0);
    int list = json_is_object(first) || json_is_array(first);
    putchar(list ? '(' : '[');
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (list)
            printf("%s\n%*s", i ? "," : "", indent + 4, "");
        else if (i)
            printf(", ");
        print_value(json_array_get(array, i), indent + (list ? 4 : 0));
    }
    if (list)
        printf("\n%*s)", indent, "");
    else
        putchar(']');
}

static void print_value(const json_t *value, int indent)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        printf("{\n");
        print_members(value, indent + 4);
        printf("%*s}", indent, "");
        break;
    case JSON_ARRAY: print_array(value, indent); break;
    case JSON_STRING: print_string(json_string_value(value)); break;
    case JSON_INTEGER: printf("%" JSON_INTEGER_FORMAT, json_integer_value(value)); break;
    case JSON_REAL: print_real(json_real_value(value)); break;
    case JSON_TRUE: printf("true"); break;
    case JSON_FALSE: printf("false"); break;
    case JSON_NULL: break;
    }
}

/* libconfig's names: a letter, then letters, digits, - and _. */
static int is_name(const char *text)
{
    size_t letters = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return letters > 0 &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] == '\0';
}

static int has_names(const json_t *value)
{
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        if (!is_name(key) || !has_names(member))
            return 0;
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!has_names(json_array_get(value, i)))
            return 0;
    return 1;
}

base_status checkpoint_print_config(const char *config_json)
{
    json_error_t error;
    json_t *config = json_loads(config_json, 0, &error);
    int good = json_is_object(config) && has_names(config);
    if (good)
        print_members(config, 0);
    json_decref(config);
    return good ? BASE_OK : BASE_FAIL(BASE_CKPT, "the checkpoint's configuration is none that ddpt writes");
}
