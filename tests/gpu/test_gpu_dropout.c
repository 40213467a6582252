/* Dropout with the host's masks; batches gathered from a data set. */
#include "gpu_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const gpu_type types[] = {GPU_F32, GPU_BF16};
enum { TYPES = 2 };

typedef struct shape {
    int64_t batch, n;
    float rate;
    int64_t first_sample;
    uint64_t step;
} shape;

static const uint64_t seed = 0x0123456789abcdefu;
static const uint32_t random_stream = 40000;

static void host_forward(const shape *s, const float *x, float *y, uint8_t *mask)
{
    const ops_step step = {.step = s->step, .first_sample = s->first_sample};
    base_pool *pool = NULL;
    ops_context *self = NULL;
    assert_int_equal(base_pool_create(&pool, 1), BASE_OK);
    const ops_options options = {.pool = pool, .gemm = "auto"};
    assert_int_equal(ops_host()->open(&options, &self), BASE_OK);
    assert_int_equal(ops_host()->begin_step(self, &step), BASE_OK);
    assert_int_equal(ops_host()->dropout_forward(self, s->batch, s->n, s->rate, seed, random_stream, x, y, mask),
                     BASE_OK);
    ops_host()->close(&self);
    base_pool_destroy(&pool);
}

static void *upload_step(const shape *s)
{
    ops_step step = {.step = s->step, .first_sample = s->first_sample};
    return gpu_test_upload(&step, sizeof step);
}

static gpu_drop drop_of(const shape *s, const ops_step *step)
{
    return (gpu_drop){.rate = s->rate, .seed = seed, .random_stream = random_stream, .step = step};
}

static float rounded(gpu_type type, float x)
{
    return type == GPU_BF16 ? gpu_test_bf16(x) : x;
}

static void mask_case(gpu_type type, const shape *s)
{
    const int64_t count = s->batch * s->n;
    uint64_t state = 21;
    float *x_host, *want = gpu_test_host((size_t)count * sizeof *want);
    uint8_t *want_mask = gpu_test_host((size_t)count);
    void *x = gpu_test_random(type, &state, count, -1.0, 1.0, &x_host), *y = gpu_test_tensor(type, count);
    void *dx = gpu_test_tensor(type, count), *mask = gpu_test_memory((size_t)count), *step = upload_step(s);
    double *wide = gpu_test_host((size_t)count * sizeof *wide);
    host_forward(s, x_host, want, want_mask);
    for (int64_t i = 0; i < count; i++)
        wide[i] = (double)rounded(type, want[i]);

    const gpu_drop drop = drop_of(s, step);
    GPU_TEST(gpu_dropout_forward(gpu_test_stream, type, s->batch, s->n, &drop, x, y, mask));
    gpu_test_same("mask", mask, want_mask, (size_t)count);
    gpu_test_near_within("y", type, y, wide, count, 0.0);

    GPU_TEST(gpu_dropout_backward(gpu_test_stream, type, s->batch, s->n, s->rate, mask, x, dx, 0));
    gpu_test_near_within("dx", type, dx, wide, count, 0.0);
    GPU_TEST(gpu_dropout_backward(gpu_test_stream, type, s->batch, s->n, s->rate, mask, x, dx, 1));
    for (int64_t i = 0; i < count; i++)
        wide[i] *= 2.0;
    gpu_test_near("dx twice", type, dx, wide, count);
    GPU_TEST(gpu_dropout_backward(gpu_test_stream, type, s->batch, s->n, s->rate, mask, x, NULL, 0));

    uint64_t first = gpu_test_digest(y, gpu_test_size(type, count)); /* y over x */
    GPU_TEST(gpu_dropout_forward(gpu_test_stream, type, s->batch, s->n, &drop, x, x, mask));
    assert_true(gpu_test_digest(x, gpu_test_size(type, count)) == first);
    gpu_test_end(NULL);
}

static void masks_are_the_hosts(void **state)
{
    (void)state;
    static const shape cases[] = {
        {0, 512, 0.2f, 0, 3},
        {1, 1, 0.5f, 0, 0},
        {3, 10, 0.2f, 5, 1},
        {2, 33, 0.0f, 1, 0xffffffffu},
        {5, 1023, 0.75f, 100, 7},
        {3, 1024, 0.999f, 7, 0x123456789abu},
        {2, 2051, 0.25f, 1, 40},
        {1, 5000, 1e-7f, 4294967295, 5},
        {130, 512, 0.2f, 123456, 9},
        {70, 1500, 0.5f, 60000, 0xffffffffffffu},
        {1, GPU_TEST_LONG(20003, 1000003), 0.3f, 2, 11},
        {GPU_TEST_LONG(20003, 1000003), 4, 0.3f, 2, 11},
        {3, 127, 0.5f, 4294967290, 2},
    };
    for (int t = 0; t < TYPES; t++)
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            mask_case(types[t], &cases[i]);
}

static void dropped_elements_are_zero_whatever_they_were(void **state)
{
    (void)state;
    enum { N = 401 };
    const shape s = {1, N, 0.5f, 0, 1};
    for (int t = 0; t < TYPES; t++) {
        void *x = gpu_test_tensor(types[t], N), *y = gpu_test_tensor(types[t], N), *mask = gpu_test_memory(N); /* NaN */
        const gpu_drop drop = drop_of(&s, upload_step(&s));
        void *dx = gpu_test_tensor(types[t], N);
        GPU_TEST(gpu_dropout_forward(gpu_test_stream, types[t], 1, N, &drop, x, y, mask));
        GPU_TEST(gpu_dropout_backward(gpu_test_stream, types[t], 1, N, s.rate, mask, x, dx, 0));
        const float *got = gpu_test_download_tensor(types[t], y, N);
        const float *gradient = gpu_test_download_tensor(types[t], dx, N);
        const uint8_t *kept = gpu_test_download(mask, N);
        for (int i = 0; i < N; i++) {
            assert_true(kept[i] ? isnan(got[i]) : got[i] == 0.0f);
            assert_true(kept[i] ? isnan(gradient[i]) : gradient[i] == 0.0f);
        }
    }
}

