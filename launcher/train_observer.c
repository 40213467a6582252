#include "train_observer.h"

#include "base_log.h"
#include "coordinator_server.h"
#include "telemetry_sender.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

/* How long the end of a run may wait for its last summary to leave, and ranks that wait for a lost one may leave it to
 * the coordinator to say which it is. */
enum { LINGER_MS = 500, GRACE_MS = 1000 };

/* What rank 0 hands to all. */
typedef struct invitation {
    int valid;
    char run_id[33];
    coordinator_key key;
} invitation;

struct train_observer {
    comm_world *world;
    invitation invitation;
    int alone; /* the coordinator is not ours */
    coordinator_server *server;
    telemetry_sender *sender;
    char key_file[PATH_MAX]; /* coordinator.json; "": none was written */
};

static base_status find_coordinator(train_observer *self, const char *address)
{
    if (!address || comm_world_get_info(self->world)->rank != 0)
        return BASE_OK;
    return coordinator_key_find(address, &self->invitation.key);
}

base_status train_observer_create(comm_world *world, const char *address, train_observer **out)
{
    train_observer *self = calloc(1, sizeof *self);
    base_status status = self ? BASE_OK : BASE_FAIL(BASE_ERROR, "out of memory for the coordinator");
    status = comm_world_agree(world, status);
    if (status == BASE_OK) {
        self->world = world;
        self->alone = address != NULL;
        status = comm_world_agree(world, find_coordinator(self, address));
    }
    if (status != BASE_OK) {
        free(self);
        return status;
    }
    *out = self;
    return BASE_OK;
}

static base_status make_run_id(char id[33])
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return BASE_FAIL(BASE_ERROR, "the system gives no random numbers for the run's name");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return BASE_OK;
}

/* Rank 0. */
static base_status invite(train_observer *self, const run_monitor_run *run, int nodes)
{
    BASE_TRY(make_run_id(self->invitation.run_id));
    if (!self->alone) {
        coordinator_server_options options = {.tcp = nodes > 1};
        BASE_TRY(coordinator_server_create(&options, &self->server));
        self->invitation.key = *coordinator_server_key(self->server);
    }
    self->invitation.valid = 1;
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/coordinator.json", run->folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return BASE_FAIL(BASE_ERROR, "the name of the run's folder is too long for coordinator.json in it");
    BASE_TRY(coordinator_key_write(path, &self->invitation.key));
    snprintf(self->key_file, sizeof self->key_file, "%s", path);
    return BASE_OK;
}

static void begin(void *context, run_job *job, const run_monitor_run *run)
{
    train_observer *self = context;
    if (job->info.rank == 0 && invite(self, run, job->info.nodes) != BASE_OK)
        BASE_WARN("%s: %s", self->invitation.valid ? "ddpt top will not find this run" : "the run has no coordinator",
                  base_status_message());
    base_status_clear();
    if (comm_world_bcast(job->world, &self->invitation, sizeof self->invitation, 0) != BASE_OK ||
        !self->invitation.valid)
        return;
    telemetry_sender_options options = {
        .coordinator = &self->invitation.key, .run_id = self->invitation.run_id, .run = run, .monitor = job->monitor};
    if (telemetry_sender_start(&options, &self->sender) == BASE_OK) {
        atomic_store(&run_monitor_alarm(job->monitor)->grace_ms, GRACE_MS);
        return;
    }
    BASE_RANK_WARN("the coordinator will not hear of this rank: %s", base_status_message());
    base_status_clear();
}

static void end(void *context, base_status status)
{
    train_observer *self = context;
    telemetry_sender_stop(&self->sender, status, LINGER_MS);
    coordinator_server_destroy(&self->server);
    if (self->key_file[0])
        unlink(self->key_file);
    self->key_file[0] = '\0';
}

run_observer train_observer_hooks(train_observer *self)
{
    return (run_observer){.context = self, .begin = begin, .end = end};
}

void train_observer_destroy(train_observer **self)
{
    if (!*self)
        return;
    end(*self, BASE_OK);
    free(*self);
    *self = NULL;
}
