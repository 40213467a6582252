/* report_sweep.h: a scaling experiment as a file: scaling.json, schema ddpt.scaling.v1. Local.
 *
 * The file holds the trials with every length of a step, so that everything else in it can be computed again: reading
 * takes the trials and the options and leaves the results. Times are in ms, except in `trials` and `alpha_beta`, which
 * have seconds as in scaling.h. Numbers are written with as few digits as bring back the same double. null: not known,
 * or not finite (a bound that the data do not give).
 *
 *     schema, mode ("strong", "weak"), name, config_digest, config, environment, gradient_bytes, oversubscribe
 *     options        {target_efficiency, predict [workers], seed}
 *     points         [{workers, trials, batch, step_ms, step_ms_interval [low, high], samples_per_second,
 *                      speedup, speedup_interval, efficiency, efficiency_interval, karp_flatt,
 *                      phases_ms {data, forward, backward, update, other, imbalance, reduce},
 *                      slowest_rank, slower {data, ...}, shares_cores, fitted}]
 *     amdahl         {parallel_fraction, interval, max_speedup, max_speedup_interval, t1_ms}, or null
 *     gustafson      {serial_fraction, interval}, or null
 *     usl            {contention, contention_interval, coherency, coherency_interval, peak_workers,
 *                     peak_workers_interval, t1_ms}, or null
 *     alpha_beta     {alpha_s, alpha_s_interval, beta_s_per_byte, beta_s_per_byte_interval}, or null
 *     causes         [{name, fraction, rank, slower}]; causes_total: what the fractions add up to: the serial
 *                    fraction, or 1 where the law is refused since more workers make a step longer
 *     prediction     [{workers, step_ms, step_ms_interval, efficiency, interval}]
 *     worth          {target_efficiency, workers, interval, most, beyond}, or null; `most`: the largest number of
 *                    workers that was looked at; an interval that ends with null goes on beyond it
 *     speedup_reason, amdahl_reason, gustafson_reason, usl_reason, alpha_beta_reason, causes_reason, prediction_reason,
 *     worth_reason:  why there is none; null where there is one. speedup_reason: why speedups and efficiencies of the
 *                    points are null, or say nothing
 *     trials         [{workers, repeat, batch, nodes, threads, cores, steps, step_s, steps_s [...], parts_s {data,
 * ...}, slowest_rank, slower {data, ...}, allreduce [{bytes, seconds}]}]
 *
 * `environment.warnings`, a list of texts, is shown in the report: what whoever made the trials has to say about them.
 */
#ifndef REPORT_SWEEP_H
#define REPORT_SWEEP_H

#include "scaling.h"

/* The text of scaling.json; malloc'd, the caller frees; NULL with a recorded failure when memory is short. */
char *report_sweep_text(const scaling_sweep *sweep, const scaling_options *options, const scaling_analysis *analysis);

/* Read the trials and the options of `path`, a scaling.json or the folder of one. `sweep` and `options` are filled from
 * nothing; after a failure there is nothing to clear. BASE_DATA: no such file, no JSON (with the line), or not such a
 * file (with the key and what was there). */
base_status report_sweep_read(const char *path, scaling_sweep *sweep, scaling_options *options);

/* 1 if there is a file `name` in the folder `folder`. */
int report_sweep_has(const char *folder, const char *name);

/* May a report be written to `folder`, which need not be there? BASE_USAGE for that of a run, which would become an
 * experiment's and could not be reported on any more. */
base_status report_sweep_check_out(const char *folder);

#endif
