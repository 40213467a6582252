#include "launch_job.h"

#include "base_time.h"
#include "launch_death.h"
#include "launch_output.h"
#include "launch_start.h"
#include "process_guard.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the others may take after the first has failed. MPIs end a job that lost a rank within a second, and ranks
 * that agree on an end come together; rank 0 may yet have to write the record. What was saved before is safe whenever
 * they are killed. */
static const double grace_lost_s = 10.0, grace_error_s = 20.0, grace_agreed_s = 60.0, grace_interrupt_s = 3.0,
                    grace_left_s = 1.0;

/* A busy machine may close the connection of a worker that has crashed after the MPI has ended the others. */
static const double together_s = 0.5;

/* A guard that does not end when it shall is stopped, or has a process that cannot be killed. */
static const double grace_guard_s = 5.0;

/* Of what was there when mpiexec ended; workers that it left may write on for ever. */
enum { EVENTS_MOST = 100000 };

/* What an event of epoll is about: from MEMBERS, HELPERS and OUTPUTS on with the number of which. */
enum { LISTENER, SIGNALS, ENDED, MEMBERS, HELPERS = 1 << 16, OUTPUTS = 1 << 17 };

typedef struct job {
    const launch_job_options *options;
    launch_signals *signals;
    launch_crew crew;
    launch_tree tree;
    launch_output *output;
    int epoll;
    int over;                          /* the guard is gone */
    int ending;                        /* all are being killed: what they do now is no failure */
    double join_by, kill_at, clear_at; /* s; infinite: not at all */
    double first_loss;                 /* s; when a worker was lost */
    int passed_on[NSIG];               /* signals that those who join later get too */
    launch_failure failure;
    int mpiexec_ended;
} job;

/* ---- failures and ends ---- */

static void kill_by(job *self, double seconds)
{
    double at = base_time_now() + seconds;
    if (at < self->kill_at)
        self->kill_at = at;
}

static void kill_now(job *self)
{
    self->ending = 1;
    self->kill_at = INFINITY;
    self->clear_at = base_time_now() + grace_guard_s;
    launch_start_cut(&self->tree);
}

/* The first alone counts: the others follow from it. */
static void note(job *self, const launch_failure *failure)
{
    if (self->failure.cause == LAUNCH_NONE && !self->ending)
        self->failure = *failure;
}

static void note_end(job *self, int index)
{
    int status = self->crew.members[index].status;
    if (status != BASE_OK) {
        note(self, &(launch_failure){.cause = LAUNCH_SPOKE, .index = index});
        kill_by(self, status == BASE_ERROR || status == BASE_PEER ? grace_error_s : grace_agreed_s);
    } else if (self->crew.spoken == self->crew.room) {
        kill_by(self, grace_agreed_s);
    }
}

static void note_loss(job *self, int index)
{
    const launch_member *member = &self->crew.members[index];
    double now = base_time_now();
    int first = self->failure.cause == LAUNCH_NONE;
    if (member->has_spoken || self->ending || (!first && now > self->first_loss + together_s))
        return;
    launch_failure failure = {.cause = LAUNCH_LOST, .index = index};
    failure.known = launch_death_read(member->pid, member->pidfd, &failure.wait_status);
    if (first)
        self->first_loss = now;
    if (first || launch_end_outranks(&failure, &self->failure))
        self->failure = failure;
    kill_by(self, grace_lost_s);
}

/* An mpiexec that was killed took its workers with it, who may have been heard of before it. One that ends a job
 * because of a worker is not killed, unless nobody wants to read what it says of that. */
static void note_mpiexec(job *self, const process_guard_end *end)
{
    launch_failure failure = {.cause = LAUNCH_MPIEXEC, .known = 1, .wait_status = end->status, .pid = end->program};
    if (WIFSIGNALED(end->status) && WTERMSIG(end->status) != SIGPIPE && !self->ending &&
        (self->failure.cause == LAUNCH_LOST || self->failure.cause == LAUNCH_HELPER))
        self->failure = failure;
    else if (self->crew.spoken < self->crew.room)
        note(self, &failure);
}

