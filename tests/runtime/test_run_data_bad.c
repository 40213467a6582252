/* Bad data: every rank gets the same status and one line that says which file, which value, what is allowed. */
#include "runtime/run_data_test.h"

#include <errno.h>

typedef struct bad_case {
    const char *name;
    void (*make)(run_config *config); /* on all ranks; files are written by rank 0 alone */
    base_status status;
    const char *says[3];
} bad_case;

static const char *const images_name = "train-images-idx3-ubyte", *const labels_name = "train-labels-idx1-ubyte";

static void whole_set(run_config *config)
{
    (void)config;
    if (rank == 0)
        write_raw_set();
}

static void gzip_set(run_config *config)
{
    (void)config;
    if (rank == 0)
        write_gzip_set();
}

/* ---- files that are not there or are no files ---- */

static void no_folder(run_config *config)
{
    config->data.path = "no-such-folder";
}

static void no_images(run_config *config)
{
    (void)config;
}

static void no_labels(run_config *config)
{
    idx_file f = idx_images();
    (void)config;
    if (rank == 0)
        write_idx(images_name, &f);
}

static void path_is_file(run_config *config)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/file", folder);
    config->data.path = path;
    if (rank == 0)
        write_bytes("file", "x", 1);
}

static void images_are_folder(run_config *config)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, images_name);
    no_images(config);
    if (rank == 0) {
        idx_file f = idx_labels();
        write_idx(labels_name, &f);
        assert_int_equal(mkdir(path, 0700), 0);
    }
}

static void unreadable(run_config *config)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, images_name);
    whole_set(config);
    if (rank == 0)
        assert_int_equal(chmod(path, 0), 0);
}

static void one_name(run_config *config)
{
    static const char *const names[] = {"images", NULL};
    config->data.train_files = names;
}

static void given_names(run_config *config)
{
    static const char *const names[] = {"my-images", "my-labels", NULL};
    config->data.train_files = names;
    whole_set(config);
}

/* ---- raw idx ---- */

static void change(const char *name, size_t at, uint8_t value)
{
    uint8_t bytes[4096];
    size_t n = read_bytes(name, bytes, sizeof bytes);
    bytes[at] = value;
    write_bytes(name, bytes, n);
}

static void resize(const char *name, int by)
{
    uint8_t bytes[4096] = {0};
    size_t n = read_bytes(name, bytes, sizeof bytes);
    write_bytes(name, bytes, (size_t)((int)n + by));
}

static void empty_file(run_config *config)
{
    whole_set(config);
    if (rank == 0)
        write_bytes(images_name, "", 0);
}

static void wrong_magic(run_config *config)
{
    whole_set(config);
    if (rank == 0)
        change(images_name, 0, 0x89);
}

static void float_elements(run_config *config)
{
    whole_set(config);
    if (rank == 0)
        change(images_name, 2, 0x0d);
}

static void four_dimensions(run_config *config)
{
    whole_set(config);
    if (rank == 0)
        change(images_name, 3, 4);
}

static void swapped(run_config *config)
{
    idx_file images = idx_images(), labels = idx_labels();
    (void)config;
    if (rank == 0) {
        write_idx(images_name, &labels);
        write_idx(labels_name, &images);
    }
}

static void counts_disagree(run_config *config)
{
    whole_set(config);
    if (rank == 0) {
        change(labels_name, 7, SAMPLES - 1);
        resize(labels_name, -1);
    }
}

static void bad_label(run_config *config)
{
    whole_set(config);
    if (rank == 0)
        change(labels_name, 8 + 5, 10);
}

static void truncated(run_config *config)
{
    whole_set(config);
    if (rank == 0)
        resize(images_name, -1);
}

static void header_only_begun(run_config *config)
{
    whole_set(config);
    if (rank == 0)
        write_bytes(images_name, "\0\0\10\3\0\0", 6);
}

static void trailing(run_config *config)
{
    whole_set(config);
    if (rank == 0)
        resize(images_name, 9);
}

static void no_samples(run_config *config)
{
    idx_file images = idx_header(3, (const uint32_t[]){0, ROWS, COLUMNS});
    whole_set(config);
    if (rank == 0)
        write_idx(images_name, &images);
}

static void huge(run_config *config)
{
    idx_file images = idx_header(3, (const uint32_t[]){UINT32_MAX, 28, 28});
    whole_set(config);
    if (rank == 0)
        write_idx(images_name, &images);
}

static void beyond_counting(run_config *config)
{
    idx_file images = idx_header(3, (const uint32_t[]){UINT32_MAX, UINT32_MAX, UINT32_MAX});
    whole_set(config);
    if (rank == 0)
        write_idx(images_name, &images);
}

/* ---- gzip ---- */

/* The gzip set with `count` of its images' compressed bytes, after which `more` follow. */
static void recut(int drop, const char *more)
{
    uint8_t bytes[4096];
    write_gzip_set();
    size_t n = read_bytes("train-images-idx3-ubyte.gz", bytes, sizeof bytes) - (size_t)drop;
    memcpy(bytes + n, more, strlen(more));
    write_bytes("train-images-idx3-ubyte.gz", bytes, n + strlen(more));
}

