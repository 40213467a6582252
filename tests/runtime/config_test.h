/* config_test.h: what the tests of run_config share. */
#ifndef CONFIG_TEST_H
#define CONFIG_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run_config_option.h"

/* libconfig 1.5 forgets the token at which it stops with a syntax error; LeakSanitizer asks for this function. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig\n";
}

/* The least configuration; more lines may follow it. */
#define CONFIG_LEAST                                                                                                   \
    "data = { format = \"digits\"; };\n"                                                                               \
    "model = { input = [1, 28, 28]; layers = ( { type = \"dense\"; units = 10; } ); };\n"

static inline run_config *config_of_sets(const char *text, int count, const char *const *sets)
{
    run_config *config;
    base_status status = run_config_parse("x.cfg", text, count, sets, &config);
    if (status != BASE_OK)
        fail_msg("%s", base_status_message());
    return config;
}

static inline run_config *config_of(const char *text)
{
    return config_of_sets(text, 0, NULL);
}

static inline run_config *config_with(const char *set)
{
    return config_of_sets(CONFIG_LEAST, 1, &set);
}

/* Parsing fails as a usage error with exactly this message; `set` may be NULL. */
static inline void expect_error(const char *text, const char *set, const char *message)
{
    run_config *config;
    assert_int_equal(run_config_parse("x.cfg", text, set != NULL, &set, &config), BASE_USAGE);
    assert_null(config);
    assert_string_equal(base_status_message(), message);
}

#endif
