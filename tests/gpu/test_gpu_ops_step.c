/* The GPU's slots that a step ends with, losses and optimizers, and a step as a whole: captured once, it serves all
 * later steps. */
#include "gpu_device.h"
#include "gpu_ops_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* ---- loss ---- */

static double loss_of(int softmax, const float *x, int64_t n, int64_t label, double scale, double *dx)
{
    double most = -INFINITY, sum = 0.0, squares = 0.0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, (double)x[i]);
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)x[i] - most);
    for (int64_t i = 0; i < n; i++) {
        const double one = i == label ? 1.0 : 0.0, difference = (double)x[i] - one;
        squares += difference * difference / (double)n;
        dx[i] = scale * (softmax ? exp((double)x[i] - most) / sum - one : 2.0 * difference / (double)n);
    }
    return softmax ? log(sum) + most - (double)x[label] : squares;
}

static void loss_case(gpu_ops_test *t, int softmax, int64_t batch, int64_t n, int training)
{
    uint64_t state = (uint64_t)(batch * 100 + n);
    float *x;
    void *device = gpu_test_random(t->type, &state, batch * n, -4.0, 4.0, &x),
         *dx = gpu_test_tensor(t->type, batch * n);
    int32_t *labels = gpu_test_host((size_t)batch * sizeof *labels);
    double want[2] = {0.0, 0.0}, *want_dx = gpu_test_host((size_t)(batch * n) * sizeof *want_dx);
    double *result = gpu_test_memory(sizeof want);
    for (int64_t i = 0; i < batch; i++) {
        int64_t best = 0;
        for (int64_t j = 1; j < n; j++)
            best = x[i * n + j] > x[i * n + best] ? j : best;
        labels[i] = (int32_t)(i % 3 == 0 ? best : ops_reference_int(&state, 0, n - 1));
        want[0] += loss_of(softmax, x + i * n, n, labels[i], 0.25, want_dx + i * n);
        want[1] += labels[i] == best;
    }
    const int32_t *device_labels = gpu_test_upload(labels, (size_t)batch * sizeof *labels);
    base_status (*slot)(ops_context *, int64_t, int64_t, const void *, const int32_t *, float, void *, double *) =
        softmax ? ops_gpu.softmax_cross_entropy : ops_gpu.mean_squared_error;
    GPU_OPS(slot(t->self, batch, n, device, device_labels, 0.25f, training ? dx : NULL, result));
    gpu_test_near_doubles("loss", result, want, 2, 1e-5);
    if (training)
        gpu_test_near("dx", t->type, dx, want_dx, batch * n);
    gpu_test_end(NULL);
}

static void run_losses(gpu_ops_test *t)
{
    uint64_t state = 3;
    for (int i = 0; i < 16; i++)
        loss_case(t, i & 1, i < 2 ? 0 : ops_reference_int(&state, 1, 40), ops_reference_int(&state, 1, 60), i & 2);
}

static void losses(void **state)
{
    (void)state;
    gpu_ops_test_all(run_losses);
}

/* ---- optimizers ---- */

