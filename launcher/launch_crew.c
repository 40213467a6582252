#include "launch_crew.h"

#include "launch_death.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- the socket ---- */

static base_status listen_here(launch_crew *self)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    unsigned long long id = 0;
    if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
        return BASE_FAIL(BASE_ERROR, "the system gives no random numbers for the name of a socket");
    int length = snprintf(self->name, sizeof self->name, "ddpt-launch-%ld-%016llx", (long)getpid(), id);
    memcpy(address.sun_path + 1, self->name, (size_t)length);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    self->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->listener < 0 || bind(self->listener, (const struct sockaddr *)&address, size) != 0 ||
        listen(self->listener, self->room) != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot listen to the workers");
    return BASE_OK;
}

base_status launch_crew_open(int workers, launch_crew *self)
{
    *self = (launch_crew){.listener = -1, .room = workers};
    self->members = calloc((size_t)workers, sizeof *self->members);
    self->helpers = calloc((size_t)workers, sizeof *self->helpers);
    base_status status =
        self->members && self->helpers ? listen_here(self) : BASE_FAIL(BASE_ERROR, "out of memory for the workers");
    if (status != BASE_OK)
        launch_crew_close(self);
    return status;
}

static void close_line(launch_member *member)
{
    if (member->line >= 0)
        close(member->line);
    member->line = -1;
}

static void close_helper(launch_helper *helper)
{
    if (helper->pidfd >= 0)
        close(helper->pidfd);
    helper->pidfd = -1;
}

void launch_crew_close(launch_crew *self)
{
    for (int i = 0; i < self->count; i++) {
        close_line(&self->members[i]);
        if (self->members[i].pidfd >= 0)
            close(self->members[i].pidfd);
        free(self->members[i].text);
    }
    for (int i = 0; i < self->helper_count; i++)
        close_helper(&self->helpers[i]);
    free(self->members);
    free(self->helpers);
    if (self->listener >= 0)
        close(self->listener);
    *self = (launch_crew){.listener = -1};
}

/* ---- who comes ---- */

static pid_t parent_of(pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    const char *behind = strrchr(text, ')'); /* the name may hold anything */
    long parent = 0;
    return behind && sscanf(behind, ") %*c %ld", &parent) == 1 ? (pid_t)parent : 0;
}

static int descends_from(pid_t pid, pid_t ancestor)
{
    while (pid > 1 && pid != ancestor)
        pid = parent_of(pid);
    return pid == ancestor;
}

/* Hydra's mpiexec does not notice when its proxy is killed, and the workers run on without a stdout. */
static int find_helper(launch_crew *self, pid_t pid, pid_t guard)
{
    pid_t parent = parent_of(pid);
    if (parent <= 1 || parent == guard)
        return -1;
    for (int i = 0; i < self->helper_count; i++)
        if (self->helpers[i].pid == parent)
            return i;
    int pidfd = launch_death_open(parent);
    if (pidfd < 0)
        return -1;
    self->helpers[self->helper_count] = (launch_helper){.pid = parent, .pidfd = pidfd};
    return self->helper_count++;
}

int launch_crew_accept(launch_crew *self, pid_t guard)
{
    struct ucred who = {0};
    socklen_t size = sizeof who;
    int line = accept4(self->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (line < 0)
        return -1;
    if (self->count == self->room || getsockopt(line, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 ||
        who.uid != geteuid() || !descends_from(who.pid, guard) || send(line, "", 1, MSG_NOSIGNAL) != 1) {
        close(line);
        return -1;
    }
    self->members[self->count] = (launch_member){.line = line,
                                                 .pid = who.pid,
                                                 .pidfd = launch_death_open(who.pid),
                                                 .helper = find_helper(self, who.pid, guard),
                                                 .rank = -1};
    return self->count++;
}

int launch_crew_is_left(launch_crew *self, int index)
{
    int left = 0;
    for (int i = 0; i < self->count; i++)
        left |= self->members[i].helper == index && self->members[i].line >= 0 && !self->members[i].has_spoken;
    close_helper(&self->helpers[index]);
    return left;
}

/* ---- what they say ---- */

static void take_fds(struct msghdr *packet, int fds[2])
{
    fds[0] = fds[1] = -1;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(packet); part; part = CMSG_NXTHDR(packet, part))
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS &&
            part->cmsg_len == CMSG_LEN(2 * sizeof(int)))
            memcpy(fds, CMSG_DATA(part), 2 * sizeof(int));
}

/* Bytes of the next message, 0 at the end of the connection, -1: nothing now. */
static ssize_t receive(int line, launch_message *message, int fds[2])
{
    struct iovec part = {.iov_base = message, .iov_len = sizeof *message};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } rights;
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    ssize_t n;
    while ((n = recvmsg(line, &packet, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        continue;
    if (n < 0)
        return errno == EAGAIN ? -1 : 0;
    take_fds(&packet, fds);
    message->text[sizeof message->text - 1] = '\0';
    return n;
}

static launch_news take(launch_crew *self, launch_member *member, const launch_message *message)
{
    if (message->rank >= 0)
        member->rank = message->rank;
    switch (message->kind) {
    case LAUNCH_BEGUN: return LAUNCH_HAS_BEGUN;
    case LAUNCH_JOINED:
        self->joined += !member->joined;
        member->joined = 1;
        return LAUNCH_HAS_JOINED;
    case LAUNCH_FOLDER: snprintf(self->folder, sizeof self->folder, "%s", message->text); return LAUNCH_NO_NEWS;
    case LAUNCH_ENDED:
        self->spoken += !member->has_spoken;
        member->has_spoken = 1;
        member->status = message->status;
        free(member->text);
        member->text = strdup(message->text);
        return LAUNCH_HAS_SPOKEN;
    default: return LAUNCH_NO_NEWS;
    }
}

launch_news launch_crew_hear(launch_crew *self, int index, int fds[2])
{
    launch_member *member = &self->members[index];
    launch_message message = {0};
    fds[0] = fds[1] = -1;
    if (member->line < 0)
        return LAUNCH_SILENT;
    ssize_t n = receive(member->line, &message, fds);
    if (n == 0) {
        close_line(member);
        return LAUNCH_IS_GONE;
    }
    if (n < 0)
        return LAUNCH_SILENT;
    if (n < (ssize_t)offsetof(launch_message, text) + 1)
        return LAUNCH_NO_NEWS;
    return take(self, member, &message);
}

void launch_crew_signal(const launch_crew *self, int signal, int joined_alone)
{
    for (int i = 0; i < self->count; i++) {
        const launch_member *member = &self->members[i];
        if (member->line >= 0 && !member->has_spoken && (member->joined || !joined_alone))
            launch_death_signal(member->pid, member->pidfd, signal);
    }
}
