#include "scale_options.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_LEAST = 2, STEPS_MOST = 1000000 };

/* ---- command line ---- */

static base_status parse_number(const char *option, const char *text, long long least, long long most, int64_t *value)
{
    long long parsed = 0;
    BASE_TRY(command_number(option, text, least, most, &parsed));
    *value = parsed;
    return BASE_OK;
}

static base_status parse_repeats(const char *text, int *repeats)
{
    int64_t parsed = 0;
    BASE_TRY(parse_number("--repeats", text, 1, SCALE_REPEATS_MAX, &parsed));
    *repeats = (int)parsed;
    return BASE_OK;
}

/* --strong and --weak need no case: getopt has stored them. */
static base_status take(int c, char **argv, scale_options *self)
{
    switch (c) {
    case 0: return BASE_OK;
    case 'w':
        return command_list("--workers", optarg, 1, SCALE_WORKERS_MAX, SCALE_POINTS_MAX, &self->worker_count,
                            self->workers);
    case 'p':
        return command_list("--predict", optarg, 1, SCALE_WORKERS_MAX, SCALING_PREDICTION_MAX, &self->predict_count,
                            self->predict);
    case 'n': return parse_number("--steps", optarg, STEPS_LEAST, STEPS_MOST, &self->steps);
    case 'r': return parse_repeats(optarg, &self->repeats);
    case 'e': return command_share("--target-efficiency", optarg, &self->target_efficiency);
    case 's': return command_sets_add(&self->sets, optarg);
    case 'o': self->out = optarg; return BASE_OK;
    case 'l': self->launcher = optarg; return BASE_OK;
    case 't': self->trials_only = optarg; return BASE_OK;
    case 'h': self->help = 1; return BASE_OK;
    default: return command_bad_option("scale", argv, optind);
    }
}

static base_status check_together(const scale_options *self, int strong, int weak)
{
    if (strong && weak)
        return BASE_FAIL(BASE_USAGE, "--strong and --weak exclude each other");
    if ((self->out && !*self->out) || (self->trials_only && !*self->trials_only))
        return BASE_FAIL(BASE_USAGE, "--out and --trials-only: the name is empty");
    if (self->launcher && !strstr(self->launcher, "{n}"))
        return BASE_FAIL(BASE_USAGE,
                         "--launcher = '%s': {n} must stand where the number of workers goes, e.g. 'srun -n {n}'",
                         self->launcher);
    return BASE_OK;
}

base_status scale_options_parse(int argc, char **argv, scale_options *self)
{
    int strong = 0, weak = 0;
    *self = (scale_options){.repeats = 3, .target_efficiency = 0.7};
    const struct option known[] = {{"workers", required_argument, NULL, 'w'},
                                   {"strong", no_argument, &strong, 1},
                                   {"weak", no_argument, &weak, 1},
                                   {"steps", required_argument, NULL, 'n'},
                                   {"repeats", required_argument, NULL, 'r'},
                                   {"set", required_argument, NULL, 's'},
                                   {"out", required_argument, NULL, 'o'},
                                   {"launcher", required_argument, NULL, 'l'},
                                   {"target-efficiency", required_argument, NULL, 'e'},
                                   {"predict", required_argument, NULL, 'p'},
                                   {"oversubscribe", no_argument, &self->oversubscribe, 1},
                                   {"share-gpus", no_argument, &self->share_gpus, 1},
                                   {"json", no_argument, &self->json, 1},
                                   {"trials-only", required_argument, NULL, 't'},
                                   {"help", no_argument, NULL, 'h'},
                                   {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":w:n:s:o:h", known, NULL)) != -1;) {
        BASE_TRY(take(c, argv, self));
        if (self->help)
            return BASE_OK;
    }
    BASE_TRY(check_together(self, strong, weak));
    self->mode = weak ? SCALING_WEAK : SCALING_STRONG;
    return command_operand("scale", "a config file", argc, argv, optind, &self->config);
}

/* ---- numbers of workers ---- */

void scale_options_complete(scale_options *self, int most)
{
    if (self->worker_count > 0)
        return;
    for (int n = 1; n < most; n *= 2)
        self->workers[self->worker_count++] = n;
    self->workers[self->worker_count++] = most;
}

int64_t scale_options_batch(const scale_options *self, const run_config *config, int workers)
{
    return self->mode == SCALING_WEAK ? config->train.batch * workers : config->train.batch;
}

base_status scale_options_check(const scale_options *self, const run_config *config)
{
    int most = self->workers[self->worker_count - 1];
    if (self->mode == SCALING_STRONG && most > config->train.batch)
        return BASE_FAIL(BASE_USAGE,
                         "%s: train.batch = %" PRId64 " is the global batch, of which each of %d workers needs at "
                         "least one sample: name fewer with --workers, raise the batch with --set, or scale with "
                         "--weak",
                         config->path, config->train.batch, most);
    if (self->mode == SCALING_WEAK && config->train.batch > INT32_MAX / most)
        return BASE_FAIL(BASE_USAGE,
                         "%s: train.batch = %" PRId64 " is the batch of one worker: that of %d together is too large",
                         config->path, config->train.batch, most);
    return BASE_OK;
}

/* ---- words ---- */

/* Copies the word at *text, which is not blank, to `word`; 0: a quote has no end. */
static int take_word(const char **text, char *word)
{
    char quote = '\0';
    const char *c = *text;
    for (; *c && (quote || !strchr(" \t\n", *c)); c++) {
        if (quote ? *c == quote : *c == '\'' || *c == '"')
            quote = quote ? '\0' : *c;
        else if (*c == '\\' && quote != '\'' && c[1])
            *word++ = *++c;
        else
            *word++ = *c;
    }
    *word = '\0';
    *text = c;
    return !quote;
}

base_status scale_options_words(const char *text, base_arena *arena, int *count, char ***words)
{
    size_t length = strlen(text);
    char **list = BASE_NEW_ARRAY(arena, char *, length / 2 + 2);
    *count = 0;
    for (const char *rest = text + strspn(text, " \t\n"); list && *rest; rest += strspn(rest, " \t\n")) {
        char *word = BASE_NEW_ARRAY(arena, char, strlen(rest) + 1);
        if (!word)
            return BASE_ERROR;
        if (!take_word(&rest, word))
            return BASE_FAIL(BASE_USAGE, "'%s': a quote has no end", text);
        list[(*count)++] = word;
    }
    if (!list)
        return BASE_ERROR;
    if (*count == 0)
        return BASE_FAIL(BASE_USAGE, "'%s' names no program", text);
    *words = list;
    return BASE_OK;
}