/* Part of the bound parameters, after a clip: masters, and what products see of them. */
static void update_case(gpu_ops_test *t, int adam)
{
    enum { COUNT = 500, FROM = 37, PART = 401 };
    const ops_step step = {.update = 3, .lr = 0.01f, .grad_scale = 1.0f};
    const ops_sgd sgd = {.momentum = 0.9f, .weight_decay = 0.01f};
    const ops_adam op = {.beta1 = 0.9f, .beta2 = 0.99f, .eps = 1e-6f, .weight_decay = 0.1f, .decoupled = 1};
    uint64_t state = 17;
    float *seen, *g, *m, *v;
    float *p = gpu_ops_test_params(t, &state, COUNT, 1.0, &seen);
    const float *before = gpu_test_download(p, COUNT * sizeof *p);
    float *device_g = gpu_test_random(GPU_F32, &state, COUNT, -1.0, 1.0, &g);
    float *device_m = gpu_test_random(GPU_F32, &state, PART, -1.0, 1.0, &m);
    float *device_v = gpu_test_random(GPU_F32, &state, PART, 0.1, 1.0, &v);
    double *want = ops_reference_widen(before, COUNT), squares = 0.0, *sum = gpu_test_memory(sizeof *sum);
    for (int i = 0; i < COUNT; i++)
        squares += (double)g[i] * (double)g[i];
    const double scale = 2.0 / sqrt(squares);
    GPU_OPS(ops_gpu.begin_step(t->self, &step));
    GPU_OPS(ops_gpu.sum_of_squares(t->self, 100, device_g, 0, sum));
    GPU_OPS(ops_gpu.sum_of_squares(t->self, COUNT - 100, device_g + 100, 1, sum));
    gpu_test_near_doubles("squares", sum, &squares, 1, 1e-12);
    GPU_OPS(ops_gpu.clip(t->self, 2.0, sum));
    if (adam)
        GPU_OPS(ops_gpu.adam_update(t->self, &op, PART, device_g + FROM, p + FROM, device_m, device_v));
    else
        GPU_OPS(ops_gpu.sgd_update(t->self, &sgd, PART, device_g + FROM, p + FROM, device_m));
    for (int i = 0; i < PART; i++) {
        const double slope = scale * (double)g[FROM + i], b1 = 0.9, b2 = (double)op.beta2;
        double *at = &want[FROM + i];
        if (adam) {
            const double mean = (0.9 * (double)m[i] + 0.1 * slope) / (1.0 - pow(b1, 3.0));
            const double square = (b2 * (double)v[i] + (1.0 - b2) * slope * slope) / (1.0 - pow(b2, 3.0));
            *at -= 0.01 * (0.1 * *at + mean / (sqrt(square) + 1e-6));
        } else {
            *at -= 0.01 * (0.9 * (double)m[i] + slope + 0.01 * *at);
        }
    }
    gpu_test_near("p", GPU_F32, p, want, COUNT);
    /* A product with 1 shows the parameter as products see it. */
    float one = 1.0f;
    void *x = gpu_test_upload_tensor(t->type, &one, 1), *y = gpu_test_tensor(t->type, COUNT);
    const ops_dense dense = {1, COUNT, OPS_IDENTITY};
    GPU_OPS(ops_gpu.dense_forward(t->self, &dense, 1, x, p, NULL, y, NULL));
    gpu_test_near_within("p as products see it", t->type, y, want, COUNT, t->tolerance);
    ops_reference_free(want);
    gpu_test_end(NULL);
}

static void run_updates(gpu_ops_test *t)
{
    update_case(t, 0);
    update_case(t, 1);
}

static void optimizers_and_what_products_see(void **state)
{
    (void)state;
    gpu_ops_test_all(run_updates);
}

/* ---- a step ---- */

enum { BATCH = 12, PIXELS = 48, HIDDEN = 32, CLASSES = 10, SAMPLES = 50, STEPS = 4 };
enum { W1 = 0, B1 = W1 + PIXELS * HIDDEN, W2 = B1 + HIDDEN, B2 = W2 + HIDDEN * CLASSES, PARAMS = B2 + 16 };

/* Two dense layers with dropout between them, on samples that lie on the device. */
typedef struct net {
    const gpu_ops_test *t;
    float *p, *g, *m;
    uint8_t *pixels, *mask;
    int32_t *all_labels, *labels;
    int64_t *sample;
    float *scale, *shift;
    void *x, *h, *y, *dh, *dy;
    double *loss, *squares; /* loss: 2 */
} net;

static net net_make(const gpu_ops_test *t)
{
    uint64_t state = 99;
    float *unused;
    uint8_t pixels[SAMPLES * PIXELS];
    int32_t labels[SAMPLES];
    for (int i = 0; i < SAMPLES * PIXELS; i++)
        pixels[i] = (uint8_t)ops_reference_int(&state, 0, 255);
    for (int i = 0; i < SAMPLES; i++)
        labels[i] = (int32_t)ops_reference_int(&state, 0, CLASSES - 1);
    const float scale = 1.0f / 255.0f, shift = -0.5f;
    net n = {.t = t, .p = gpu_ops_test_params(t, &state, PARAMS, 0.3, &unused)};
    n.m = gpu_test_random(GPU_F32, &state, PARAMS, 0.0, 0.0, NULL);
    n.g = gpu_test_random(GPU_F32, &state, PARAMS, 0.0, 0.0, NULL);
    n.pixels = gpu_test_upload(pixels, sizeof pixels);
    n.all_labels = gpu_test_upload(labels, sizeof labels);
    n.scale = gpu_test_upload(&scale, sizeof scale);
    n.shift = gpu_test_upload(&shift, sizeof shift);
    n.mask = gpu_test_memory(BATCH * HIDDEN);
    n.labels = gpu_test_memory(BATCH * sizeof *n.labels);
    n.sample = gpu_test_memory(BATCH * sizeof *n.sample);
    n.x = gpu_test_tensor(t->type, BATCH * PIXELS);
    n.h = gpu_test_tensor(t->type, BATCH * HIDDEN);
    n.dh = gpu_test_tensor(t->type, BATCH * HIDDEN);
    n.y = gpu_test_tensor(t->type, BATCH * CLASSES);
    n.dy = gpu_test_tensor(t->type, BATCH * CLASSES);
    n.loss = gpu_test_memory(2 * sizeof *n.loss);
    n.squares = gpu_test_memory(sizeof *n.squares);
    return n;
}

