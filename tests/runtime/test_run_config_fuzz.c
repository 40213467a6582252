/* run_config: damaged configurations are refused with one line, or accepted as something that says itself what it is.
 *
 * Meant for the sanitizer preset above all. The examples are mutated by a fixed sequence of Philox numbers, so that a
 * failure comes again: it prints its text.
 */
#include "config_test.h"

#include "base_random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CASES = 20000, TEXT_MAX = 8192 };

/* What is put in: marks and words of the grammar, and values that stand at some edge. */
static const char *const pieces[] = {"{",
                                     "}",
                                     "(",
                                     ")",
                                     "[",
                                     "]",
                                     ";",
                                     ",",
                                     "=",
                                     "\"",
                                     "\\",
                                     "/*",
                                     "*/",
                                     "//",
                                     "#",
                                     "@",
                                     "\n",
                                     "\r",
                                     "\xff",
                                     "\xc3\xa9",
                                     "\x01",
                                     "-1",
                                     "0",
                                     "1e999",
                                     "1e-99",
                                     "0x",
                                     "0xfL",
                                     "2147483648",
                                     "9223372036854775808",
                                     "-9223372036854775808",
                                     ".",
                                     "L",
                                     "true",
                                     "nan",
                                     "type",
                                     "\"add\"",
                                     "units",
                                     "inputs",
                                     "layers",
                                     "train",
                                     "\"\"",
                                     "()",
                                     "{}",
                                     "[[",
                                     "@include",
                                     "a.b",
                                     "kernel = (0, 1);",
                                     "inputs = [\"input\", \"input\"];",
                                     "name = \"input\";",
                                     "type = \"concat\";"};

typedef struct dice {
    uint32_t number, at, words[4];
} dice;

static uint32_t roll(dice *self, uint32_t below)
{
    if (self->at % 4 == 0) {
        const base_random random = base_random_stream(7, BASE_STREAM_DATA, 0);
        base_random_block(&random, self->number, self->at / 4, self->words);
    }
    return self->words[self->at++ % 4] % below;
}

/* Replace text[from, from + n) with `piece`, if there is room. */
static void replace(char *text, size_t from, size_t n, const char *piece)
{
    size_t length = strlen(text), size = strlen(piece);
    if (length - n + size >= TEXT_MAX)
        return;
    memmove(text + from + size, text + from + n, length - from - n + 1);
    memcpy(text + from, piece, size);
}

static void mutate(dice *d, char *text)
{
    uint32_t length = (uint32_t)strlen(text);
    if (!length)
        return;
    uint32_t from = roll(d, length), most = length - from;
    const char *piece = pieces[roll(d, sizeof pieces / sizeof *pieces)];
    char copy[64];
    uint32_t n = roll(d, most < 40 ? most + 1 : 40);
    switch (roll(d, 5)) {
    case 0: replace(text, from, 0, piece); break;
    case 1: replace(text, from, n, ""); break;
    case 2: replace(text, from, n, piece); break;
    case 3: /* a piece of the text somewhere else */
        snprintf(copy, sizeof copy, "%.*s", (int)n, text + from);
        replace(text, roll(d, length), 0, copy);
        break;
    default: text[from] = (char)(1 + roll(d, 255));
    }
}

static void parse_one(const char *text, int set_count, const char *const *sets)
{
    run_config *c;
    base_status status = run_config_parse("x.cfg", text, set_count, sets, &c);
    const char *message = base_status_message();
    if (status == BASE_OK) {
        assert_int_equal(strlen(c->digest), 16);
        run_config_destroy(&c);
    } else if (status != BASE_USAGE || c || !*message || strchr(message, '\n')) {
        fail_msg("status %d, message %s, for:\n%s", (int)status, message, text);
    }
}

static char *read_example(const char *name)
{
    char path[512], *text = calloc(1, TEXT_MAX);
    assert_non_null(text);
    snprintf(path, sizeof path, "%s/%s.cfg", DDPT_EXAMPLES, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(text, 1, TEXT_MAX - 1, file);
    fclose(file);
    assert_true(n > 0 && n < TEXT_MAX - 1);
    return text;
}

static void damaged_files_never_crash(void **state)
{
    (void)state;
    static const char *const names[] = {"digits", "mnist-cnn", "cifar10"};
    size_t before = base_arena_bytes();
    for (size_t e = 0; e < 3; e++) {
        char *original = read_example(names[e]), text[TEXT_MAX];
        for (uint32_t i = 0; i < CASES / 3; i++) {
            dice d = {.number = (uint32_t)e * CASES + i};
            strcpy(text, original);
            for (uint32_t times = 1 + roll(&d, 4); times; times--)
                mutate(&d, text);
            parse_one(text, 0, NULL);
        }
        free(original);
    }
    assert_int_equal(base_arena_bytes(), before);
}

static void damaged_sets_never_crash(void **state)
{
    (void)state;
    static const char *const sets[] = {"train.optimizer.lr=0.5",
                                       "model.layers.0.units=64",
                                       "data.mean=[0.5, 1, 2]",
                                       "out=some where",
                                       "train={batch=4;optimizer={type=adamw}}",
                                       "model.layers=({type=dense;units=3},{type=add;inputs=[input,dense1]})"};
    for (uint32_t i = 0; i < CASES / 4; i++) {
        char text[TEXT_MAX];
        dice d = {.number = i, .at = 1024};
        strcpy(text, sets[i % (sizeof sets / sizeof *sets)]);
        for (uint32_t times = 1 + roll(&d, 3); times; times--)
            mutate(&d, text);
        const char *set = text;
        parse_one(CONFIG_LEAST, 1, &set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_files_never_crash),
        cmocka_unit_test(damaged_sets_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
