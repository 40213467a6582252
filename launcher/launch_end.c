#include "launch_end.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static base_status own_status(int status)
{
    switch (status) {
    case BASE_OK:
    case BASE_USAGE:
    case BASE_DATA:
    case BASE_CKPT:
    case BASE_DEVICE:
    case BASE_PEER:
    case BASE_DIVERGED:
    case BASE_STOPPED:
    case BASE_INTERRUPTED: return (base_status)status;
    default: return BASE_ERROR;
    }
}

static int was_killed(const launch_failure *failure)
{
    if (!failure->known || !WIFSIGNALED(failure->wait_status))
        return 0;
    int signal = WTERMSIG(failure->wait_status);
    return signal == SIGKILL || signal == SIGTERM;
}

static int crashed(const launch_failure *failure)
{
    if (!failure->known || was_killed(failure))
        return 0;
    return WIFSIGNALED(failure->wait_status) || own_status(WEXITSTATUS(failure->wait_status)) == BASE_ERROR;
}

int launch_end_outranks(const launch_failure *later, const launch_failure *first)
{
    return first->cause == LAUNCH_LOST && was_killed(first) && crashed(later);
}

/* ---- a worker that said how it ends ---- */

static int has_words(const launch_member *member)
{
    return member->text && *member->text;
}

/* All workers together ended with `status`? *first becomes the one of the lowest rank. Who was only told of another's
 * end has no words, and is not one of those who know why. */
static int agreed(const launch_crew *crew, int status, const launch_member **first)
{
    int same = 0;
    for (int i = 0; i < crew->count; i++) {
        const launch_member *member = &crew->members[i];
        if (!member->has_spoken || member->status != status || has_words(member) != has_words(*first))
            continue;
        same++;
        if (member->rank < (*first)->rank)
            *first = member;
    }
    return same == crew->room;
}

static void judge_spoken(const launch_member *member, const launch_crew *crew, launch_end *end)
{
    end->status = own_status(member->status);
    int all = agreed(crew, member->status, &member);
    /* A rank that a coordinator has told of another has said so at once. */
    if (!has_words(member))
        snprintf(end->text, sizeof end->text, "worker %d (pid %ld) ended the job (%s), as is said above", member->rank,
                 (long)member->pid, base_status_name(end->status));
    else if (all)
        snprintf(end->text, sizeof end->text, "%s", member->text);
    else
        snprintf(end->text, sizeof end->text, "worker %d (pid %ld): %.*s", member->rank, (long)member->pid,
                 (int)sizeof end->text - 64, member->text);
}

/* ---- a process that was lost ---- */

static const char *hint(int signal)
{
    return signal == SIGKILL ? "; dmesg tells whether memory ran out" : "";
}

static void describe(char *text, size_t size, const char *who, long pid, const launch_failure *failure)
{
    int status = failure->wait_status;
    if (failure->known && WIFSIGNALED(status))
        snprintf(text, size, "%s (pid %ld) was killed by signal %d (%s)%s", who, pid, WTERMSIG(status),
                 strsignal(WTERMSIG(status)), hint(WTERMSIG(status)));
    else if (failure->known)
        snprintf(text, size, "%s (pid %ld) ended with status %d without a word", who, pid, WEXITSTATUS(status));
    else
        snprintf(text, size, "%s (pid %ld) ended without a word: it was killed, or crashed", who, pid);
}

/* Was it one of the signals that the launcher passed on? Before it is caught it ends a worker that has nothing to save.
 */
static int is_ours(const launch_failure *failure, const launch_signals *signals)
{
    if (!failure->known || !WIFSIGNALED(failure->wait_status))
        return !failure->known && signals->stop;
    int signal = WTERMSIG(failure->wait_status);
    return signals->stop && (signal == SIGTERM || signal == SIGUSR1 || signal == SIGUSR2);
}

static void judge_lost(const launch_failure *failure, const launch_member *member, const launch_signals *signals,
                       launch_end *end)
{
    char who[32] = "a worker";
    if (member->rank >= 0)
        snprintf(who, sizeof who, "worker %d", member->rank);
    end->status = BASE_PEER;
    if (is_ours(failure, signals)) {
        end->status = BASE_INTERRUPTED;
        snprintf(end->text, sizeof end->text, "ended by %s, with nothing to save", launch_signals_name(signals->stop));
        return;
    }
    /* Some ends, as that of a second Ctrl-C, have no time for words. */
    int status = failure->known && WIFEXITED(failure->wait_status) ? WEXITSTATUS(failure->wait_status) : 0;
    if (status != 0 && own_status(status) != BASE_ERROR)
        end->status = own_status(status);
    if (status == BASE_INTERRUPTED)
        snprintf(end->text, sizeof end->text, "interrupted");
    else
        describe(end->text, sizeof end->text, who, (long)member->pid, failure);
}

static void judge_mpiexec(const launch_failure *failure, const launch_crew *crew, launch_end *end)
{
    end->status = crew->count > 0 ? BASE_PEER : BASE_ERROR;
    if (WIFSIGNALED(failure->wait_status))
        describe(end->text, sizeof end->text, "mpiexec", failure->pid, failure);
    else
        snprintf(end->text, sizeof end->text, "mpiexec (pid %ld) ended with status %d, %s", failure->pid,
                 WEXITSTATUS(failure->wait_status),
                 crew->count == 0 ? "and no worker had begun" : "while its workers were at work");
}

void launch_end_judge(const launch_failure *failure, const launch_crew *crew, const launch_signals *signals,
                      launch_end *end)
{
    const launch_member *member = &crew->members[failure->index];
    *end = (launch_end){.status = BASE_OK};
    switch (failure->cause) {
    case LAUNCH_NONE: break;
    case LAUNCH_SPOKE: judge_spoken(member, crew, end); break;
    case LAUNCH_LOST: judge_lost(failure, member, signals, end); break;
    case LAUNCH_MPIEXEC: judge_mpiexec(failure, crew, end); break;
    case LAUNCH_HELPER:
        end->status = BASE_PEER;
        describe(end->text, sizeof end->text, "mpiexec's helper", failure->pid, failure);
        break;
    case LAUNCH_GUARD:
        end->status = BASE_PEER;
        describe(end->text, sizeof end->text, "the launcher's guard", failure->pid, failure);
        break;
    case LAUNCH_LATE:
        end->status = BASE_ERROR;
        snprintf(end->text, sizeof end->text, "of %d workers %d had joined after %d s", crew->room, crew->joined,
                 LAUNCH_JOIN_S);
        break;
    }
    /* Those who were killed at the end of their time had no say. */
    int incomplete = end->status != BASE_OK || crew->spoken < crew->room;
    if (signals->interrupts > 0 && incomplete && end->status != BASE_INTERRUPTED) {
        end->status = BASE_INTERRUPTED;
        snprintf(end->text, sizeof end->text, "interrupted");
    }
    /* A rank that was lost, or an error of the system, may not come again. Usage, data, checkpoints, devices and
     * numbers will be the same at the next try, and a job that was told to end shall end. */
    end->may_restart =
        (end->status == BASE_PEER || end->status == BASE_ERROR) && !signals->stop && signals->interrupts == 0;
}
