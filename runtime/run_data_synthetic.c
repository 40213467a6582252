/* Random bytes and labels of the model's shape, for benchmarks: no file, the same on every machine. */
#include "base_random.h"
#include "run_data_source.h"

#include <stdio.h>
#include <string.h>

/* Apart from train.seed: the same data for every run. Sample s of the test split is number 2^31 + s. */
enum { DATA_SEED = 2026, TRAIN_SAMPLES = 60000, TEST_SAMPLES = 10000, LABELS_MAX = 256 };
static const uint32_t test_first = UINT32_C(1) << 31;

/* data.classes, or what the model tells apart: the units of its last dense layer. */
static int64_t class_count(const run_config *config)
{
    if (config->data.classes > 0)
        return config->data.classes;
    for (int i = config->model.layer_count - 1; i >= 0; i--)
        if (config->model.layers[i].type == RUN_LAYER_DENSE)
            return config->model.layers[i].units;
    return 10;
}

static base_status probe(const run_config *config, run_data_split split, run_data_plan *plan)
{
    int64_t given = split == RUN_DATA_TRAIN ? config->data.train_samples : config->data.test_samples;
    plan->samples = given > 0 ? given : split == RUN_DATA_TRAIN ? TRAIN_SAMPLES : TEST_SAMPLES;
    plan->shape = config->model.input;
    plan->classes = class_count(config);
    char shape[64];
    snprintf(plan->source, sizeof plan->source, "synthetic (random, %s)", base_shape_text(plan->shape, shape));
    if (plan->samples > INT32_MAX)
        return BASE_FAIL(BASE_USAGE, "%s: %lld synthetic samples, at most %d are allowed", run_data_where(config),
                         (long long)plan->samples, INT32_MAX);
    return run_data_check_size(BASE_USAGE, plan->source, plan->samples, plan->shape);
}

static void draw_bytes(const base_random *random, uint32_t sample, uint8_t *to, int64_t count)
{
    uint32_t block = 0, words[4];
    for (int64_t at = 0; at < count; at += (int64_t)sizeof words) {
        base_random_block(random, sample, ++block, words);
        memcpy(to + at, words, count - at < (int64_t)sizeof words ? (size_t)(count - at) : sizeof words);
    }
}

static base_status fill(const run_config *config, run_data_split split, const run_data_plan *plan,
                        const run_data_part *part)
{
    (void)config;
    const base_random random = base_random_stream(DATA_SEED, BASE_STREAM_DATA, 0);
    const int64_t count = base_shape_count(plan->shape);
    const uint32_t labels = plan->classes < LABELS_MAX ? (uint32_t)plan->classes : LABELS_MAX;
    const int64_t end = plan->samples * (part->part + 1) / part->parts;
    for (int64_t i = plan->samples * part->part / part->parts; i < end; i++) {
        uint32_t sample = (uint32_t)i + (split == RUN_DATA_TEST ? test_first : 0), words[4];
        base_random_block(&random, sample, 0, words);
        part->labels[i] = (uint8_t)((uint64_t)words[0] * labels >> 32);
        draw_bytes(&random, sample, part->pixels + i * count, count);
    }
    return BASE_OK;
}

/* Uniform over 0 .. 1: mean 1/2, deviation 1/sqrt(12). */
static const float uniform_mean[] = {0.5f}, uniform_deviation[] = {0.2887f};

const run_data_source run_data_source_synthetic = {
    .probe = probe, .fill = fill, .mean = uniform_mean, .deviation = uniform_deviation, .channels = 1};
