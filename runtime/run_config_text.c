/* From text to libconfig's tree.
 *
 * libconfig 1.5 wraps numbers around that do not fit (99999999999 becomes 1215752191), opens any file that an @include
 * names, and takes a quote that is not closed for a long string. So the text is copied token by token first: numbers
 * are checked and marked as 64 bits where they need it, [ ] becomes ( ), which may mix 1 and 0.5, and words of --set
 * are quoted.
 */
#include "run_config_option.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 32 }; /* the table needs 5 */

typedef struct bracket {
    char open;
    int line;
} bracket;

typedef struct scanner {
    const run_config_source *source;
    const char *set;  /* the argument of --set; NULL: a file */
    const char *text; /* of the file */
    const char *at;
    char *to;
    int line;
    int depth;
    bracket brackets[DEPTH_MAX]; /* open now, the innermost last */
} scanner;

BASE_PRINTF(3, 4) static base_status fail(const scanner *self, int line, const char *fmt, ...)
{
    char text[1024] = "", what[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (self->set)
        run_config_append(text, sizeof text, "--set %.100s: %s", self->set, what);
    else
        run_config_append(text, sizeof text, "%s:%d: %s", *self->source->path ? self->source->path : "configuration",
                          line, what);
    return run_config_fail_line(text);
}

static void put(scanner *self, const char *from, size_t n)
{
    memcpy(self->to, from, n);
    self->to += n;
}

static int is_word_character(const scanner *self, char c)
{
    if (self->set)
        return c && !isspace((unsigned char)c) && !strchr("[](){},;=\"", c);
    return isalnum((unsigned char)c) || (c && strchr("_.+*-", c));
}

/* Length of the digits at `t`. */
static size_t digits(const char *t, size_t n)
{
    size_t i = 0;
    while (i < n && isdigit((unsigned char)t[i]))
        i++;
    return i;
}

typedef enum number_form { NO_NUMBER, INTEGER, HEXADECIMAL, FLOATING } number_form;

static number_form number_form_of(const char *t, size_t n)
{
    if (n > 2 && t[0] == '0' && (t[1] == 'x' || t[1] == 'X')) {
        size_t i = 2;
        while (i < n && isxdigit((unsigned char)t[i]))
            i++;
        return i > 2 && (i == n || (t[i] == 'L' && n - i <= 2 && t[n - 1] == 'L')) ? HEXADECIMAL : NO_NUMBER;
    }
    size_t i = n && (*t == '+' || *t == '-') ? 1 : 0, mantissa = digits(t + i, n - i);
    i += mantissa;
    if (mantissa && (i == n || (t[i] == 'L' && n - i <= 2 && t[n - 1] == 'L')))
        return INTEGER;
    if (i < n && t[i] == '.') {
        size_t fraction = digits(t + i + 1, n - i - 1);
        i += 1 + fraction;
        mantissa += fraction;
    }
    if (i < n && (t[i] == 'e' || t[i] == 'E')) {
        i++;
        i += i < n && (t[i] == '+' || t[i] == '-');
        size_t exponent = digits(t + i, n - i);
        i += exponent;
        mantissa = exponent ? mantissa : 0;
    }
    return mantissa && i == n ? FLOATING : NO_NUMBER;
}

static base_status copy_number(scanner *self, size_t n, number_form form)
{
    if (form == FLOATING) {
        put(self, self->at, n);
        return BASE_OK;
    }
    errno = 0;
    int64_t value = strtoll(self->at, NULL, form == HEXADECIMAL ? 16 : 10);
    if (errno == ERANGE)
        return fail(self, self->line, "%.*s does not fit into 64 bits", (int)(n < 64 ? n : 64), self->at);
    char number[32];
    int length =
        snprintf(number, sizeof number, "%" PRId64 "%s", value, value < INT32_MIN || value > INT32_MAX ? "L" : "");
    put(self, number, (size_t)length);
    return BASE_OK;
}

static void copy_quoted(scanner *self, const char *word, size_t n)
{
    put(self, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        if (word[i] == '"' || word[i] == '\\')
            put(self, "\\", 1);
        put(self, word + i, 1);
    }
    put(self, "\"", 1);
}

static int is_boolean(const char *t, size_t n)
{
    return (n == 4 && !strncasecmp(t, "true", 4)) || (n == 5 && !strncasecmp(t, "false", 5));
}

/* A name, a number, true or false; within --set also a string without quotes. */
static base_status copy_word(scanner *self)
{
    size_t n = 0;
    while (is_word_character(self, self->at[n]))
        n++;
    number_form form = number_form_of(self->at, n);
    const char *next = self->at + n;
    next += strspn(next, " \t");
    if (form != NO_NUMBER)
        BASE_TRY(copy_number(self, n, form));
    else if (self->set && *next != '=' && !is_boolean(self->at, n))
        copy_quoted(self, self->at, n);
    else if (!self->set && !isalpha((unsigned char)*self->at) && *self->at != '*')
        return fail(self, self->line, "\"%.*s\" is not a number", (int)(n < 64 ? n : 64), self->at);
    else if (!self->set && *next && strchr(";,)]}", *next) && !is_boolean(self->at, n))
        return fail(self, self->line, "text needs quotes: \"%.*s\"", (int)(n < 64 ? n : 64), self->at);
    else
        put(self, self->at, n);
    self->at += n;
    return BASE_OK;
}

static base_status copy_string(scanner *self)
{
    const char *end = self->at + 1;
    while (*end && *end != '"' && *end != '\n')
        end += *end == '\\' && end[1] && end[1] != '\n' ? 2 : 1;
    if (*end != '"')
        return fail(self, self->line, "a string is not closed on its line: %.40s",
                    self->at); /* the cut keeps the message short; newlines in it are replaced */
    put(self, self->at, (size_t)(end + 1 - self->at));
    self->at = end + 1;
    return BASE_OK;
}

/* Comments end up as nothing but their newlines. */
static base_status skip_comment(scanner *self)
{
    if (self->at[0] != '/' || self->at[1] != '*') {
        self->at += strcspn(self->at, "\n");
        return BASE_OK;
    }
    int line = self->line;
    const char *end = strstr(self->at + 2, "*/");
    if (!end)
        return fail(self, line, "a comment is not closed");
    put(self, " ", 1);
    for (; self->at < end + 2; self->at++) {
        if (*self->at == '\n') {
            put(self, "\n", 1);
            self->line++;
        }
    }
    return BASE_OK;
}

static base_status open_bracket(scanner *self, char c)
{
    if (self->depth == DEPTH_MAX)
        return fail(self, self->line, "brackets are nested more than %d deep", (int)DEPTH_MAX);
    self->brackets[self->depth++] = (bracket){c, self->line};
    put(self, c == '{' ? "{" : "(", 1);
    return BASE_OK;
}

static base_status close_bracket(scanner *self, char c)
{
    if (!self->depth)
        return fail(self, self->line, "'%c' closes nothing", c);
    bracket open = self->brackets[--self->depth];
    char wanted = open.open == '{' ? '}' : open.open == '(' ? ')' : ']';
    if (c != wanted)
        return fail(self, self->line, "'%c' where '%c' must close the '%c' of line %d", c, wanted, open.open,
                    open.line);
    put(self, c == '}' ? "}" : ")", 1);
    return BASE_OK;
}

/* One character that is no part of a word, a string or a comment. */
static base_status copy_mark(scanner *self)
{
    char c = *self->at++;
    if (c == '@')
        return fail(self, self->line, "@include is not supported, since all ranks parse one text; put the keys here");
    if (c == '{' || c == '(' || c == '[')
        return open_bracket(self, c);
    if (c == '}' || c == ')' || c == ']')
        return close_bracket(self, c);
    if (c == '\n')
        self->line++;
    put(self, &c, 1);
    return BASE_OK;
}

static base_status scan(scanner *self)
{
    while (*self->at) {
        char c = *self->at;
        if (is_word_character(self, c))
            BASE_TRY(copy_word(self));
        else if (c == '"')
            BASE_TRY(copy_string(self));
        else if (c == '#' || (c == '/' && (self->at[1] == '/' || self->at[1] == '*')))
            BASE_TRY(skip_comment(self));
        else
            BASE_TRY(copy_mark(self));
    }
    if (self->depth) {
        bracket open = self->brackets[self->depth - 1];
        return fail(self, open.line, "'%c' is not closed", open.open);
    }
    *self->to = '\0';
    return BASE_OK;
}

/* What libconfig found wrong, with the line of the text that it stopped at. */
static base_status fail_syntax(const scanner *self, const config_t *tree)
{
    const char *text = config_error_text(tree) ? config_error_text(tree) : "syntax error";
    if (self->set)
        return fail(self, 0, "not a value; write 3, 0.5, true, text, \"text\", [1, 2] or { key = value; }");
    int line = config_error_line(tree);
    const char *at = self->text;
    for (int i = 1; i < line && at; i++) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    at = at ? at + strspn(at, " \t\r\n") : "";
    size_t n = strcspn(at, "\r\n");
    const char *what = strstr(text, "duplicate") ? "a key is given twice" : text;
    if (!n)
        return fail(self, line, "%s at the end of the text", what);
    return fail(self, line, "%s at or just before: %.*s", what, (int)(n < 60 ? n : 60), at);
}

/* Room for every character of a word to be escaped, and for its quotes and the mark of a 64-bit number. */
static char *output_create(const run_config_source *source, size_t n)
{
    return n < SIZE_MAX / 8 ? base_arena_alloc(source->arena, 4 * n + 16) : NULL;
}

base_status run_config_text_read(const run_config_source *source, const char *text, config_t *tree)
{
    if (!strncmp(text, "\xef\xbb\xbf", 3)) /* a byte order mark, as some editors write */
        text += 3;
    char *copy = output_create(source, strlen(text));
    if (!copy)
        return BASE_ERROR;
    scanner self = {.source = source, .text = text, .at = text, .to = copy, .line = 1};
    BASE_TRY(scan(&self));
    return config_read_string(tree, copy) ? BASE_OK : fail_syntax(&self, tree);
}

base_status run_config_text_read_value(const run_config_source *source, const char *set, const char *value,
                                       config_t *tree)
{
    char *copy = output_create(source, strlen(value));
    if (!copy)
        return BASE_ERROR;
    value += strspn(value, " \t");
    scanner self = {.source = source, .set = set, .at = value, .to = copy, .line = 1};
    put(&self, "value = ", 8);
    size_t n = strlen(value);
    if (!*value || (!strchr("\"[({", *value) && number_form_of(value, n) == NO_NUMBER && !is_boolean(value, n))) {
        copy_quoted(&self, value, n); /* a word, or text with spaces */
        *self.to = '\0';
    } else {
        BASE_TRY(scan(&self));
    }
    int good = config_read_string(tree, copy) && config_setting_length(config_root_setting(tree)) == 1;
    return good ? BASE_OK : fail_syntax(&self, tree);
}
