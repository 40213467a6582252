/* run_data_test.h: data files that the tests make themselves, in a folder of their own that goes at the end.
 *
 * Rank 0 writes, all ranks open. The set is SAMPLES images of 1 x ROWS x COLUMNS, raw or gzip as a test wants it.
 */
#ifndef RUN_DATA_TEST_H
#define RUN_DATA_TEST_H

#include "comm/comm_test.h"
#include "run_data.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { SAMPLES = 12, ROWS = 4, COLUMNS = 3, IMAGE = ROWS * COLUMNS, RECORD = 3073 };

static char folder[256]; /* made by rank 0, known to all */

static inline void write_bytes(const char *name, const void *bytes, size_t nbytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, nbytes, f), nbytes);
    assert_int_equal(fclose(f), 0);
}

/* Appends one gzip member. */
static inline void append_gzip(const char *name, const void *bytes, size_t nbytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    gzFile f = gzopen(path, "ab");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, bytes, (unsigned)nbytes), nbytes);
    assert_int_equal(gzclose(f), Z_OK);
}

static inline size_t read_bytes(const char *name, uint8_t *bytes, size_t room)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, room, f);
    fclose(f);
    return n;
}

static inline uint8_t pixel_at(int sample, int i)
{
    return (uint8_t)(sample * 31 + i * 7);
}

/* An idx file in memory: magic, dimensions, room for elements. */
typedef struct idx_file {
    size_t nbytes;
    uint8_t bytes[16 + SAMPLES * IMAGE];
} idx_file;

static inline idx_file idx_header(int rank_of_file, const uint32_t *sizes)
{
    idx_file f = {.nbytes = 4 + 4 * (size_t)rank_of_file, .bytes = {0, 0, 8, (uint8_t)rank_of_file}};
    for (int i = 0; i < rank_of_file; i++)
        for (int b = 0; b < 4; b++)
            f.bytes[4 + 4 * i + b] = (uint8_t)(sizes[i] >> (24 - 8 * b));
    return f;
}

static inline idx_file idx_images(void)
{
    idx_file f = idx_header(3, (const uint32_t[]){SAMPLES, ROWS, COLUMNS});
    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < IMAGE; i++)
            f.bytes[f.nbytes++] = pixel_at(s, i);
    return f;
}

static inline idx_file idx_labels(void)
{
    idx_file f = idx_header(1, (const uint32_t[]){SAMPLES});
    for (int s = 0; s < SAMPLES; s++)
        f.bytes[f.nbytes++] = (uint8_t)(s % 10);
    return f;
}

static inline void write_idx(const char *name, const idx_file *f)
{
    write_bytes(name, f->bytes, f->nbytes);
}

static inline void write_raw_set(void)
{
    idx_file images = idx_images(), labels = idx_labels();
    write_idx("train-images-idx3-ubyte", &images);
    write_idx("train-labels-idx1-ubyte", &labels);
}

static inline void write_gzip_set(void)
{
    idx_file images = idx_images(), labels = idx_labels();
    append_gzip("train-images-idx3-ubyte.gz", images.bytes, images.nbytes);
    append_gzip("train-labels-idx1-ubyte.gz", labels.bytes, labels.nbytes);
}

static inline void fill_record(uint8_t record[RECORD], int sample)
{
    record[0] = (uint8_t)(sample % 10);
    for (int i = 0; i < RECORD - 1; i++)
        record[1 + i] = (uint8_t)(sample * 13 + i * 5 + i / 1024);
}

/* The set's folder as data.path, its shape as the model's input. */
static inline run_config test_config(void)
{
    return (run_config){.path = "test.cfg",
                        .data = {.format = RUN_DATA_MNIST, .path = folder},
                        .model = {.input = {.h = ROWS, .w = COLUMNS, .c = 1}}};
}

static inline int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st;
    (void)kind;
    (void)walk;
    return remove(path);
}

/* cmocka set-up and tear-down of every test: an empty folder. */
static inline int make_folder(void **state)
{
    (void)state;
    if (rank == 0) {
        const char *root = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/ddpt-test-XXXXXX", root ? root : "/tmp");
        if (!mkdtemp(folder))
            return -1;
    }
    return comm_world_bcast(world, folder, sizeof folder, 0) == BASE_OK ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    (void)state;
    if (comm_node_barrier(world) != BASE_OK)
        return -1;
    return rank == 0 ? nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS) : 0;
}

/* What rank 0 wrote is there for all. */
static inline base_status open_train(const run_config *config, run_data **data)
{
    if (comm_node_barrier(world) != BASE_OK)
        return BASE_ERROR;
    return run_data_open(world, config, RUN_DATA_TRAIN, data);
}

#endif
