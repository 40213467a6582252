/* The binary version of CIFAR-10: records of one label byte and 3 planes of 32 x 32 bytes, any number of files.
 *
 * Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009, and the data set's page.
 */
#include "run_data_file.h"
#include "run_data_source.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, CHANNELS = 3, PIXELS = PLANE * CHANNELS, RECORD = 1 + PIXELS, CHUNK = 64 };

/* ---- probe ---- */

/* The default files in one folder; the archive unpacks into a folder of its own. */
static int find_defaults(const char *folder, run_data_split split, run_data_plan *plan)
{
    static const char *const train[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                        "data_batch_4.bin", "data_batch_5.bin", NULL};
    static const char *const test[] = {"test_batch.bin", "test_batch_1000.bin", NULL};
    static const char *const inside[] = {"", "cifar-10-batches-bin/"};
    int count = 0;
    for (int f = 0; f < 2 && count == 0; f++) {
        for (const char *const *name = split == RUN_DATA_TRAIN ? train : test; *name; name++) {
            char path[64];
            snprintf(path, sizeof path, "%s%s", inside[f], *name);
            count += run_data_lookup_in(folder, path, plan->files[count].path);
            if (count > 0 && split == RUN_DATA_TEST)
                break; /* the whole test set is preferred to a part of it */
        }
    }
    return count;
}

/* The number of files when all are there, else 0 and the name of the first that is not. */
static int find_given(const char *folder, const char *const *names, run_data_plan *plan, const char **missing)
{
    int count = 0;
    for (; names[count] && count < RUN_DATA_FILES_MAX; count++) {
        if (!run_data_lookup_in(folder, names[count], plan->files[count].path)) {
            *missing = names[count];
            return 0;
        }
    }
    return count;
}

static base_status find_files(const run_config *config, run_data_split split, run_data_plan *plan)
{
    const char *const *given = split == RUN_DATA_TRAIN ? config->data.train_files : config->data.test_files;
    int names = 0;
    while (given && given[names])
        names++;
    if (given && (names == 0 || names > RUN_DATA_FILES_MAX))
        return BASE_FAIL(BASE_USAGE, "%s: data.%s names %d files, 1 to %d are expected", run_data_where(config),
                         split == RUN_DATA_TRAIN ? "train_files" : "test_files", names, RUN_DATA_FILES_MAX);
    run_data_lookup lookup;
    BASE_TRY(run_data_lookup_open(config, &lookup));
    const char *missing = split == RUN_DATA_TRAIN ? "data_batch_1.bin to data_batch_5.bin" : "test_batch.bin";
    for (int i = 0; i < lookup.count && plan->file_count == 0; i++)
        plan->file_count = given ? find_given(lookup.folders[i], given, plan, &missing)
                                 : find_defaults(lookup.folders[i], split, plan);
    if (plan->file_count > 0)
        return BASE_OK;
    char what[256];
    snprintf(what, sizeof what, "%.200s (or .gz)", missing);
    return run_data_lookup_failed(&lookup, config, what);
}

/* A gzip file's length is only known when it has been read. Its trailer is taken where it can be right; else the file
 * is read once to count. fill finds out whether it was. */
static base_status count_gzip(run_data_file *file, int64_t *nbytes)
{
    BASE_TRY(run_data_file_length(file, nbytes));
    if (*nbytes > 0 && *nbytes % RECORD == 0 && *nbytes <= run_data_file_bound(file))
        return BASE_OK;
    return run_data_file_count(file, nbytes);
}

static base_status probe_file(run_data_plan_file *f)
{
    run_data_file *file;
    int64_t nbytes = 0;
    base_status status = run_data_file_open(f->path, &file);
    if (status == BASE_OK)
        status = run_data_file_is_gzip(file) ? count_gzip(file, &nbytes) : run_data_file_length(file, &nbytes);
    if (status == BASE_OK && (nbytes == 0 || nbytes % RECORD != 0))
        status =
            BASE_FAIL(BASE_DATA, "%s holds %lld bytes, which is no whole number of records of %d bytes (truncated?)",
                      f->path, (long long)nbytes, RECORD);
    run_data_file_close(&file);
    f->samples = nbytes / RECORD;
    f->whole = 1;
    return status;
}

