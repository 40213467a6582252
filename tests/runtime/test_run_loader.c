/* A batch depends on sampler, epoch and step alone: not on the thread, nor on how many ranks share it. */
#include "comm/comm_test.h"
#include "run_loader.h"

#include <pthread.h>

enum { SAMPLES = 130, BATCH = 16, STEPS = 9, COUNT = 3 * 5 * 7 }; /* the last batch of an epoch has 2 samples */

static run_data *data;
static const run_data_info *info;

static run_sampler sampler_of(int sampler_rank, int sampler_size)
{
    return (run_sampler){
        .samples = SAMPLES, .batch = BATCH, .seed = 9, .shuffle = 1, .rank = sampler_rank, .size = sampler_size};
}

static run_loader *open_loader(const run_sampler *sampler, int64_t epoch, int64_t step, int background)
{
    run_loader *loader = NULL;
    run_loader_options options = {.data = data, .ops = ops_host(), .sampler = *sampler, .background = background};
    assert_int_equal(run_loader_create(&options, &loader), BASE_OK);
    assert_int_equal(run_loader_seek(loader, epoch, step), BASE_OK);
    return loader;
}

/* The samples of the batch, looked up one by one. A kernel may fuse multiply and add, so one rounding is allowed. */
static void assert_batch(const run_batch *batch, const run_sampler *sampler, int64_t epoch, int64_t step)
{
    assert_int_equal(batch->epoch, epoch);
    assert_int_equal(batch->step_in_epoch, step);
    assert_int_equal(batch->last_in_epoch, step == STEPS - 1);
    run_share share = run_sampler_share(sampler, step);
    assert_memory_equal(&batch->share, &share, sizeof share);
    assert_int_equal((uintptr_t)batch->x % 64, 0);
    for (int64_t i = 0; i < share.share_count; i++) {
        int64_t sample = run_sampler_index(sampler, epoch, share.position + share.share_begin + i);
        assert_int_equal(batch->labels[i], info->labels[sample]);
        for (int64_t j = 0; j < COUNT; j++) {
            int64_t c = j % info->shape.c;
            float expected = (float)info->pixels[sample * COUNT + j] * info->scale[c] + info->shift[c];
            float difference = ((const float *)batch->x)[i * COUNT + j] - expected;
            assert_true(difference < 1e-6f && difference > -1e-6f);
        }
    }
}

static void runs_through_epochs(void **state)
{
    const int background = *(const int *)*state;
    run_sampler sampler = sampler_of(rank, size);
    run_loader *loader = open_loader(&sampler, 0, 0, background);
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        for (int64_t step = 0; step < STEPS; step++) {
            run_batch batch;
            assert_int_equal(run_loader_next(loader, &batch), BASE_OK);
            assert_batch(&batch, &sampler, epoch, step);
        }
    }
    run_loader_destroy(&loader);
    assert_null(loader);
}

static void starts_and_goes_on_anywhere(void **state)
{
    const int background = *(const int *)*state;
    run_sampler sampler = sampler_of(rank, size);
    static const int64_t places[][2] = {{0, 0}, {7, 3}, {2, STEPS - 1}, {0, 1}};
    run_loader *loader = open_loader(&sampler, 4, 2, background);
    run_batch batch;
    assert_int_equal(run_loader_next(loader, &batch), BASE_OK);
    assert_batch(&batch, &sampler, 4, 2);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(run_loader_seek(loader, places[i][0], places[i][1]), BASE_OK);
        for (int64_t at = places[i][1]; at < places[i][1] + i; at++) {
            assert_int_equal(run_loader_next(loader, &batch), BASE_OK);
            assert_batch(&batch, &sampler, places[i][0] + at / STEPS, at % STEPS);
        }
    }
    assert_int_equal(run_loader_seek(loader, 0, STEPS), BASE_ERROR);
    run_loader_destroy(&loader);
}

/* The batch in hand must not change while the next one is made. */
static void keeps_the_batch_in_hand(void **state)
{
    (void)state;
    run_sampler sampler = sampler_of(0, 1);
    run_loader *loader = open_loader(&sampler, 0, 0, 1);
    for (int64_t step = 0; step < 5; step++) {
        run_batch batch;
        assert_int_equal(run_loader_next(loader, &batch), BASE_OK);
        for (int i = 0; i < 100; i++)
            sched_yield();
        assert_batch(&batch, &sampler, 0, step);
    }
    run_loader_destroy(&loader);
}

/* What several ranks load, one after another, is what one rank loads, to the bit. */
static void shares_make_up_the_batch(void **state)
{
    (void)state;
    for (int parts = 2; parts <= 5; parts++) {
        run_sampler whole = sampler_of(0, 1);
        run_loader *all = open_loader(&whole, 1, 0, 0), *part[5];
        run_sampler sampler[5];
        for (int r = 0; r < parts; r++) {
            sampler[r] = sampler_of(r, parts);
            part[r] = open_loader(&sampler[r], 1, 0, r % 2);
        }
        for (int64_t step = 0; step < STEPS; step++) {
            run_batch batch, mine;
            int64_t done = 0;
            assert_int_equal(run_loader_next(all, &batch), BASE_OK);
            for (int r = 0; r < parts; r++) {
                assert_int_equal(run_loader_next(part[r], &mine), BASE_OK);
                const size_t n = (size_t)mine.share.share_count;
                assert_memory_equal(mine.x, (const float *)batch.x + done * COUNT, n * COUNT * sizeof(float));
                assert_memory_equal(mine.labels, batch.labels + done, n * sizeof(int32_t));
                done += mine.share.share_count;
            }
            assert_int_equal(done, batch.share.count);
        }
        for (int r = 0; r < parts; r++)
            run_loader_destroy(&part[r]);
        run_loader_destroy(&all);
    }
}