/* A word that is exactly rate 2^32 keeps its element; the next rate up drops it. */
static void a_word_equal_to_the_rate_is_kept(void **state)
{
    (void)state;
    enum { N = 2048 };
    shape s = {1, N, 0.0f, 0, 1};
    const base_random random = base_random_stream(seed, random_stream, s.step);
    uint32_t words[4] = {1, 1, 1, 1};
    int64_t element = 0;
    for (; element < N; element++) { /* one in 256 words is a float times 2^32 */
        base_random_block(&random, 0, (uint32_t)(element / 4), words);
        if (words[element % 4] % 256 == 0)
            break;
    }
    assert_true(element < N);
    const float rates[2] = {(float)words[element % 4] * 0x1p-32f,
                            nextafterf((float)words[element % 4] * 0x1p-32f, 1.0f)};
    for (int i = 0; i < 2; i++) {
        void *x = gpu_test_tensor(GPU_F32, N), *mask = gpu_test_memory(N);
        s.rate = rates[i];
        const gpu_drop drop = drop_of(&s, upload_step(&s));
        GPU_TEST(gpu_dropout_forward(gpu_test_stream, GPU_F32, 1, N, &drop, x, x, mask));
        assert_int_equal(((uint8_t *)gpu_test_download(mask, N))[element], i == 0);
    }
}

typedef struct data_set {
    int64_t samples, batch, size, c;
    int offset; /* of the pixels from an aligned address */
    int whole;  /* the batch is all samples in their order, without indices */
} data_set;

static void gather_case(gpu_type type, const data_set *d)
{
    uint64_t state = 31;
    const int64_t count = d->batch * d->size, bytes = d->samples * d->size;
    uint8_t *pixels = gpu_test_host((size_t)(bytes + d->offset));
    int32_t *labels = gpu_test_host((size_t)d->samples * sizeof *labels), *want_labels = NULL;
    int64_t *sample = gpu_test_host((size_t)d->batch * sizeof *sample);
    float *scale, *shift;
    double *want = gpu_test_host((size_t)count * sizeof *want);
    void *device_scale = gpu_test_random(GPU_F32, &state, d->c, 0.001, 0.02, &scale);
    void *device_shift = gpu_test_random(GPU_F32, &state, d->c, -3.0, 3.0, &shift);
    for (int64_t i = 0; i < bytes; i++)
        pixels[d->offset + i] = (uint8_t)ops_reference_int(&state, 0, 255);
    for (int64_t i = 0; i < d->samples; i++)
        labels[i] = (int32_t)ops_reference_int(&state, 0, 999);
    want_labels = gpu_test_host((size_t)d->batch * sizeof *want_labels);
    for (int64_t i = 0; i < d->batch; i++) {
        sample[i] = d->whole ? i : ops_reference_int(&state, 0, d->samples - 1);
        want_labels[i] = labels[sample[i]];
        for (int64_t j = 0; j < d->size; j++)
            want[i * d->size + j] =
                (double)pixels[d->offset + sample[i] * d->size + j] * (double)scale[j % d->c] + (double)shift[j % d->c];
    }
    const uint8_t *device_pixels = gpu_test_upload(pixels, (size_t)(bytes + d->offset));
    void *device_labels = gpu_test_upload(labels, (size_t)d->samples * sizeof *labels);
    const ops_step step = {.samples = gpu_test_upload(sample, (size_t)d->batch * sizeof *sample)};
    const ops_step *device_step = d->whole ? NULL : gpu_test_upload(&step, sizeof step);
    void *x = gpu_test_tensor(type, count), *got = gpu_test_memory((size_t)d->batch * sizeof *labels);
    GPU_TEST(gpu_gather_samples(gpu_test_stream, type, d->batch, d->size, d->c, device_pixels + d->offset,
                                device_labels, device_step, device_scale, device_shift, x, got));
    gpu_test_near("x", type, x, want, count);
    gpu_test_same("labels", got, want_labels, (size_t)d->batch * sizeof *labels);
    gpu_test_end(NULL);
}

static void batches_of_samples(void **state)
{
    (void)state;
    static const data_set sets[] = {{10, 0, 12, 3, 0, 0},       {1, 1, 1, 1, 0, 0},
                                    {100, 33, 784, 1, 0, 0},    {50, 17, 3072, 3, 0, 0},
                                    {20, 127, 15, 5, 0, 0},     {20, 9, 64, 64, 0, 0},
                                    {20, 9, 640, 1, 3, 0},      {7, 1003, 48, 3, 4, 0},
                                    {9, 5, 20004, 20004, 0, 0}, {30, GPU_TEST_LONG(3003, 100003), 8, 2, 0, 0},
                                    {5, 3, 33, 33, 1, 0},       {6, 6, 784, 1, 0, 1}};
    for (int t = 0; t < TYPES; t++)
        for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
            gather_case(types[t], &sets[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(masks_are_the_hosts, gpu_test_end),
        cmocka_unit_test_teardown(a_word_equal_to_the_rate_is_kept, gpu_test_end),
        cmocka_unit_test_teardown(dropped_elements_are_zero_whatever_they_were, gpu_test_end),
        cmocka_unit_test_teardown(batches_of_samples, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
