/* run_job.h: everything that a training run consists of, built from a configuration in the order of the data flow:
 * device, data, group, graph, reverse graph, plan, network, synchronisation, batches. The step loop (run_step.h) works
 * on it.
 */
#ifndef RUN_JOB_H
#define RUN_JOB_H

#include "base_arena.h"
#include "base_device.h"
#include "base_pool.h"
#include "comm.h"
#include "ops.h"
#include "run_config.h"
#include "run_data.h"
#include "run_device.h"
#include "run_feed.h"
#include "run_flight.h"
#include "run_monitor.h"
#include "run_net.h"
#include "run_plan.h"
#include "run_reduce.h"
#include "run_replay.h"
#include "run_sampler.h"

typedef enum run_job_purpose { RUN_JOB_TRAIN, RUN_JOB_EVALUATE } run_job_purpose;

/* What only training needs is NULL in a job that evaluates: train_data, reduce, train_feed. */
typedef struct run_job {
    comm_world *world;        /* borrowed */
    const run_config *config; /* borrowed */
    run_job_purpose purpose;
    comm_world_info info;
    char rank_name[16]; /* "rank-3", as failpoints call it */
    base_arena *arena;
    run_data *train_data, *test_data;
    const run_graph *graph;
    const run_backward *backward;
    const run_fuse_node *fuse; /* one for each node */
    const run_plan *plan;
    int threads; /* of this rank */
    int cores;   /* distinct cores that the ranks of all nodes may run on */
    base_pool *pool;
    run_device_choice choice;
    const base_device_table *device_table;
    base_device *device;
    base_stream *stream;
    const ops_table *ops;
    ops_context *context;
    comm_group *group;
    int sharded;
    run_monitor *monitor; /* of a training */
    run_net *net;
    run_reduce *reduce;
    run_sampler train_sampler, test_sampler;
    run_feed *train_feed, *test_feed;
    run_flight *flight; /* losses on their way back from the device */
    run_replay *replay;
    int64_t steps_per_epoch;
    int64_t total_steps; /* epochs and max_steps applied */
    int64_t step_offset; /* step s of the run is number s + step_offset of its epochs' steps: 0 but for a run that went
                            on with another batch */
} run_job;

/* Collective. On failure all ranks return the same status with the first failing rank's message, and `self` may be
 * destroyed. */
base_status run_job_create(comm_world *world, const run_config *config, run_job_purpose purpose, run_job *self);
void run_job_destroy(run_job *self); /* Collective */

/* Collective. The parts of the set-up that concern the device: which (run_device.h), with what it can do; opening it
 * with its tables; the group over it. BASE_DEVICE, on all alike, for what the chosen device cannot do. */
base_status run_job_choose_device(run_job *self);
base_status run_job_open_device(run_job *self);
base_status run_job_join_group(run_job *self);

/* Local, once the job is built. What a failure of the device means for the job: this rank is lost, of which the others
 * know nothing until they are told (comm_world_lose). BASE_DEVICE becomes BASE_PEER with the GPU's name and place; any
 * other status stays. Of ranks that are lost together the lowest is to speak: one that hears of another in the moments
 * that this takes fails with that one's words. */
base_status run_job_lose_device(const run_job *self, base_status status);

/* Local. The same of steps and evaluations, where whatever is neither agreed on nor a peer's is a failure of this rank:
 * of several ranks none goes on without it. A rank alone keeps its status, but that of a device. */
base_status run_job_lose_rank(const run_job *self, base_status status);

/* Local. 1: BASE_PEER is what another process has said, or a coordinator: this one need not say it again. */
int run_job_was_told(const run_job *self);

/* Local. How large a data set may be to be kept on the device. */
size_t run_job_resident_bytes(const run_job *self);

/* Collective. Threads for this rank: cores in its affinity mask over the ranks of its node whose masks share a core
 * with it, at least 1; `cores` as in run_job. */
base_status run_job_threads(comm_world *world, int *threads, int *cores);

/* Local. Distinct cores that this process may run on. */
int run_job_cores(void);

/* Local. Sets total_steps from train.epochs, train.max_steps and step_offset. */
void run_job_limit_steps(run_job *self);

/* Local. 1: from now on waits for other ranks end as those of the step loop do, by train.stall_timeout and the alarm of
 * who watches; 0: as in the set-up. */
void run_job_set_patience(run_job *self, int running);

/* Local. What bounds a wait of the step loop: train.stall_timeout (or COMM_FOREVER) and the alarm (or NULL). */
int run_job_wait_bound_ms(const run_job *self);
const base_alarm *run_job_wait_alarm(const run_job *self);

/* Gradients that a bucket holds at least, in bytes (run_plan_build): train.bucket_mb, or what suits the model. */
size_t run_job_bucket_bytes(const run_config *config, const run_graph *graph);

/* Collective. Is `text` (of up to 31 characters) the same on all ranks? *differs: the first rank whose is not rank 0's,
 * or 0. */
base_status run_job_compare(comm_world *world, const char *text, int *differs);

/* Collective. Rank 0 reads the file, all ranks parse its text (run_config_parse) and agree on the outcome. */
base_status run_job_read_config(comm_world *world, const char *path, int set_count, const char *const *sets,
                                run_config **config);

#endif