/* Bytes and indices make up what floats do; and batches stay as long as the device may be behind. */
static void other_contents_keep_their_batches(void **state)
{
    enum { KEEP = 4 };
    const int background = *(const int *)*state;
    run_loader_options options = {.data = data, .sampler = sampler_of(0, 1), .background = background, .keep = KEEP};
    run_loader *bytes = NULL, *indices = NULL;
    run_batch of_bytes[KEEP], of_indices[KEEP];
    options.content = RUN_LOADER_BYTES;
    assert_int_equal(run_loader_create(&options, &bytes), BASE_OK);
    options.content = RUN_LOADER_INDICES;
    assert_int_equal(run_loader_create(&options, &indices), BASE_OK);
    for (int64_t n = 0; n < 3 * STEPS; n++) {
        assert_int_equal(run_loader_next(bytes, &of_bytes[n % KEEP]), BASE_OK);
        assert_int_equal(run_loader_next(indices, &of_indices[n % KEEP]), BASE_OK);
        for (int64_t old = n < KEEP ? 0 : n - KEEP + 1; old <= n; old++) {
            const run_batch *b = &of_bytes[old % KEEP], *i = &of_indices[old % KEEP];
            assert_int_equal(b->step_in_epoch, old % STEPS);
            for (int64_t s = 0; s < b->share.share_count; s++) {
                int64_t sample = run_sampler_index(&options.sampler, old / STEPS, b->share.position + s);
                assert_int_equal(i->indices[s], sample);
                assert_int_equal(b->labels[s], info->labels[sample]);
                assert_memory_equal(b->pixels + s * COUNT, info->pixels + sample * COUNT, COUNT);
            }
        }
    }
    run_loader_destroy(&bytes);
    run_loader_destroy(&indices);
}

static void allocates_nothing_after_creation(void **state)
{
    const int background = *(const int *)*state;
    run_sampler sampler = sampler_of(0, 1);
    run_loader *loader = open_loader(&sampler, 0, 0, background);
    const uint64_t count = base_arena_count();
    const size_t nbytes = base_arena_bytes();
    run_batch batch;
    for (int i = 0; i < 100; i++)
        assert_int_equal(run_loader_next(loader, &batch), BASE_OK);
    assert_int_equal(run_loader_seek(loader, 0, 0), BASE_OK);
    assert_int_equal(base_arena_count(), count);
    assert_int_equal(base_arena_bytes(), nbytes);
    run_loader_destroy(&loader);
    assert_true(base_arena_bytes() < nbytes);
}

static base_status failing_normalize(ops_context *self, int64_t count, int64_t c, const uint8_t *pixels,
                                     const float *scale, const float *shift, float *x)
{
    (void)self;
    (void)count;
    (void)c;
    (void)pixels;
    (void)scale;
    (void)shift;
    (void)x;
    return BASE_FAIL(BASE_DEVICE, "no normalisation today");
}

static void passes_a_failure_on(void **state)
{
    const int background = *(const int *)*state;
    ops_table table = *ops_host();
    table.normalize = failing_normalize;
    run_sampler sampler = sampler_of(0, 1);
    run_loader *loader = NULL;
    run_batch batch;
    run_loader_options options = {.data = data, .ops = &table, .sampler = sampler, .background = background};
    assert_int_equal(run_loader_create(&options, &loader), BASE_OK);
    base_status_clear();
    assert_int_equal(run_loader_next(loader, &batch), BASE_DEVICE);
    assert_string_equal(base_status_message(), "no normalisation today");
    run_loader_destroy(&loader);
}

static void ends_while_batches_are_made(void **state)
{
    (void)state;
    run_sampler sampler = sampler_of(0, 1);
    for (int i = 0; i < 200; i++) {
        run_loader *loader = open_loader(&sampler, 0, 0, 1);
        run_loader_destroy(&loader);
    }
}

static base_status open_data(void)
{
    const run_config config = {.path = "test.cfg",
                               .data = {.format = RUN_DATA_SYNTHETIC, .train_samples = SAMPLES},
                               .model = {.input = {.h = 5, .w = 7, .c = 3}}};
    return run_data_open(world, &config, RUN_DATA_TRAIN, &data);
}

#define BOTH(function) cmocka_unit_test_prestate(function, &modes[0]), cmocka_unit_test_prestate(function, &modes[1])

int main(void)
{
    static int modes[] = {0, 1}; /* without and with the thread */
    const struct CMUnitTest tests[] = {
        BOTH(runs_through_epochs),
        BOTH(starts_and_goes_on_anywhere),
        cmocka_unit_test(keeps_the_batch_in_hand),
        cmocka_unit_test(shares_make_up_the_batch),
        BOTH(other_contents_keep_their_batches),
        BOTH(allocates_nothing_after_creation),
        BOTH(passes_a_failure_on),
        cmocka_unit_test(ends_while_batches_are_made),
    };
    test_open_world();
    if (open_data() != BASE_OK) {
        fprintf(stderr, "%s\n", base_status_message());
        return test_close_world(1);
    }
    info = run_data_get_info(data);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    run_data_close(&data);
    return test_close_world(failed);
}