static void gzip_cut(run_config *config)
{
    (void)config;
    if (rank == 0)
        recut(20, "");
}

static void gzip_without_trailer(run_config *config)
{
    (void)config;
    if (rank == 0)
        recut(8, "");
}

static void gzip_checksum(run_config *config)
{
    (void)config;
    if (rank == 0)
        recut(8, "12345678");
}

static void gzip_trailing(run_config *config)
{
    (void)config;
    if (rank == 0)
        recut(0, "more");
}

static void gzip_longer(run_config *config)
{
    gzip_set(config);
    if (rank == 0)
        append_gzip("train-images-idx3-ubyte.gz", "more", 4);
}

static void gzip_shorter(run_config *config)
{
    idx_file images = idx_images(), labels = idx_labels();
    (void)config;
    if (rank == 0) {
        append_gzip("train-images-idx3-ubyte.gz", images.bytes, images.nbytes - 1);
        append_gzip("train-labels-idx1-ubyte.gz", labels.bytes, labels.nbytes);
    }
}

static void gzip_huge(run_config *config)
{
    idx_file images = idx_header(3, (const uint32_t[]){UINT32_MAX, 28, 28}), labels = idx_labels();
    (void)config;
    if (rank == 0) {
        append_gzip("train-images-idx3-ubyte.gz", images.bytes, images.nbytes);
        append_gzip("train-labels-idx1-ubyte.gz", labels.bytes, labels.nbytes);
    }
}

static void gzip_bad_label(run_config *config)
{
    idx_file images = idx_images(), labels = idx_labels();
    labels.bytes[8 + 7] = 255;
    (void)config;
    if (rank == 0) {
        append_gzip("train-images-idx3-ubyte.gz", images.bytes, images.nbytes);
        append_gzip("train-labels-idx1-ubyte.gz", labels.bytes, labels.nbytes);
    }
}

/* ---- cifar10 ---- */

static void cifar(run_config *config, size_t nbytes, int gzip, int bad)
{
    static uint8_t records[3 * RECORD];
    config->data.format = RUN_DATA_CIFAR10;
    config->model.input = base_shape_image(3, 32, 32);
    for (int s = 0; s < 3; s++)
        fill_record(records + s * RECORD, s);
    records[RECORD] = (uint8_t)(bad ? 10 : 1);
    if (rank != 0)
        return;
    if (gzip)
        append_gzip("data_batch_1.bin.gz", records, nbytes);
    else
        write_bytes("data_batch_1.bin", records, nbytes);
}

static void cifar_missing(run_config *config)
{
    config->data.format = RUN_DATA_CIFAR10;
}

static void cifar_truncated(run_config *config)
{
    cifar(config, 3 * RECORD - 1, 0, 0);
}

static void cifar_gzip_truncated(run_config *config)
{
    cifar(config, 3 * RECORD - 1, 1, 0);
}

static void cifar_bad_label(run_config *config)
{
    cifar(config, 3 * RECORD, 1, 1);
}

static void cifar_input(run_config *config)
{
    cifar(config, 3 * RECORD, 0, 0);
    config->model.input = base_shape_vector(784);
}

/* ---- configurations that do not fit ---- */

static void other_input(run_config *config)
{
    whole_set(config);
    config->model.input = base_shape_image(1, 28, 28);
}

static void three_means(run_config *config)
{
    static const float values[] = {0.5f, 0.5f, 0.5f};
    whole_set(config);
    config->data.mean = config->data.deviation = values;
    config->data.channels_given = 3;
}

static void too_many_samples(run_config *config)
{
    config->data.format = RUN_DATA_SYNTHETIC;
    config->data.train_samples = INT64_C(1) << 40;
}

static void too_much_memory(run_config *config)
{
    config->data.format = RUN_DATA_SYNTHETIC;
    config->model.input = base_shape_vector(1 << 20);
    config->data.train_samples = 1 << 30;
}

static void beyond_int64(run_config *config)
{
    config->data.format = RUN_DATA_SYNTHETIC;
    config->model.input = base_shape_image(1 << 30, 1 << 30, 1 << 30);
}

