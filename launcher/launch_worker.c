#include "launch_worker.h"

#include "base_log.h"
#include "launch_message.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hwloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HIGH_FD = 200 }; /* above what an MPI opens, below what any system allows */

static int line = -1; /* to the launcher */
static int own_rank = -1;

/* ---- messages ---- */

/* `fds`: two to send along, or NULL. */
static int send_message(launch_kind kind, int status, const char *text, const int *fds)
{
    launch_message message = {.kind = (int)kind, .rank = own_rank, .status = status};
    size_t length = strnlen(text, sizeof message.text - 1);
    memcpy(message.text, text, length);
    struct iovec part = {.iov_base = &message, .iov_len = offsetof(launch_message, text) + length + 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } rights = {.header = {.cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
    if (fds) {
        memcpy(CMSG_DATA(&rights.header), fds, 2 * sizeof(int));
        packet.msg_control = &rights;
        packet.msg_controllen = sizeof rights;
    }
    ssize_t n;
    while ((n = sendmsg(line, &packet, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        continue;
    return n >= 0;
}

/* ---- the beginning ---- */

static int rank_of_environment(void)
{
    static const char *const names[] = {"PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = getenv(names[i]);
        if (text && *text >= '0' && *text <= '9')
            return (int)strtol(text, NULL, 10);
    }
    return -1;
}

static int hear(void)
{
    char byte;
    ssize_t n;
    while ((n = recv(line, &byte, 1, 0)) < 0 && errno == EINTR)
        continue;
    return n > 0;
}

/* The launcher never sends anything more: what comes is its end. */
static void *watch(void *unused)
{
    (void)unused;
    while (hear())
        continue;
    _exit(BASE_PEER);
}

static int start_watch(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_attr_init(&attributes);
    if (!failed) {
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        failed = pthread_create(&thread, &attributes, watch, NULL);
        pthread_attr_destroy(&attributes);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static base_status gone(void)
{
    line = -1;
    return BASE_FAIL(BASE_PEER,
                     "the launcher of this worker is gone, or does not know it (" LAUNCH_SOCKET_VARIABLE ")");
}

/* Linux closes what a process that dies leaves open from the highest number down: the launcher is to hear of it before
 * the MPI does, who kills the others, so that it knows who was first. */
static void move_up(void)
{
    int moved = fcntl(line, F_DUPFD_CLOEXEC, HIGH_FD);
    if (moved < 0)
        return;
    close(line);
    line = moved;
}

static base_status connect_to(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strnlen(name, sizeof address.sun_path - 1);
    memcpy(address.sun_path + 1, name, length);
    line = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (line < 0 || connect(line, (const struct sockaddr *)&address,
                            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)) != 0)
        return gone();
    move_up();
    return BASE_OK;
}

/* Until the launcher has answered, stdout and stderr stay what they were: it may not know this process, and nobody
 * would read why it ends. */
static base_status introduce(void)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1};
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot make a pipe");
    int ends[2] = {out[0], err[0]};
    int good = send_message(LAUNCH_BEGUN, 0, "", ends) && hear() && dup2(out[1], STDOUT_FILENO) >= 0 &&
               dup2(err[1], STDERR_FILENO) >= 0;
    close(out[0]);
    close(out[1]);
    close(err[0]);
    close(err[1]);
    return good ? BASE_OK : gone();
}

base_status launch_worker_begin(void)
{
    const char *name = getenv(LAUNCH_SOCKET_VARIABLE);
    if (!name || !*name)
        return BASE_OK;
    own_rank = rank_of_environment();
    BASE_TRY(connect_to(name));
    BASE_TRY(introduce());
    if (start_watch() != 0)
        return BASE_FAIL(BASE_ERROR, "cannot start the thread that watches the launcher");
    return BASE_OK;
}

/* ---- cores ---- */

/* The part of "a;b;c" that is for node rank `index`; 0: there is none. */
static int part_of(const char *text, int index, char *part, size_t size)
{
    for (; index > 0 && text; index--) {
        text = strchr(text, ';');
        text += text != NULL;
    }
    if (!text)
        return 0;
    size_t length = strcspn(text, ";");
    if (length == 0 || length >= size)
        return 0;
    memcpy(part, text, length);
    part[length] = '\0';
    return 1;
}

static int read_cores(const char *text, cpu_set_t *cores)
{
    hwloc_bitmap_t list = hwloc_bitmap_alloc();
    int good = list && hwloc_bitmap_list_sscanf(list, text) == 0, cpu = -1;
    CPU_ZERO(cores);
    while (good && (cpu = hwloc_bitmap_next(list, cpu)) >= 0 && cpu < CPU_SETSIZE)
        CPU_SET((size_t)cpu, cores);
    hwloc_bitmap_free(list);
    return CPU_COUNT(cores) > 0;
}

/* Libraries have started threads by now. One that has ended meanwhile is no failure. */
static int take_cores(const cpu_set_t *cores)
{
    DIR *tasks = opendir("/proc/self/task");
    for (const struct dirent *entry; tasks && (entry = readdir(tasks));)
        if (entry->d_name[0] != '.')
            sched_setaffinity((pid_t)strtol(entry->d_name, NULL, 10), sizeof *cores, cores);
    if (tasks)
        closedir(tasks);
    return sched_setaffinity(0, sizeof *cores, cores) == 0;
}

static void bind_cores(int node_rank)
{
    const char *all = getenv(LAUNCH_CORES_VARIABLE);
    char own[1024];
    cpu_set_t cores;
    if (!all || !*all)
        return;
    if (!part_of(all, node_rank, own, sizeof own) || !read_cores(own, &cores) || !take_cores(&cores))
        BASE_RANK_WARN("cannot take the cores that the launcher has for this worker (" LAUNCH_CORES_VARIABLE
                       "): it uses all");
}

/* ---- later ---- */

void launch_worker_join(const comm_world_info *info)
{
    if (line < 0)
        return;
    own_rank = info->rank;
    bind_cores(info->node_rank);
    send_message(LAUNCH_JOINED, 0, "", NULL);
}

void launch_worker_tell_folder(const char *folder)
{
    if (line >= 0)
        send_message(LAUNCH_FOLDER, 0, folder, NULL);
}

int launch_worker_tell_end(base_status status, const char *message)
{
    return line >= 0 && send_message(LAUNCH_ENDED, (int)status, message, NULL);
}