/* ---- events ---- */

static void watch(job *self, int fd, unsigned tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = tag};
    epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void on_listener(job *self)
{
    int helpers = self->crew.helper_count, index = launch_crew_accept(&self->crew, self->tree.guard);
    if (index >= 0)
        watch(self, self->crew.members[index].line, MEMBERS + (unsigned)index);
    if (self->crew.helper_count > helpers)
        watch(self, self->crew.helpers[helpers].pidfd, HELPERS + (unsigned)helpers);
}

static void on_helper(job *self, int index)
{
    const launch_helper *helper = &self->crew.helpers[index];
    launch_failure failure = {.cause = LAUNCH_HELPER, .pid = helper->pid};
    failure.known = launch_death_read(helper->pid, helper->pidfd, &failure.wait_status);
    if (!launch_crew_is_left(&self->crew, index))
        return;
    note(self, &failure);
    kill_by(self, grace_left_s);
}

static void take_output(job *self, int index, const int fds[2])
{
    if (fds[0] >= 0)
        launch_output_add(self->output, index, fds);
}

static void name_output(job *self, int index)
{
    const launch_member *member = &self->crew.members[index];
    if (member->rank >= 0)
        launch_output_name(self->output, index, member->rank);
}

static void on_joined(job *self, int index)
{
    const launch_member *member = &self->crew.members[index];
    for (int signal = 1; signal < NSIG; signal++)
        if (self->passed_on[signal])
            launch_death_signal(member->pid, member->pidfd, signal);
}

static void on_member(job *self, int index)
{
    int fds[2];
    launch_news news = launch_crew_hear(&self->crew, index, fds);
    take_output(self, index, fds);
    name_output(self, index);
    switch (news) {
    case LAUNCH_SILENT:
    case LAUNCH_NO_NEWS:
    case LAUNCH_HAS_BEGUN: break;
    case LAUNCH_HAS_JOINED: on_joined(self, index); break;
    case LAUNCH_HAS_SPOKEN: note_end(self, index); break;
    case LAUNCH_IS_GONE: note_loss(self, index); break;
    }
}

static void pass_on(job *self, int signal)
{
    self->passed_on[signal] = 1;
    launch_crew_signal(&self->crew, signal, 1);
}

static void interrupt(job *self)
{
    if (self->signals->interrupts > 1 || self->crew.joined < self->crew.room) {
        kill_now(self);
        return;
    }
    pass_on(self, SIGINT);
    kill_by(self, grace_interrupt_s);
}

/* The terminal does not reach the workers. They are stopped first, so that what they print does not come behind the
 * shell's prompt. */
static void stop_all(job *self)
{
    double began = base_time_now();
    launch_crew_signal(&self->crew, SIGSTOP, 0);
    raise(SIGSTOP);
    launch_crew_signal(&self->crew, SIGCONT, 0);
    double length = base_time_now() - began;
    self->join_by += length;
    self->kill_at += length;
}

static void on_signals(job *self)
{
    for (int signal; (signal = launch_signals_next(self->signals)) != 0;)
        switch (signal) {
        case SIGINT: interrupt(self); break;
        case SIGTSTP: stop_all(self); break;
        case SIGHUP: pass_on(self, SIGTERM); break;
        default: pass_on(self, signal); break;
        }
}

static int next_event(job *self, int timeout_ms);

/* What the workers did before mpiexec ended comes first; those that it left run on until the end of the life line. */
static void on_ended(job *self)
{
    process_guard_end end;
    ssize_t n = read(self->tree.ended, &end, sizeof end);
    if (n == (ssize_t)sizeof end) {
        for (int i = 0; i < EVENTS_MOST && next_event(self, 0); i++)
            continue;
        note_mpiexec(self, &end);
        self->mpiexec_ended = 1;
        kill_now(self);
    } else if (n == 0 || errno != EAGAIN) {
        self->over = 1;
    }
}

