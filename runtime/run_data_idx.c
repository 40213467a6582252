/* The idx format of MNIST (and Fashion-MNIST, and any set of that form), gzip or raw.
 *
 * A header of big-endian words: two zero bytes, the type code (8: unsigned bytes), the number of dimensions, then each
 * dimension; the elements follow, the last dimension running fastest. Source: Y. LeCun, C. Cortes, C. Burges, "The
 * MNIST database of handwritten digits".
 */
#include "run_data_file.h"
#include "run_data_source.h"

#include <stdio.h>

enum { TYPE_BYTES = 8, RANK_MAX = 3 };

typedef struct idx_header {
    int rank;
    int64_t sizes[RANK_MAX];
    int64_t offset; /* of the elements */
    int64_t count;  /* of elements in a sample */
} idx_header;

static const char *type_name(int code)
{
    switch (code) {
    case 0x09: return "signed bytes";
    case 0x0B: return "16-bit integers";
    case 0x0C: return "32-bit integers";
    case 0x0D: return "32-bit floats";
    case 0x0E: return "64-bit floats";
    default: return "unknown";
    }
}

static base_status parse_magic(const char *path, const unsigned char m[4], int rank_min, int rank_max, idx_header *h)
{
    if (m[0] != 0 || m[1] != 0)
        return BASE_FAIL(BASE_DATA, "%s is no idx file: it begins with 0x%02x%02x%02x%02x, 0x0000080%d is expected",
                         path, m[0], m[1], m[2], m[3], rank_max);
    if (m[2] != TYPE_BYTES)
        return BASE_FAIL(BASE_DATA, "%s has elements of type 0x%02x (%s), 0x08 (unsigned bytes) is expected", path,
                         m[2], type_name(m[2]));
    if (m[3] < rank_min || m[3] > rank_max)
        return BASE_FAIL(BASE_DATA, "%s has %d dimensions, %s expected%s", path, m[3],
                         rank_max == 1 ? "1 is" : "2 (samples, features) or 3 (samples, rows, columns) are",
                         rank_max == 1 && m[3] == 3  ? " (images in the place of the labels?)"
                         : rank_max > 1 && m[3] == 1 ? " (labels in the place of the images?)"
                                                     : "");
    h->rank = m[3];
    return BASE_OK;
}

/* The header, and that the file can hold what it announces: exactly, where it is raw. */
static base_status read_header(run_data_file *file, const char *path, int rank_min, int rank_max, idx_header *h)
{
    unsigned char word[4];
    *h = (idx_header){.count = 1};
    BASE_TRY(run_data_file_read(file, word, sizeof word));
    BASE_TRY(parse_magic(path, word, rank_min, rank_max, h));
    h->offset = 4 + 4 * h->rank;
    for (int i = 0; i < h->rank; i++) {
        BASE_TRY(run_data_file_read(file, word, sizeof word));
        h->sizes[i] = (int64_t)word[0] << 24 | (int64_t)word[1] << 16 | (int64_t)word[2] << 8 | word[3];
        if (h->sizes[i] == 0)
            return BASE_FAIL(BASE_DATA, "%s is empty: dimension %d of its header is 0", path, i + 1);
        if (i > 0 && __builtin_mul_overflow(h->count, h->sizes[i], &h->count))
            return BASE_FAIL(BASE_DATA, "%s announces samples of more than 2^63 bytes", path);
    }
    int64_t total;
    if (__builtin_mul_overflow(h->count, h->sizes[0], &total) || __builtin_add_overflow(total, h->offset, &total))
        return BASE_FAIL(BASE_DATA, "%s announces more than 2^63 bytes", path);
    int64_t bound = run_data_file_bound(file);
    if (total > bound)
        return BASE_FAIL(BASE_DATA, "%s is truncated: its header announces %lld bytes, %s %lld", path, (long long)total,
                         run_data_file_is_gzip(file) ? "a gzip file of this size holds at most" : "the file has",
                         (long long)bound);
    if (!run_data_file_is_gzip(file) && total < bound)
        return BASE_FAIL(BASE_DATA, "%s has %lld bytes after the %lld that its header announces", path,
                         (long long)(bound - total), (long long)total);
    return BASE_OK;
}

static base_status probe_file(run_data_plan_file *f, int rank_min, int rank_max, idx_header *h, int *gzip)
{
    run_data_file *file;
    base_status status = run_data_file_open(f->path, &file);
    if (status == BASE_OK)
        status = read_header(file, f->path, rank_min, rank_max, h);
    if (status == BASE_OK) {
        f->nbytes = run_data_file_bytes(file);
        f->offset = h->offset;
        *gzip = run_data_file_is_gzip(file);
    }
    run_data_file_close(&file);
    return status;
}

static const char *const idx_names[2][2][2] = {
    {{"train-images-idx3-ubyte", "train-images.idx3-ubyte"}, {"train-labels-idx1-ubyte", "train-labels.idx1-ubyte"}},
    {{"t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"}, {"t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"}}};

