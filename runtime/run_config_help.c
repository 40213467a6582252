/* --help-config, from the option table. */
#include "run_config_option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_WIDTH = 100, INDENT = 8 };

/* `text` in lines of LINE_WIDTH, broken at spaces. */
static void print_wrapped(FILE *out, const char *text)
{
    size_t width = LINE_WIDTH - INDENT;
    while (*text) {
        size_t n = strlen(text);
        if (n > width) {
            n = width;
            while (n > 1 && text[n] != ' ')
                n--;
        }
        fprintf(out, "%*s%.*s\n", INDENT, "", (int)n, text);
        text += n;
        text += strspn(text, " ");
    }
}

/* "[dense, conv2d] " before a key that not all variants have. */
static void print_variants(FILE *out, const run_option_group *group, const run_option *option)
{
    const char *separator = "  [";
    for (int v = 0; option->variants && group->variants[v]; v++) {
        if (!run_option_applies(option, v))
            continue;
        fprintf(out, "%s%s", separator, group->variants[v]);
        separator = ", ";
    }
    if (option->variants)
        fputs("]", out);
}

static void print_option(FILE *out, const run_option_group *group, const run_option *option)
{
    char wants[512];
    run_option_wants(option, wants, sizeof wants);
    int quoted =
        option->type == RUN_OPTION_ENUM || option->type == RUN_OPTION_WORD || option->type == RUN_OPTION_STRING;
    fprintf(out, "    %s", option->key);
    if (option->initial)
        fprintf(out, quoted ? " = \"%s\"" : " = %s", option->initial);
    else if (option->initial_note)
        fprintf(out, "  (default: %s)", option->initial_note);
    else
        fputs("  (required)", out);
    if (option->unit)
        fprintf(out, "  in %s", option->unit);
    print_variants(out, group, option);
    fprintf(out, "\n%*s%s\n", INDENT, "", wants);
    print_wrapped(out, option->help);
}

char *run_config_help(void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fputs(
        "A configuration is text in libconfig's syntax. Every key is listed with its default, unit, the variants that\n"
        "have it in [ ], the values allowed and what it does. `--set train.batch=256` changes a key, and\n"
        "`--set model.layers.0.units=64` one of the first layer.\n",
        out);
    for (const run_option_group *const *g = run_option_groups; *g; g++) {
        fprintf(out, "\n%s%s%s\n", (*g)->path, *(*g)->path ? ": " : "", (*g)->help);
        for (const run_option *o = (*g)->options; o->key; o++)
            print_option(out, *g, o);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
