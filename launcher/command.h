/* command.h: the commands of the ddpt program. Each is one file, launcher/command_<name>.c, and one entry of the table
 * in main.c. A command parses its own options (getopt_long, argv[0] is the command's name) and returns the exit status;
 * failures are recorded (BASE_FAIL) and printed by main alone. One that has said on stdout what its status means clears
 * the record (base_status_clear), and main prints nothing. */
#ifndef COMMAND_H
#define COMMAND_H

#include "base_status.h"
#include "comm.h"

#include <jansson.h>
#include <stdio.h>

typedef struct command {
    const char *name;
    const char *summary; /* one line for `ddpt help` */
    const char *usage;   /* the text of `ddpt help NAME` and `ddpt NAME --help` */
    base_status (*run)(int argc, char **argv);
} command;

extern const command command_train;
extern const command command_eval;
extern const command command_scale;
extern const command command_report;
extern const command command_coordinator;
extern const command command_top;
extern const command command_ckpt;
extern const command command_summary;
extern const command command_bench;
extern const command command_doctor;
extern const command command_launch;

/* Ctrl-C ends the command in good order (run_signal.h). What asks a training for a checkpoint (SIGTERM, SIGUSR1,
 * SIGUSR2) just ends a command that has nothing to save. */
void command_catch_interrupt(void);

/* Say how this process ends, to the launcher or on stderr: what main does at the end, for who has to be heard before
 * others hear of it. Once: the first counts. Of a peer that has itself said that it is lost nothing is said again. */
void command_say_end(base_status status);

/* Another process says why this one ends. */
void command_leave_words(void);

/* With BASE_PEER this process stays so long, once it has said why, before it ends the whole job: another may be writing
 * what is left of it. */
void command_stay(int ms);

/* The program's command line in one string, for the record. */
const char *command_line(void);

/* Join the MPI job and tell the log who we are. The world is kept for main, which closes it on the way out; a second
 * call returns the same one. Collective. */
base_status command_open_world(comm_world **world);

/* 1 on the rank that speaks for all; before the world is open as far as the launcher's variables tell. */
int command_speaks(void);

/* Write `json` to stdout, indented, and release it. */
base_status command_print_json(json_t *json);

/* --share-gpus: from now on ranks of this process, and of those that it starts, may share a GPU (run_device.h). */
void command_share_gpus(void);

/* --set key=value, given any number of times. */
enum { COMMAND_SETS_MAX = 256 };
typedef struct command_sets {
    int count;
    const char *values[COMMAND_SETS_MAX];
} command_sets;
base_status command_sets_add(command_sets *self, const char *value);

/* The one operand of a command; BASE_USAGE with the command's name when it is missing or there are more. */
base_status command_operand(const char *name, const char *what, int argc, char **argv, int index, const char **operand);

/* What getopt_long returned '?' or ':' for. */
base_status command_bad_option(const char *name, char **argv, int index);

/* A whole number from `least` to `most`. */
base_status command_number(const char *option, const char *text, long long least, long long most, long long *value);

/* "1,2,4": whole numbers from `least` to `most`, at most `room` of them; they become ascending, each once. */
base_status command_list(const char *option, const char *text, int least, int most, int room, int *count, int *values);

/* A number above 0, at most 1. */
base_status command_share(const char *option, const char *text, double *value);

#endif