static void net_run(const net *n)
{
    const ops_dense one = {PIXELS, HIDDEN, OPS_RELU}, two = {HIDDEN, CLASSES, OPS_IDENTITY};
    const ops_sgd sgd = {.momentum = 0.9f, .weight_decay = 1e-3f};
    ops_context *self = n->t->self;
    GPU_OPS(ops_gpu.gather_samples(self, BATCH, PIXELS, 1, n->pixels, n->all_labels, 1, n->scale, n->shift, n->x,
                                   n->labels));
    GPU_OPS(ops_gpu.dense_forward(self, &one, BATCH, n->x, n->p + W1, n->p + B1, n->h, NULL));
    GPU_OPS(ops_gpu.dropout_forward(self, BATCH, HIDDEN, 0.3f, 7, 1025, n->h, n->h, n->mask));
    GPU_OPS(ops_gpu.dense_forward(self, &two, BATCH, n->h, n->p + W2, n->p + B2, n->y, NULL));
    GPU_OPS(ops_gpu.softmax_cross_entropy(self, BATCH, CLASSES, n->y, n->labels, 1.0f / BATCH, n->dy, n->loss));
    GPU_OPS(
        ops_gpu.dense_backward(self, &two, BATCH, n->h, n->p + W2, n->y, NULL, n->dy, n->g + W2, n->g + B2, n->dh, 0));
    GPU_OPS(ops_gpu.dropout_backward(self, BATCH, HIDDEN, 0.3f, n->mask, n->dh, n->dh, 0));
    GPU_OPS(
        ops_gpu.dense_backward(self, &one, BATCH, n->x, n->p + W1, n->h, NULL, n->dh, n->g + W1, n->g + B1, NULL, 0));
    GPU_OPS(ops_gpu.sum_of_squares(self, PARAMS, n->g, 0, n->squares));
    GPU_OPS(ops_gpu.clip(self, 0.5, n->squares));
    GPU_OPS(ops_gpu.sgd_update(self, &sgd, PARAMS, n->g, n->p, n->m));
}

static void begin(const net *n, int s)
{
    const ops_step step = {.step = (uint64_t)s,
                           .update = s + 1,
                           .lr = 0.1f / (float)(s + 1),
                           .grad_scale = 1.0f,
                           .first_sample = 100 * s,
                           .samples = n->sample};
    int64_t sample[BATCH];
    for (int i = 0; i < BATCH; i++)
        sample[i] = (s * 17 + i * 5) % SAMPLES;
    gpu_test_write(n->sample, sample, sizeof sample);
    GPU_OPS(ops_gpu.begin_step(n->t->self, &step));
}

static void run_captured(gpu_ops_test *t)
{
    const base_device_table *table = &gpu_device_table;
    base_stream *stream = (base_stream *)gpu_test_stream;
    base_device *device = NULL;
    base_graph *graph = NULL;
    double losses[STEPS][2];
    GPU_OPS(table->open(&device, 0));

    net plain = net_make(t);
    for (int s = 0; s < STEPS; s++) {
        begin(&plain, s);
        net_run(&plain);
        memcpy(losses[s], gpu_test_download(plain.loss, sizeof losses[s]), sizeof losses[s]);
    }
    const void *want = gpu_test_download(plain.p, PARAMS * sizeof(float));

    net captured = net_make(t);
    begin(&captured, 0);
    net_run(&captured);
    GPU_OPS(table->capture_begin(device, stream));
    net_run(&captured);
    GPU_OPS(table->capture_end(device, stream, &graph));
    for (int s = 1; s < STEPS; s++) {
        begin(&captured, s);
        GPU_OPS(table->graph_launch(device, graph, stream));
        gpu_test_same("loss", captured.loss, losses[s], sizeof losses[s]);
    }
    gpu_test_same("parameters", captured.p, want, PARAMS * sizeof(float));
    table->graph_destroy(device, &graph);
    assert_null(graph);
    table->close(&device);
}

static void a_captured_step_serves_the_later_ones(void **state)
{
    (void)state;
    gpu_ops_test_all(run_captured);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(losses, gpu_test_end),
        cmocka_unit_test_teardown(optimizers_and_what_products_see, gpu_test_end),
        cmocka_unit_test_teardown(a_captured_step_serves_the_later_ones, gpu_test_end),
    };
    return cmocka_run_group_tests(tests, gpu_test_begin_group, gpu_test_end_group);
}
