/* Every source delivers the samples that it holds, one copy a node, whatever the number of ranks. */
#include "runtime/run_data_test.h"

#include <math.h>
#include <xxhash.h>

/* Opens the training split everywhere; the test ends where a rank fails. */
static run_data *open_all(const run_config *config)
{
    run_data *data = NULL;
    base_status status = open_train(config, &data);
    EVERYWHERE(status == BASE_OK);
    return data;
}

static int holds_set(const run_data *data, int samples)
{
    const run_data_info *info = run_data_get_info(data);
    int good = info->samples == samples && info->classes == 10 && base_shape_count(info->shape) == IMAGE;
    for (int s = 0; s < samples && good; s++) {
        good = info->labels[s] == s % 10;
        for (int i = 0; i < IMAGE; i++)
            good = good && info->pixels[s * IMAGE + i] == pixel_at(s, i);
    }
    return good;
}

static void expect_set(const run_config *config, int samples)
{
    run_data *data = open_all(config);
    EVERYWHERE(holds_set(data, samples));
    run_data_close(&data);
    assert_null(data);
}

/* ---- idx ---- */

static void reads_raw_idx(void **state)
{
    (void)state;
    run_config config = test_config();
    if (rank == 0)
        write_raw_set();
    expect_set(&config, SAMPLES);
}

static void reads_gzip_idx(void **state)
{
    (void)state;
    run_config config = test_config();
    if (rank == 0)
        write_gzip_set();
    expect_set(&config, SAMPLES);
}

static void reads_other_spelling_and_test_split(void **state)
{
    (void)state;
    run_config config = test_config();
    idx_file images = idx_images(), labels = idx_labels();
    run_data *data = NULL;
    if (rank == 0) {
        write_idx("t10k-images.idx3-ubyte", &images);
        append_gzip("t10k-labels.idx1-ubyte.gz", labels.bytes, labels.nbytes);
    }
    EVERYWHERE(comm_node_barrier(world) == BASE_OK);
    base_status status = run_data_open(world, &config, RUN_DATA_TEST, &data);
    EVERYWHERE(status == BASE_OK);
    EVERYWHERE(holds_set(data, SAMPLES));
    run_data_close(&data);
}

/* A gzip file without .gz and a raw file with it. */
static void looks_at_content_not_names(void **state)
{
    (void)state;
    static const char *const names[] = {"pixels", "classes.gz", NULL};
    run_config config = test_config();
    config.data.train_files = names;
    idx_file images = idx_images(), labels = idx_labels();
    if (rank == 0) {
        append_gzip("pixels", images.bytes, images.nbytes);
        write_idx("classes.gz", &labels);
    }
    expect_set(&config, SAMPLES);
}

static void reads_several_gzip_members(void **state)
{
    (void)state;
    run_config config = test_config();
    idx_file images = idx_images(), labels = idx_labels();
    if (rank == 0) {
        append_gzip("train-images-idx3-ubyte.gz", images.bytes, 50);
        append_gzip("train-images-idx3-ubyte.gz", images.bytes + 50, images.nbytes - 50);
        append_gzip("train-labels-idx1-ubyte.gz", labels.bytes, labels.nbytes);
    }
    expect_set(&config, SAMPLES);
}

