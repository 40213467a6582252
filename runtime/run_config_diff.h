/* run_config_diff.h: what two configurations differ in, as lines to read. Local. */
#ifndef RUN_CONFIG_DIFF_H
#define RUN_CONFIG_DIFF_H

#include "base_arena.h"
#include "base_status.h"

#include <jansson.h>

/* Compare `there`, the text of another run's echo (a manifest's config_json), with `here` (run_config.echo). With
 * `shaping_only` the keys are left out that say how a run is executed, recorded or how long it is: those that are not
 * in the digest. A key that this version does not know counts as one that shapes the mathematics.
 *
 *     train.batch = 128 there, 64 here
 *     data.mean = none there, [0.5] here          none: the configuration leaves it open
 *     model.layers.1.type = "dense" there, "dropout" here
 *     model.layers.3 only here (dense "dense2")   layers are matched by name and numbered from 0
 *     train.optimizer.epsilon only there (1e-8)   a key that the other version does not have
 *
 * Where a type differs, keys that only one of the types has are left out. `lines` has `count` entries in `arena`, none
 * with a line break in it. BASE_CKPT: `there` is not the text of a JSON object. */
base_status run_config_diff(const char *there, const json_t *here, int shaping_only, base_arena *arena,
                            const char *const **lines, int *count);

/* The same for two such texts and all keys; `left` and `right` take the place of "there" and "here": "in A", "in B". */
base_status run_config_diff_texts(const char *there, const char *here, const char *left, const char *right,
                                  base_arena *arena, const char *const **lines, int *count);

#endif