static const bad_case cases[] = {
    {"missing folder", no_folder, BASE_DATA, {"no-such-folder (no such folder)", "get-data.sh mnist", "train-images"}},
    {"missing files",
     no_images,
     BASE_DATA,
     {"cannot find train-images-idx3-ubyte and train-labels", "(not in this folder)"}},
    {"missing labels", no_labels, BASE_DATA, {"cannot find train-labels-idx1-ubyte (or .gz)"}},
    {"path is a file", path_is_file, BASE_DATA, {"/file (a file, not a folder)"}},
    {"images are a folder", images_are_folder, BASE_DATA, {"train-images-idx3-ubyte is a folder"}},
    {"not readable", unreadable, BASE_DATA, {"cannot open", "train-images-idx3-ubyte", "Permission denied"}},
    {"one name of two", one_name, BASE_USAGE, {"data.train_files", "images, labels"}},
    {"given names missing", given_names, BASE_DATA, {"cannot find my-images and my-labels"}},
    {"empty file", empty_file, BASE_DATA, {"train-images-idx3-ubyte is empty (0 bytes)"}},
    {"wrong magic", wrong_magic, BASE_DATA, {"train-images-idx3-ubyte is no idx file", "0x89000803", "0x00000803"}},
    {"elements are floats", float_elements, BASE_DATA, {"type 0x0d (32-bit floats)", "0x08 (unsigned bytes)"}},
    {"four dimensions", four_dimensions, BASE_DATA, {"has 4 dimensions", "3 (samples, rows, columns)"}},
    {"images and labels swapped", swapped, BASE_DATA, {"has 1 dimensions", "labels in the place of the images?"}},
    {"counts disagree", counts_disagree, BASE_DATA, {"has 12 samples", "has 11 labels"}},
    {"label out of range", bad_label, BASE_DATA, {"train-labels-idx1-ubyte: label 5 is 10", "0 to 9"}},
    {"truncated", truncated, BASE_DATA, {"is truncated", "announces 160 bytes", "has 159"}},
    {"header begun", header_only_begun, BASE_DATA, {"is truncated", "holds 6 bytes, at least 8"}},
    {"bytes after the end", trailing, BASE_DATA, {"9 bytes after the 160"}},
    {"no samples", no_samples, BASE_DATA, {"train-images-idx3-ubyte is empty"}},
    {"absurd count", huge, BASE_DATA, {"announces 3367254359296 bytes"}},
    {"count beyond counting", beyond_counting, BASE_DATA, {"more than 2^63 bytes"}},
    {"gzip cut short", gzip_cut, BASE_DATA, {"train-images-idx3-ubyte.gz is cut short"}},
    {"gzip without trailer", gzip_without_trailer, BASE_DATA, {"train-images-idx3-ubyte.gz is cut short"}},
    {"gzip with a wrong checksum", gzip_checksum, BASE_DATA, {"train-images-idx3-ubyte.gz is corrupt", "data check"}},
    {"bytes after the gzip data", gzip_trailing, BASE_DATA, {"followed by bytes that are no gzip data"}},
    {"gzip holds more", gzip_longer, BASE_DATA, {"holds more than the 160 bytes"}},
    {"gzip holds less", gzip_shorter, BASE_DATA, {"is truncated", "holds 159 bytes, at least 160"}},
    {"gzip with an absurd count", gzip_huge, BASE_DATA, {"announces 3367254359296 bytes", "gzip file of this size"}},
    {"gzip label out of range", gzip_bad_label, BASE_DATA, {"train-labels-idx1-ubyte.gz: label 7 is 255"}},
    {"cifar10 missing", cifar_missing, BASE_DATA, {"data_batch_1.bin to data_batch_5.bin", "get-data.sh cifar10"}},
    {"cifar10 truncated", cifar_truncated, BASE_DATA, {"holds 9218 bytes", "records of 3073"}},
    {"cifar10 gzip truncated", cifar_gzip_truncated, BASE_DATA, {"holds 9218 bytes", "records of 3073"}},
    {"cifar10 label out of range", cifar_bad_label, BASE_DATA, {"data_batch_1.bin.gz: label 1 is 10"}},
    {"cifar10 and another input", cifar_input, BASE_USAGE, {"model.input = [784]", "samples of 3x32x32"}},
    {"another input", other_input, BASE_USAGE, {"model.input = [1, 28, 28]", "train-images-idx3-ubyte", "1x4x3"}},
    {"three means for one channel", three_means, BASE_USAGE, {"3 values", "1 channel"}},
    {"too many samples", too_many_samples, BASE_USAGE, {"1099511627776 synthetic samples", "at most"}},
    {"input beyond counting", beyond_int64, BASE_USAGE, {"more than can be counted"}},
    {"more than the machine's memory",
     too_much_memory,
     BASE_USAGE,
     {"1073741824 samples of 1048576 bytes", "this machine has"}},
};
enum { CASES = sizeof cases / sizeof *cases };

static void refuses(void **state)
{
    const bad_case *bad = *state;
    if (bad->make == unreadable && geteuid() == 0) {
        if (rank == 0)
            printf("skipped: root may read every file\n");
        return;
    }
    run_config config = test_config();
    run_data *data = NULL;
    bad->make(&config);
    base_status status = open_train(&config, &data);
    const char *message = base_status_message();
    EVERYWHERE(status == bad->status);
    EVERYWHERE(data == NULL);
    EVERYWHERE(strchr(message, '\n') == NULL);
    for (int i = 0; i < 3 && bad->says[i]; i++)
        EVERYWHERE(strstr(message, bad->says[i]) != NULL);
}

int main(void)
{
    static struct CMUnitTest tests[CASES];
    for (int i = 0; i < CASES; i++)
        tests[i] = (struct CMUnitTest){.name = cases[i].name,
                                       .test_func = refuses,
                                       .setup_func = make_folder,
                                       .teardown_func = remove_folder,
                                       .initial_state = (void *)(uintptr_t)&cases[i]};
    test_open_world();
    return test_close_world(cmocka_run_group_tests(tests, NULL, NULL));
}