static void takes_the_first_samples(void **state)
{
    (void)state;
    run_config config = test_config();
    config.data.train_samples = 5;
    if (rank == 0)
        write_raw_set();
    expect_set(&config, 5);
    if (rank == 0)
        write_gzip_set(); /* raw comes first, so the names change */
    static const char *const names[] = {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", NULL};
    config.data.train_files = names;
    expect_set(&config, 5);
    config.data.train_samples = SAMPLES + 1;
    expect_set(&config, SAMPLES);
}

static void accepts_flat_input_and_features(void **state)
{
    (void)state;
    run_config config = test_config();
    config.model.input = base_shape_vector(IMAGE);
    if (rank == 0)
        write_raw_set();
    expect_set(&config, SAMPLES);
    idx_file images = idx_images(), flat = idx_header(2, (const uint32_t[]){SAMPLES, IMAGE});
    memcpy(flat.bytes + flat.nbytes, images.bytes + images.nbytes - SAMPLES * IMAGE, SAMPLES * IMAGE);
    flat.nbytes += SAMPLES * IMAGE;
    if (rank == 0)
        write_idx("train-images-idx3-ubyte", &flat);
    expect_set(&config, SAMPLES);
}

static void normalises_by_mean_and_deviation(void **state)
{
    (void)state;
    static const float mean[] = {0.25f}, deviation[] = {0.5f};
    run_config config = test_config();
    if (rank == 0)
        write_raw_set();
    run_data *data = open_all(&config);
    const run_data_info *info = run_data_get_info(data);
    EVERYWHERE(fabsf(info->scale[0] * 255 * 0.1307f + info->shift[0]) < 1e-6f); /* MNIST's own: its mean becomes 0 */
    run_data_close(&data);
    config.data.mean = mean;
    config.data.deviation = deviation;
    config.data.channels_given = 1;
    data = open_all(&config);
    info = run_data_get_info(data);
    EVERYWHERE(fabsf(info->scale[0] * 255 + info->shift[0] - 1.5f) < 1e-6f); /* (1 - 0.25) / 0.5 */
    run_data_close(&data);
}

static void looks_under_ddpt_data_first(void **state)
{
    (void)state;
    const char *before = getenv("DDPT_DATA");
    char *kept = before ? strdup(before) : NULL;
    char beside[512], here[512];
    snprintf(beside, sizeof beside, "%s/some.cfg", folder);
    snprintf(here, sizeof here, "%s/elsewhere", folder);
    run_config config = test_config();
    config.path = beside;
    config.data.path = ".";
    if (rank == 0)
        write_raw_set();
    setenv("DDPT_DATA", here, 1); /* not there: the set beside the configuration is found */
    expect_set(&config, SAMPLES);
    setenv("DDPT_DATA", folder, 1);
    config.path = "test.cfg";
    expect_set(&config, SAMPLES);
    if (kept)
        setenv("DDPT_DATA", kept, 1);
    else
        unsetenv("DDPT_DATA");
    free(kept);
}

static void node_has_one_copy(void **state)
{
    (void)state;
    run_config config = test_config();
    if (rank == 0)
        write_gzip_set();
    run_data *data = open_all(&config);
    const run_data_info *info = run_data_get_info(data);
    if (rank == 0)
        *(uint8_t *)(uintptr_t)info->pixels = 77; /* what one rank writes, all see */
    EVERYWHERE(comm_node_barrier(world) == BASE_OK);
    EVERYWHERE(info->pixels[0] == 77);
    run_data_close(&data);
}

/* ---- cifar10 ---- */

static void write_batch(const char *name, int first, int samples, int gzip)
{
    uint8_t records[4 * RECORD];
    for (int s = 0; s < samples; s++)
        fill_record(records + s * RECORD, first + s);
    if (gzip)
        append_gzip(name, records, (size_t)samples * RECORD);
    else
        write_bytes(name, records, (size_t)samples * RECORD);
}

static void expect_cifar(const run_config *config, int samples)
{
    run_data *data = open_all(config);
    const run_data_info *info = run_data_get_info(data);
    EVERYWHERE(info->samples == samples && info->shape.h == 32 && info->shape.w == 32 && info->shape.c == 3);
    int good = 1;
    for (int s = 0; s < samples; s++) {
        uint8_t record[RECORD];
        fill_record(record, s);
        good = good && info->labels[s] == record[0];
        for (int i = 0; i < 3072; i++) /* channel i / 1024 of pixel i % 1024 comes to stand beside its other channels */
            good = good && info->pixels[s * 3072 + i % 1024 * 3 + i / 1024] == record[1 + i];
    }
    EVERYWHERE(good);
    run_data_close(&data);
}

static void reads_cifar_batches(void **state)
{
    (void)state;
    run_config config = test_config();
    config.data.format = RUN_DATA_CIFAR10;
    config.model.input = base_shape_image(3, 32, 32);
    if (rank == 0) {
        write_batch("data_batch_1.bin", 0, 3, 0);
        write_batch("data_batch_2.bin.gz", 3, 4, 1);
        write_batch("data_batch_4.bin", 7, 2, 0);
    }
    expect_cifar(&config, 9);
    config.data.train_samples = 5;
    expect_cifar(&config, 5);
}

/* The length in the trailer of a gzip file of two members is that of the second alone. */
static void reads_cifar_in_its_own_folder(void **state)
{
    (void)state;
    char path[512];
    run_config config = test_config();
    config.data.format = RUN_DATA_CIFAR10;
    config.model.input = base_shape_vector(3072);
    if (rank == 0) {
        uint8_t record[RECORD];
        snprintf(path, sizeof path, "%s/cifar-10-batches-bin", folder);
        assert_int_equal(mkdir(path, 0700), 0);
        fill_record(record, 0);
        append_gzip("cifar-10-batches-bin/data_batch_1.bin.gz", record, 1000);
        append_gzip("cifar-10-batches-bin/data_batch_1.bin.gz", record + 1000, RECORD - 1000);
    }
    expect_cifar(&config, 1);
}

/* ---- built-in sets ---- */

static void mean_and_deviation(const run_data_info *info, double *mean, double *deviation)
{
    const int64_t count = info->samples * base_shape_count(info->shape);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t c = i % info->shape.c;
        double x = (double)info->pixels[i] * (double)info->scale[c] + (double)info->shift[c];
        sum += x;
        squares += x * x;
    }
    *mean = sum / (double)count;
    *deviation = sqrt(squares / (double)count - *mean * *mean);
}

