#include "comm_launcher.h"
#include "comm_native.h"
#include "comm_node.h"
#include "comm_table.h"

#include "base_log.h"
#include "base_time.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* How long the end may take: a healthy one takes milliseconds. */
static const comm_patience close_patience = {.timeout_ms = 20 * 1000, .nap_max_ms = COMM_NAP_MS};
enum { WATCHDOG_S = 30 };

/* Of ranks that rest: nobody waits for them to wake up soon. */
enum { REST_NAP_MS = 20, STAY_NAP_MS = 10 };

/* A nap of 20 us shall not become one of 70: the kernel rounds up by this much. */
enum { TIMER_SLACK_NS = 1000 };

static void describe(comm_world_info *info, const char *launcher)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(version, &length);
    snprintf(info->library, sizeof info->library, "%.*s", (int)strcspn(version, "\n"), version);
    for (char *c = info->library; *c; c++) /* MPICH separates with tabs */
        if (*c == '\t')
            *c = ' ';
    snprintf(info->launcher, sizeof info->launcher, "%s", launcher);
    if (gethostname(info->host, sizeof info->host) != 0)
        snprintf(info->host, sizeof info->host, "unknown");
    info->host[sizeof info->host - 1] = '\0';
}

static base_status check_count(const comm_world_info *info, const comm_launcher *launcher)
{
    if (!launcher->variable || launcher->size == info->size)
        return BASE_OK;
    return BASE_FAIL(BASE_ERROR,
                     "the launcher started %d processes (%s), but MPI sees %d: the launcher and the MPI library "
                     "(%s) belong to different MPIs; start ddpt with the mpiexec or srun plug-in of that library",
                     launcher->size, launcher->variable, info->size, info->library);
}

static base_status begin_mpi(comm_world *world)
{
    int started = 0, ended = 0, provided = 0;
    COMM_NATIVE_TRY(MPI_Finalized(&ended), "MPI_Finalized");
    if (ended)
        return BASE_FAIL(BASE_ERROR,
                         "MPI has been finalized in this process and cannot start again: a program that trains more "
                         "than once calls MPI_Init itself, before the first run");
    COMM_NATIVE_TRY(MPI_Initialized(&started), "MPI_Initialized");
    if (!started)
        COMM_NATIVE_TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    world->began = !started;
    COMM_NATIVE_TRY(MPI_Comm_rank(MPI_COMM_WORLD, &world->info.rank), "MPI_Comm_rank");
    COMM_NATIVE_TRY(MPI_Comm_size(MPI_COMM_WORLD, &world->info.size), "MPI_Comm_size");
    return BASE_OK;
}

static base_status connect_node(comm_world *world)
{
    int node = 0;
    BASE_TRY(comm_node_find(world, &node));
    world->node = world->all;
    /* A blocking collective: there is no other call for it, and all ranks have just met in the gather. */
    if (world->info.nodes > 1)
        COMM_NATIVE_TRY(MPI_Comm_split(world->all, node, world->info.rank, &world->node), "MPI_Comm_split");
    return BASE_OK;
}

