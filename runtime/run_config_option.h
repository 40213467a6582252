/* run_config_option.h: the option table behind run_config.h, and what parse, --set, echo and help share.
 *
 * Private to run_config_*.c and their test. Every key is one run_option; the keys of one { } are one run_option_group.
 * A group may come in variants (layer types, optimizers): its first option then selects the variant.
 */
#ifndef RUN_CONFIG_OPTION_H
#define RUN_CONFIG_OPTION_H

#include "run_config.h"

#include <libconfig.h>

typedef enum run_option_type {
    RUN_OPTION_INT,     /* int64_t or uint64_t below 2^63 */
    RUN_OPTION_FLOAT,   /* float */
    RUN_OPTION_DOUBLE,  /* double */
    RUN_OPTION_BOOL,    /* int */
    RUN_OPTION_ENUM,    /* an enum: the word's index in `words` */
    RUN_OPTION_WORD,    /* const char *: one of `words` */
    RUN_OPTION_STRING,  /* const char *, not empty; NULL: not given */
    RUN_OPTION_STRINGS, /* const char *const *, NULL-terminated; NULL: not given */
    RUN_OPTION_FLOATS,  /* const float *, its length in the int at count_offset; NULL: not given */
    RUN_OPTION_PAIR,    /* int64_t[2]; {0, 0}: not given */
    RUN_OPTION_SHAPE,   /* base_shape */
    RUN_OPTION_LAYERS   /* the list of model.layers, in a run_config_model */
} run_option_type;

typedef struct run_option {
    const char *key;
    run_option_type type;
    uint32_t variants;        /* bit v: variant v of the group has this key; 0: all have */
    size_t offset;            /* of the field in the group's struct */
    size_t count_offset;      /* RUN_OPTION_FLOATS */
    const char *initial;      /* the default as one would write it; NULL: required, or not given */
    const char *initial_note; /* what help says where the default is not one value */
    int required;
    double least, most;          /* numbers: the range */
    int above_least, below_most; /* 1: that end of the range is not part of it */
    const char *const *words;
    const char *unit;
    int execution; /* 1: how a run is executed, recorded or how long it is, not its mathematics: not in the digest */
    const char *help;
} run_option;

typedef struct run_option_group run_option_group;
struct run_option_group {
    const char *name; /* its key in the group above */
    const char *path; /* "train.optimizer"; "model.layers" stands for one entry of the list */
    const char *help;
    const run_option *options;               /* ends with key NULL */
    const char *const *variants;             /* words of the first option; NULL: the group has no variants */
    const run_option_group *const *children; /* ends with NULL; NULL: none */
    size_t offset;                           /* of its struct in the one of the group above */
    int execution;
};

extern const run_option_group run_option_root;
extern const run_option_group run_option_layer;
/* All groups, the root and the layers too, in the order of the help; ends with NULL. */
extern const run_option_group *const run_option_groups[];

/* Does variant `variant` of the option's group have it? */
static inline int run_option_applies(const run_option *option, int variant)
{
    return !option->variants || (option->variants >> variant & 1u);
}

/* The variant that is selected in the group's struct; 0 for a group without variants. */
int run_option_variant(const run_option_group *group, const void *fields);

/* What a message calls its configuration, and where the strings of a configuration live. */
typedef struct run_config_source {
    const char *path;
    base_arena *arena;
} run_config_source;

/* Record a failure at `setting`, or at key `key` of the group `setting` where key is not NULL, whether it is there or
 * not: "x.cfg:12: train.batch = -4: <text>", "--set train.batch=-4: <text>" for what a --set brought. */
base_status run_config_fail(const run_config_source *source, const config_setting_t *setting, const char *key,
                            const char *fmt, ...) BASE_PRINTF(4, 5);

/* Record `text` with control characters made visible as '?', so that it stays one line. */
base_status run_config_fail_line(const char *text);

/* printf to the end of `text`, which has room for `size` bytes; cuts. */
void run_config_append(char *text, size_t size, const char *fmt, ...) BASE_PRINTF(3, 4);

/* Fails for member `key` of `setting`, which is no key of this group in this variant, with a suggestion. */
base_status run_config_fail_unknown(const run_config_source *source, const run_option_group *group, int variant,
                                    const config_setting_t *setting, const char *key);

/* The candidate that `word` was likely meant to be, or NULL; candidates end with NULL. */
const char *run_config_nearest(const char *word, const char *const *candidates);

/* "an integer from 1 to 128", "one of auto, cpu, gpu"; into `text`. */
void run_option_wants(const run_option *option, char *text, size_t size);
/* "from 1 to 128"; empty where there is no range. */
void run_option_range(const run_option *option, char *text, size_t size);

/* Check `setting` and store it in the option's field of `fields`; strings are copied to the source's arena. */
base_status run_option_store(const run_config_source *source, const run_option *option, const config_setting_t *setting,
                             void *fields);
/* Store the option's default. */
void run_option_store_initial(const run_option *option, void *fields);

/* Read `text` into `tree` (initialised by the caller) as libconfig would, but: numbers that do not fit are errors or
 * become 64-bit integers instead of wrapping around, [ ] may mix 1 and 0.5, includes, unclosed strings and comments are
 * errors. */
base_status run_config_text_read(const run_config_source *source, const char *text, config_t *tree);
/* The same for a value of --set, as setting `value` of the tree. Words need no quotes. `set` is the whole argument. */
base_status run_config_text_read_value(const run_config_source *source, const char *set, const char *value,
                                       config_t *tree);

/* Put "key.path=value" into the tree. The settings that it makes carry `set` as their hook, for messages. */
base_status run_config_set(const run_config_source *source, const char *set, config_t *tree);

/* Checks that need more than one key; the tree is for messages. */
base_status run_config_check(const run_config_source *source, const run_config *config, const config_setting_t *root);

/* Sets echo and digest. */
base_status run_config_echo(run_config *self);

#endif