static void draws_the_same_digits_everywhere(void **state)
{
    (void)state;
    run_config config = test_config();
    config.data.format = RUN_DATA_DIGITS;
    config.model.input = base_shape_image(1, 28, 28);
    run_data *data = open_all(&config);
    const run_data_info *info = run_data_get_info(data);
    EVERYWHERE(info->samples == 60000 && info->classes == 10);
    /* Recorded once: a change of the digits changes every result that was reported with them. */
    XXH64_hash_t drawn = XXH64(info->pixels, 60000 * 784, XXH64(info->labels, 60000, 0));
    if (drawn != UINT64_C(0x94861bb79739536f))
        fprintf(stderr, "digits: 0x%016llx\n", (unsigned long long)drawn);
    EVERYWHERE(drawn == UINT64_C(0x94861bb79739536f));
    double mean, deviation;
    mean_and_deviation(info, &mean, &deviation);
    EVERYWHERE(fabs(mean) < 1e-3 && fabs(deviation - 1) < 1e-3);
    int counts[10] = {0};
    for (int i = 0; i < 60000; i++)
        counts[info->labels[i]]++;
    for (int k = 0; k < 10; k++)
        EVERYWHERE(abs(counts[k] - 6000) <
                   368); /* five standard deviations of a binomial, sqrt(60000 0.1 0.9) = 73.5 */
    run_data_close(&data);
}

static void tests_other_digits_than_it_trains(void **state)
{
    (void)state;
    run_config config = test_config();
    config.data.format = RUN_DATA_DIGITS;
    config.data.train_samples = config.data.test_samples = 200;
    config.model.input = base_shape_image(1, 28, 28);
    run_data *train = open_all(&config), *test = NULL;
    base_status status = run_data_open(world, &config, RUN_DATA_TEST, &test);
    EVERYWHERE(status == BASE_OK);
    const uint8_t *a = run_data_get_info(train)->pixels, *b = run_data_get_info(test)->pixels;
    int different = 1;
    for (int i = 0; i < 200; i++)
        for (int j = 0; j < 200; j++)
            different = different && memcmp(a + i * 784, b + j * 784, 784) != 0;
    EVERYWHERE(different);
    run_data_close(&test);
    run_data_close(&train);
}