/* Which of images (bit 0) and labels (bit 1) are in a folder, under any of the spellings in use. */
static int find_pair(const char *folder, const char *const *given, run_data_split split, run_data_plan *plan)
{
    int found = 0;
    for (int i = 0; i < 2; i++) {
        int here = 0;
        for (int s = 0; s < 2 && !here; s++)
            here = run_data_lookup_in(folder, given ? given[i] : idx_names[split][i][s], plan->files[i].path);
        found |= here << i;
    }
    return found;
}

static base_status find_files(const run_config *config, run_data_split split, run_data_plan *plan)
{
    const char *key = split == RUN_DATA_TRAIN ? "train_files" : "test_files";
    const char *const *given = split == RUN_DATA_TRAIN ? config->data.train_files : config->data.test_files;
    if (given && (!given[0] || !given[1] || given[2]))
        return BASE_FAIL(BASE_USAGE, "%s: data.%s names two files for the format mnist: images, labels",
                         run_data_where(config), key);
    run_data_lookup lookup;
    BASE_TRY(run_data_lookup_open(config, &lookup));
    int partly = 0;
    for (int i = 0; i < lookup.count; i++) {
        int found = find_pair(lookup.folders[i], given, split, plan);
        if (found == 3)
            return BASE_OK;
        partly |= found;
    }
    /* Where one of the two is there, the other is what is missing. */
    const char *images = given ? given[0] : idx_names[split][0][0];
    const char *labels = given ? given[1] : idx_names[split][1][0];
    char what[512];
    snprintf(what, sizeof what, "%.200s%s%.200s (or .gz)", partly == 1 ? "" : images, partly ? "" : " and ",
             partly == 2 ? "" : labels);
    return run_data_lookup_failed(&lookup, config, what);
}

static base_status probe(const run_config *config, run_data_split split, run_data_plan *plan)
{
    idx_header images, labels;
    int images_gzip, labels_gzip;
    BASE_TRY(find_files(config, split, plan));
    plan->file_count = 2;
    BASE_TRY(probe_file(&plan->files[0], 2, 3, &images, &images_gzip));
    BASE_TRY(probe_file(&plan->files[1], 1, 1, &labels, &labels_gzip));
    if (images.sizes[0] != labels.sizes[0])
        return BASE_FAIL(BASE_DATA, "%s has %lld samples, but %s has %lld labels", plan->files[0].path,
                         (long long)images.sizes[0], plan->files[1].path, (long long)labels.sizes[0]);
    plan->shape =
        images.rank == 3 ? base_shape_image(1, images.sizes[1], images.sizes[2]) : base_shape_vector(images.sizes[1]);
    int64_t limit = split == RUN_DATA_TRAIN ? config->data.train_samples : config->data.test_samples;
    plan->samples = limit > 0 && limit < images.sizes[0] ? limit : images.sizes[0];
    plan->classes = config->data.classes > 0 ? config->data.classes : 10;
    plan->mapped = !images_gzip && !labels_gzip;
    for (int i = 0; i < 2; i++) {
        plan->files[i].samples = plan->samples;
        plan->files[i].whole = plan->samples == images.sizes[0];
    }
    snprintf(plan->source, sizeof plan->source, "%s", plan->files[0].path);
    return plan->mapped ? BASE_OK : run_data_check_size(BASE_DATA, plan->source, plan->samples, plan->shape);
}

static base_status read_payload(run_data_file *file, const run_data_plan_file *f, uint8_t *to, int64_t nbytes)
{
    unsigned char header[4 + 4 * RANK_MAX];
    BASE_TRY(run_data_file_read(file, header, (size_t)f->offset));
    BASE_TRY(run_data_file_read(file, to, (size_t)nbytes));
    return f->whole ? run_data_file_end(file) : BASE_OK;
}

static base_status fill_file(const run_data_plan_file *f, uint8_t *to, int64_t nbytes)
{
    run_data_file *file;
    base_status status = run_data_file_open(f->path, &file);
    if (status == BASE_OK)
        status = read_payload(file, f, to, nbytes);
    run_data_file_close(&file);
    return status;
}

/* The images are read by one rank and the labels by another, where there are two. */
static base_status fill(const run_config *config, run_data_split split, const run_data_plan *plan,
                        const run_data_part *part)
{
    (void)config;
    (void)split;
    if (part->part == 0)
        BASE_TRY(fill_file(&plan->files[0], part->pixels, plan->samples * base_shape_count(plan->shape)));
    if (part->part != 1 % part->parts)
        return BASE_OK;
    BASE_TRY(fill_file(&plan->files[1], part->labels, plan->samples));
    return run_data_check_labels(plan->files[1].path, part->labels, plan->samples, plan->classes);
}

static const float mnist_mean[] = {0.1307f}, mnist_deviation[] = {0.3081f};

const run_data_source run_data_source_idx = {
    .probe = probe, .fill = fill, .mean = mnist_mean, .deviation = mnist_deviation, .channels = 1};
