#include "launch_options.h"

#include "command.h"
#include "launch_restart.h"

#include <getopt.h>
#include <string.h>

enum { WINDOW_MOST_S = 365 * 24 * 3600, DELAY_MOST_S = 24 * 3600 };

static base_status parse_number(const char *option, int least, int most, int *value)
{
    long long parsed = 0;
    BASE_TRY(command_number(option, optarg, least, most, &parsed));
    *value = (int)parsed;
    return BASE_OK;
}

static base_status parse_bind(launch_options *self)
{
    self->bind = strcmp(optarg, "auto") == 0;
    if (!self->bind && strcmp(optarg, "none") != 0)
        return BASE_FAIL(BASE_USAGE, "--bind = '%s': must be auto or none", optarg);
    return BASE_OK;
}

static base_status take(int c, char **argv, launch_options *self)
{
    switch (c) {
    case 'n': return parse_number("-n", 1, LAUNCH_WORKERS_MAX, &self->workers);
    case 'g': self->gpus_text = optarg; return launch_gpus_parse(optarg, &self->gpus);
    case 'b': return parse_bind(self);
    case 'r': return parse_number("--restarts", 0, LAUNCH_RESTARTS_MAX, &self->restarts);
    case 'w': return parse_number("--restart-window", 1, WINDOW_MOST_S, &self->restart_window_s);
    case 'd': return parse_number("--restart-delay", 0, DELAY_MOST_S, &self->restart_delay_s);
    case 'p': self->prefix = 1; return BASE_OK;
    case 'h': self->help = 1; return BASE_OK;
    default: return command_bad_option("launch", argv, optind);
    }
}

/* Commands that run as an MPI job: of the others each worker would do the same. */
static base_status check_command(const launch_options *self)
{
    static const char *const jobs[] = {"train", "eval", "scale", "bench"};
    if (self->word_count == 0)
        return BASE_FAIL(BASE_USAGE,
                         "ddpt launch needs a command, e.g. ddpt launch -n 4 train mnist.cfg; see: ddpt help "
                         "launch");
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
        if (strcmp(self->words[0], jobs[i]) == 0)
            return self->restarts == 0 || i == 0
                       ? BASE_OK
                       : BASE_FAIL(BASE_USAGE,
                                   "--restarts is for train, which has checkpoints to go on from, not for %s", jobs[i]);
    return BASE_FAIL(BASE_USAGE,
                     "'%s' is no command that several workers do together: train, eval, scale and bench are",
                     self->words[0]);
}

base_status launch_options_parse(int argc, char **argv, launch_options *self)
{
    static const struct option known[] = {{"workers", required_argument, NULL, 'n'},
                                          {"gpus", required_argument, NULL, 'g'},
                                          {"bind", required_argument, NULL, 'b'},
                                          {"restarts", required_argument, NULL, 'r'},
                                          {"restart-window", required_argument, NULL, 'w'},
                                          {"restart-delay", required_argument, NULL, 'd'},
                                          {"prefix", no_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *self = (launch_options){.bind = 1, .restart_window_s = 3600, .restart_delay_s = 1};
    opterr = 0;
    /* The first word that is no option is the command: what is behind it is its own. */
    for (int c; (c = getopt_long(argc, argv, "+:n:h", known, NULL)) != -1;) {
        BASE_TRY(take(c, argv, self));
        if (self->help)
            return BASE_OK;
    }
    self->words = argv + optind;
    self->word_count = argc - optind;
    return check_command(self);
}