static void makes_synthetic_data_of_any_shape(void **state)
{
    (void)state;
    const run_config_layer layers[] = {{.type = RUN_LAYER_DENSE, .units = 7}, {.type = RUN_LAYER_FLATTEN}};
    run_config config = test_config();
    config.data.format = RUN_DATA_SYNTHETIC;
    config.data.train_samples = 3001;
    config.model = (run_config_model){.input = base_shape_image(3, 5, 7), .layer_count = 2, .layers = layers};
    run_data *data = open_all(&config);
    const run_data_info *info = run_data_get_info(data);
    EVERYWHERE(info->samples == 3001 && info->classes == 7 && base_shape_equal(info->shape, config.model.input));
    double mean, deviation;
    mean_and_deviation(info, &mean, &deviation);
    EVERYWHERE(fabs(mean) < 0.01 && fabs(deviation - 1) < 0.01); /* 315,105 values: sigma of the mean is 0.0018 */
    int largest = 0, smallest = 255;
    for (int i = 0; i < 3001; i++) {
        largest = info->labels[i] > largest ? info->labels[i] : largest;
        smallest = info->labels[i] < smallest ? info->labels[i] : smallest;
    }
    EVERYWHERE(smallest == 0 && largest == 6);
    run_data_close(&data);
}

/* ---- the real sets ---- */

static void opens_the_real_set(run_data_format format, const char *name, base_shape input, int64_t train, int64_t test)
{
    run_config config = test_config();
    char path[512];
    const char *root = getenv("DDPT_DATA");
    snprintf(path, sizeof path, "%s/%s", root ? root : "", name);
    if (!root || access(path, R_OK) != 0) {
        if (rank == 0)
            printf("skipped: no %s in DDPT_DATA (%s)\n", name, root ? root : "not set");
        return;
    }
    config.data.format = format;
    config.data.path = path;
    config.model.input = input;
    for (int split = RUN_DATA_TRAIN; split <= RUN_DATA_TEST; split++) {
        run_data *data = NULL;
        base_status status = run_data_open(world, &config, (run_data_split)split, &data);
        EVERYWHERE(status == BASE_OK);
        EVERYWHERE(run_data_get_info(data)->samples == (split == RUN_DATA_TRAIN ? train : test));
        double mean, deviation;
        mean_and_deviation(run_data_get_info(data), &mean, &deviation);
        EVERYWHERE(fabs(mean) < 0.05 && fabs(deviation - 1) < 0.05);
        run_data_close(&data);
    }
}

static void opens_mnist(void **state)
{
    (void)state;
    opens_the_real_set(RUN_DATA_MNIST, "mnist", base_shape_image(1, 28, 28), 60000, 10000);
}

static void opens_cifar10(void **state)
{
    (void)state;
    opens_the_real_set(RUN_DATA_CIFAR10, "cifar10", base_shape_image(3, 32, 32), 10000, 1000);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_raw_idx),
        TEST(reads_gzip_idx),
        TEST(reads_other_spelling_and_test_split),
        TEST(looks_at_content_not_names),
        TEST(reads_several_gzip_members),
        TEST(takes_the_first_samples),
        TEST(accepts_flat_input_and_features),
        TEST(normalises_by_mean_and_deviation),
        TEST(looks_under_ddpt_data_first),
        TEST(node_has_one_copy),
        TEST(reads_cifar_batches),
        TEST(reads_cifar_in_its_own_folder),
        TEST(draws_the_same_digits_everywhere),
        TEST(tests_other_digits_than_it_trains),
        TEST(makes_synthetic_data_of_any_shape),
        TEST(opens_mnist),
        TEST(opens_cifar10),
    };
    test_open_world();
    return test_close_world(cmocka_run_group_tests(tests, NULL, NULL));
}