/* What a world needs once it has its communicator. */
static base_status equip(comm_world *world, comm_roll *above)
{
    COMM_NATIVE_TRY(MPI_Comm_set_errhandler(world->all, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    if (world->info.size > 1 && comm_roll_open(world, above, &world->patience.roll) != BASE_OK)
        comm_world_no_memory(world);
    return connect_node(world);
}

static base_status connect(comm_world *world)
{
    MPI_Request request;
    COMM_NATIVE_TRY(MPI_Comm_idup(MPI_COMM_WORLD, &world->all, &request), "MPI_Comm_idup");
    BASE_TRY(comm_native_wait(&request, 1, &world->patience, "MPI_Comm_idup"));
    return equip(world, NULL);
}

base_status comm_world_open(comm_world **self)
{
    comm_world *world = calloc(1, sizeof *world);
    if (!world)
        return BASE_FAIL(BASE_ERROR, "out of memory for the world of ranks");
    world->all = world->node = MPI_COMM_NULL;
    world->patience = comm_patience_setup;
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
    comm_launcher launcher = comm_launcher_detect();
    base_status status = begin_mpi(world);
    if (status == BASE_OK) {
        describe(&world->info, launcher.name);
        base_log_set_rank(world->info.rank, world->info.size);
        /* The same on all ranks that see each other, so no agreement is needed. */
        status = check_count(&world->info, &launcher);
    }
    if (status == BASE_OK)
        status = connect(world);
    if (status != BASE_OK) {
        comm_world_close(&world, status);
        return base_status_frame(status, __FILE__, __LINE__);
    }
    *self = world;
    return BASE_OK;
}

base_status comm_world_split(comm_world *self, int count, comm_world **part)
{
    *part = NULL;
    comm_world *world = calloc(1, sizeof *world);
    if (!world)
        comm_world_no_memory(self);
    world->info = self->info;
    world->patience = comm_patience_setup;
    world->all = world->node = MPI_COMM_NULL;
    int member = self->info.rank < count;
    world->info.size = count < self->info.size ? count : self->info.size;
    /* It blocks, so all ranks come to it at the same time. */
    BASE_TRY(comm_native_barrier(self->all, &self->patience));
    COMM_NATIVE_TRY(MPI_Comm_split(self->all, member ? 0 : MPI_UNDEFINED, self->info.rank, &world->all),
                    "MPI_Comm_split");
    if (!member) {
        free(world);
        return BASE_OK;
    }
    *part = world;
    return equip(world, self->patience.roll);
}

void comm_world_set_patience(comm_world *self, int timeout_ms, const base_alarm *alarm)
{
    self->patience.timeout_ms = timeout_ms != 0 ? timeout_ms : comm_patience_setup.timeout_ms;
    self->patience.alarm = alarm;
}

comm_roll *comm_world_roll(const comm_world *self)
{
    return self->patience.roll;
}

base_status comm_world_rest(comm_world *self, const comm_rest *rest)
{
    const comm_patience patience = {
        .timeout_ms = rest->timeout_ms, .nap_max_ms = REST_NAP_MS, .rest = rest, .roll = self->patience.roll};
    return comm_native_barrier(self->all, &patience);
}

const comm_world_info *comm_world_get_info(const comm_world *self)
{
    return &self->info;
}

/* ---- lost ranks ---- */

void comm_world_lose(comm_world *self, const char *why)
{
    comm_roll_lose(self->patience.roll, why);
}

const char *comm_world_lost(const comm_world *self)
{
    return comm_roll_lost(self->patience.roll);
}

void comm_world_stay(comm_world *self, int ms)
{
    const struct timespec nap = {.tv_nsec = STAY_NAP_MS * 1000000L};
    for (double end = base_time_now() + 1e-3 * ms;;) {
        comm_roll_take(self->patience.roll);
        if (base_time_now() >= end)
            return;
        nanosleep(&nap, NULL);
    }
}

/* ---- the end ---- */

static _Noreturn void leave(int status)
{
    fflush(NULL);
    _exit(status);
}

static void *watch(void *status)
{
    struct timespec rest = {.tv_sec = WATCHDOG_S};
    while (nanosleep(&rest, &rest) != 0)
        ;
    leave(*(int *)status);
}

/* From here on the process ends with `status` within WATCHDOG_S, whatever the library does. */
static void start_watchdog(int status)
{
    static int kept;
    pthread_t thread;
    kept = status;
    if (pthread_create(&thread, NULL, watch, &kept) == 0)
        pthread_detach(thread);
}

/* What equip and connect have given to it. */
static void strip(comm_world *world)
{
    comm_roll_close(&world->patience.roll);
    if (world->node != world->all)
        MPI_Comm_free(&world->node);
    if (world->all != MPI_COMM_NULL)
        MPI_Comm_free(&world->all);
}

static void end_mpi(comm_world *world, int status)
{
    const comm_world_info *info = &world->info;
    start_watchdog(status);
    /* A rank that is missing here would hang the others in MPI_Finalize. */
    if (world->all != MPI_COMM_NULL && comm_native_barrier(world->all, &close_patience) != BASE_OK)
        leave(status ? status : BASE_PEER);
    if (info->nodes > 1 && strstr(info->library, "MPICH"))
        leave(status);
    strip(world);
    MPI_Finalize();
}

void comm_world_close(comm_world **self, int status)
{
    if (!*self)
        return;
    comm_world *world = *self;
    if (world->began)
        end_mpi(world, status);
    else
        strip(world);
    free(world);
    *self = NULL;
}

_Noreturn void comm_world_abort(comm_world *self, int status)
{
    (void)self; /* the job is one, whichever world of it asks */
    start_watchdog(status);
    fflush(NULL);
    int started = 0, ended = 0;
    MPI_Initialized(&started);
    MPI_Finalized(&ended);
    if (started && !ended)
        MPI_Abort(MPI_COMM_WORLD, status);
    leave(status);
}

void comm_world_no_memory(comm_world *world)
{
    BASE_RANK_ERROR("out of memory in the set-up of %d ranks", world->info.size);
    comm_world_abort(world, BASE_ERROR);
}

/* ---- together ---- */

base_status comm_world_agree(comm_world *self, base_status status)
{
    return comm_native_agree(self, self->all, status);
}

base_status comm_world_bcast(comm_world *self, void *data, size_t nbytes, int root)
{
    if (self->info.size == 1)
        return BASE_OK;
    return comm_native_bcast(self->all, data, nbytes, root, &self->patience);
}

base_status comm_world_all_gather(comm_world *self, const void *mine, size_t nbytes, void *all)
{
    if (self->info.size == 1) {
        memcpy(all, mine, nbytes);
        return BASE_OK;
    }
    return comm_native_all_gather(self->all, mine, nbytes, all, &self->patience);
}
