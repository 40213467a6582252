#include "ops_reference.h"

#include "ops_host.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { GUARD = 128, GUARD_BYTE = 0xa5 };

static uint64_t run_once(ops_reference_case *run, const void *argument, ops_options options, const ops_table *table,
                         int threads)
{
    base_pool *pool = NULL;
    ops_context *self = NULL;
    assert_int_equal(base_pool_create(&pool, threads), BASE_OK);
    options.pool = pool;
    assert_int_equal(table->open(&options, &self), BASE_OK);
    uint64_t digest = run(table, self, argument);
    table->close(&self);
    base_pool_destroy(&pool);
    return digest;
}

void ops_reference_run(ops_reference_case *run, const void *argument)
{
    ops_reference_run_with(run, argument, "auto");
}

int ops_reference_has(const char *gemm)
{
    ops_context *self = NULL;
    ops_options options = {.gemm = gemm};
    base_status status = ops_host()->open(&options, &self);
    ops_host()->close(&self);
    if (status != BASE_OK)
        printf("skipped: %s\n", base_status_message());
    return status == BASE_OK;
}

static void run_isa(ops_reference_case *run, const void *argument, const ops_options *options, const char *isa)
{
    const ops_table *table = ops_host_isa(isa);
    if (!table)
        return;
    uint64_t one = run_once(run, argument, *options, table, 1);
    uint64_t three = run_once(run, argument, *options, table, 3);
    if (one != three)
        fail_msg("%s: other results with 3 threads than with 1", table->name);
}

static void run_options(ops_reference_case *run, const void *argument, const ops_options *options)
{
    static const char *const names[] = {"generic", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        run_isa(run, argument, options, names[i]);
}

void ops_reference_run_with(ops_reference_case *run, const void *argument, const char *gemm)
{
    run_options(run, argument, &(ops_options){.gemm = gemm});
}

void ops_reference_run_bf16(ops_reference_case *run, const void *argument, const char *gemm)
{
    ops_options options = {.gemm = gemm, .precision = OPS_BF16};
    setenv("DDPT_HOST_BF16", "emulate", 1);
    run_options(run, argument, &options);
    unsetenv("DDPT_HOST_BF16");
    if (ops_bf16_native())
        run_isa(run, argument, &options, "avx512");
}

uint64_t ops_reference_digest(uint64_t digest, const void *memory, size_t nbytes)
{
    const unsigned char *byte = memory;
    digest ^= 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < nbytes; i++)
        digest = (digest ^ byte[i]) * 0x100000001b3u;
    return digest;
}

/* The size lies at the start of the guard before the memory. */
void *ops_reference_alloc(size_t nbytes)
{
    size_t room = (nbytes + 2 * GUARD + 63) / 64 * 64;
    unsigned char *base = aligned_alloc(64, room);
    assert_non_null(base);
    memset(base, GUARD_BYTE, room);
    memset(base + GUARD, 0xff, nbytes);
    memcpy(base, &nbytes, sizeof nbytes);
    return base + GUARD;
}

float *ops_reference_floats(int64_t count)
{
    return ops_reference_alloc((size_t)count * sizeof(float));
}

double *ops_reference_doubles(int64_t count)
{
    return ops_reference_alloc((size_t)count * sizeof(double));
}

void ops_reference_check(const void *memory)
{
    const unsigned char *base = (const unsigned char *)memory - GUARD;
    size_t nbytes;
    memcpy(&nbytes, base, sizeof nbytes);
    for (size_t i = sizeof nbytes; i < GUARD; i++)
        if (base[i] != GUARD_BYTE)
            fail_msg("byte %zu before an array of %zu bytes was overwritten", GUARD - i, nbytes);
    for (size_t i = 0; i < GUARD; i++)
        if (base[GUARD + nbytes + i] != GUARD_BYTE)
            fail_msg("byte %zu after an array of %zu bytes was overwritten", i, nbytes);
}

void ops_reference_free(void *memory)
{
    if (!memory)
        return;
    ops_reference_check(memory);
    free((unsigned char *)memory - GUARD);
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double ops_reference_uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * ((double)(next_random(state) >> 11) * 0x1p-53);
}

int64_t ops_reference_int(uint64_t *state, int64_t low, int64_t high)
{
    return low + (int64_t)(next_random(state) % (uint64_t)(high - low + 1));
}

void ops_reference_fill(uint64_t *state, float *x, int64_t count, double low, double high)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)ops_reference_uniform(state, low, high);
}

float *ops_reference_random(uint64_t *state, int64_t count, double low, double high)
{
    float *x = ops_reference_floats(count);
    ops_reference_fill(state, x, count, low, high);
    return x;
}

float ops_reference_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    uint32_t down = u & 0xffff0000u, rest = u & 0xffffu;
    assert_true((u & 0x7f800000u) != 0x7f800000u);
    if (rest > 0x8000u || (rest == 0x8000u && (down & 0x10000u)))
        down += 0x10000u;
    memcpy(&x, &down, sizeof x);
    return x;
}

double *ops_reference_widen(const float *x, int64_t count)
{
    double *wide = ops_reference_doubles(count);
    for (int64_t i = 0; i < count; i++)
        wide[i] = (double)x[i];
    return wide;
}

void ops_reference_gradient(ops_reference_function *f, const void *argument, double *x, int64_t count, double *gradient)
{
    const double h = 1e-5;
    for (int64_t i = 0; i < count; i++) {
        double kept = x[i];
        x[i] = kept + h;
        double above = f(argument, x);
        x[i] = kept - h;
        double below = f(argument, x);
        x[i] = kept;
        gradient[i] = (above - below) / (2.0 * h);
    }
}

double ops_reference_dot(const float *a, const double *b, int64_t count)
{
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

void ops_reference_near(const char *what, const float *got, const double *want, int64_t count, double tolerance)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - want[i]) <= tolerance * (1.0 + fabs(want[i]))))
            fail_msg("%s[%lld of %lld] is %.9g, expected %.9g within %g", what, (long long)i, (long long)count,
                     (double)got[i], want[i], tolerance);
}

void ops_reference_same(const char *what, const float *got, const float *want, int64_t count)
{
    if (memcmp(got, want, (size_t)count * sizeof *got) == 0)
        return;
    int64_t i = 0;
    while (memcmp(got + i, want + i, sizeof *got) == 0)
        i++;
    fail_msg("%s[%lld of %lld] is %.9g, not %.9g", what, (long long)i, (long long)count, (double)got[i],
             (double)want[i]);
}

double ops_reference_activate(ops_activation a, double x)
{
    switch (a) {
    case OPS_RELU: return x < 0.0 ? 0.0 : x;
    case OPS_GELU: return 0.5 * x * erfc(-x / sqrt(2.0));
    case OPS_TANH: return tanh(x);
    case OPS_SIGMOID: return x < 0.0 ? exp(x) / (1.0 + exp(x)) : 1.0 / (1.0 + exp(-x));
    default: return x;
    }
}

double ops_reference_slope(ops_activation a, double x)
{
    double y = ops_reference_activate(a, x);
    switch (a) {
    case OPS_RELU: return x > 0.0 ? 1.0 : 0.0;
    case OPS_GELU: return 0.5 * erfc(-x / sqrt(2.0)) + x * exp(-0.5 * x * x) / sqrt(2.0 * 3.14159265358979323846);
    case OPS_TANH: return 1.0 - y * y;
    case OPS_SIGMOID: return y * (1.0 - y);
    default: return 1.0;
    }
}