static void handle(job *self, unsigned tag)
{
    if (tag >= OUTPUTS)
        launch_output_move(self->output, tag - OUTPUTS);
    else if (tag >= HELPERS)
        on_helper(self, (int)(tag - HELPERS));
    else if (tag >= MEMBERS)
        on_member(self, (int)(tag - MEMBERS));
    else if (tag == LISTENER)
        on_listener(self);
    else if (tag == SIGNALS)
        on_signals(self);
    else
        on_ended(self);
}

/* ---- the wait ---- */

static void keep_time(job *self)
{
    double now = base_time_now();
    if (now >= self->clear_at)
        self->over = 1;
    if (now >= self->kill_at)
        kill_now(self);
    if (self->crew.joined == self->crew.room || self->crew.spoken > 0)
        self->join_by = INFINITY;
    if (now >= self->join_by) {
        note(self, &(launch_failure){.cause = LAUNCH_LATE});
        self->join_by = INFINITY;
        kill_now(self);
    }
}

static int wait_ms(const job *self)
{
    double at = fmin(fmin(self->join_by, self->kill_at), self->clear_at) - base_time_now();
    return at > 1000.0 ? 1000 * 1000 : at > 0.0 ? (int)(1000.0 * at) + 1 : 0;
}

/* One event at a time: epoll hands out in the order of their coming those that come together, which tells who was
 * first. */
static int next_event(job *self, int timeout_ms)
{
    struct epoll_event event;
    if (epoll_wait(self->epoll, &event, 1, timeout_ms) <= 0)
        return 0;
    handle(self, event.data.u32);
    return 1;
}

static void supervise(job *self)
{
    while (!self->over) {
        next_event(self, wait_ms(self));
        keep_time(self);
    }
    int status;
    launch_start_clear(&self->tree, &status);
    if (!self->mpiexec_ended)
        note(self, &(launch_failure){
                       .cause = LAUNCH_GUARD, .known = 1, .wait_status = status, .pid = (long)self->tree.guard});
}

/* What the workers said last. All have ended. */
static base_status hear_rest(job *self)
{
    int fds[2];
    self->ending = 1;
    for (int i = 0; i < self->crew.count; i++)
        for (launch_news news; (news = launch_crew_hear(&self->crew, i, fds)) != LAUNCH_SILENT;) {
            take_output(self, i, fds);
            name_output(self, i);
            if (news == LAUNCH_HAS_SPOKEN && self->crew.members[i].status != BASE_OK &&
                self->failure.cause == LAUNCH_NONE)
                self->failure = (launch_failure){.cause = LAUNCH_SPOKE, .index = i};
        }
    return launch_output_finish(self->output, &self->signals->before);
}

/* ---- start ---- */

static base_status prepare(job *self)
{
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot wait for events");
    BASE_TRY(launch_crew_open(self->options->workers, &self->crew));
    BASE_TRY(launch_output_create(self->options->workers, self->options->prefix, self->epoll, OUTPUTS, &self->output));
    setenv(LAUNCH_SOCKET_VARIABLE, self->crew.name, 1);
    BASE_TRY(launch_start(self->options->argv, &self->signals->before, &self->tree));
    watch(self, self->crew.listener, LISTENER);
    watch(self, self->signals->fd, SIGNALS);
    watch(self, self->tree.ended, ENDED);
    return BASE_OK;
}

base_status launch_job_run(const launch_job_options *options, launch_signals *signals, launch_end *end, char *folder)
{
    job self = {.options = options,
                .signals = signals,
                .crew = {.listener = -1},
                .epoll = -1,
                .join_by = base_time_now() + LAUNCH_JOIN_S,
                .kill_at = INFINITY,
                .first_loss = -INFINITY,
                .clear_at = INFINITY};
    base_status status = prepare(&self);
    if (status == BASE_OK) {
        supervise(&self);
        status = hear_rest(&self);
        launch_end_judge(&self.failure, &self.crew, signals, end);
        if (end->status != BASE_OK)
            status = BASE_OK; /* there is worse to tell */
        if (self.crew.folder[0])
            memcpy(folder, self.crew.folder, sizeof self.crew.folder);
    }
    launch_output_destroy(&self.output);
    launch_crew_close(&self.crew);
    if (self.epoll >= 0)
        close(self.epoll);
    return status;
}