static base_status probe(const run_config *config, run_data_split split, run_data_plan *plan)
{
    BASE_TRY(find_files(config, split, plan));
    int64_t limit = split == RUN_DATA_TRAIN ? config->data.train_samples : config->data.test_samples;
    for (int i = 0; i < plan->file_count; i++) {
        run_data_plan_file *f = &plan->files[i];
        BASE_TRY(probe_file(f));
        if (limit > 0 && plan->samples + f->samples > limit) {
            f->samples = limit - plan->samples;
            f->whole = 0;
        }
        plan->samples += f->samples;
    }
    plan->shape = base_shape_image(CHANNELS, SIDE, SIDE);
    plan->classes = config->data.classes > 0 ? config->data.classes : 10;
    snprintf(plan->source, sizeof plan->source, "%s", plan->files[0].path);
    return run_data_check_size(BASE_DATA, plan->source, plan->samples, plan->shape);
}

/* ---- fill ---- */

static void unpack(const uint8_t *record, uint8_t *pixels, uint8_t *label)
{
    *label = record[0];
    const uint8_t *r = record + 1, *g = r + PLANE, *b = g + PLANE;
    for (int i = 0; i < PLANE; i++) {
        pixels[3 * i] = r[i];
        pixels[3 * i + 1] = g[i];
        pixels[3 * i + 2] = b[i];
    }
}

static base_status read_records(run_data_file *file, const run_data_plan_file *f, uint8_t *chunk, uint8_t *pixels,
                                uint8_t *labels)
{
    for (int64_t done = 0; done < f->samples;) {
        int64_t n = f->samples - done < CHUNK ? f->samples - done : CHUNK;
        BASE_TRY(run_data_file_read(file, chunk, (size_t)n * RECORD));
        for (int64_t i = 0; i < n; i++, done++)
            unpack(chunk + i * RECORD, pixels + done * PIXELS, labels + done);
    }
    return f->whole ? run_data_file_end(file) : BASE_OK;
}

static base_status fill_file(const run_data_plan *plan, const run_data_plan_file *f, uint8_t *pixels, uint8_t *labels)
{
    if (f->samples == 0)
        return BASE_OK;
    uint8_t *chunk = malloc((size_t)CHUNK * RECORD);
    if (!chunk)
        return BASE_FAIL(BASE_ERROR, "out of memory while reading %s", f->path);
    run_data_file *file;
    base_status status = run_data_file_open(f->path, &file);
    if (status == BASE_OK)
        status = read_records(file, f, chunk, pixels, labels);
    run_data_file_close(&file);
    free(chunk);
    return status == BASE_OK ? run_data_check_labels(f->path, labels, f->samples, plan->classes) : status;
}

/* The files are dealt to the ranks of the node. */
static base_status fill(const run_config *config, run_data_split split, const run_data_plan *plan,
                        const run_data_part *part)
{
    (void)config;
    (void)split;
    int64_t first = 0;
    for (int i = 0; i < plan->file_count; i++) {
        const run_data_plan_file *f = &plan->files[i];
        if (i % part->parts == part->part)
            BASE_TRY(fill_file(plan, f, part->pixels + first * PIXELS, part->labels + first));
        first += f->samples;
    }
    return BASE_OK;
}

static const float cifar_mean[] = {0.4914f, 0.4822f, 0.4465f}, cifar_deviation[] = {0.2470f, 0.2435f, 0.2616f};

const run_data_source run_data_source_cifar = {
    .probe = probe, .fill = fill, .mean = cifar_mean, .deviation = cifar_deviation, .channels = CHANNELS};
