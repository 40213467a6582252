#include "comm_reduce.h"

#include <string.h>

/* 16 floats; unaligned, since a range may begin anywhere. The compiler splits it where registers are narrower. */
typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));
enum { LANES = 16, BLOCK = 4 * LANES };

#define LOAD(p) (*(const lanes *)(p))
#define STORE(p, v) (*(lanes *)(p) = (v))

/* A block of 64 elements is summed in registers over all inputs and then stored to all outputs, while the lines that
 * were just read are still in the first cache: a sum in place costs one read and one write of each line. */
static inline __attribute__((always_inline)) void sum_f32(void *const *out, int nout, void *const *in, int nin,
                                                          size_t count)
{
    size_t i = 0;
    for (; i + BLOCK <= count; i += BLOCK) {
        const float *p = (const float *)in[0] + i;
        lanes a = LOAD(p), b = LOAD(p + LANES), c = LOAD(p + 2 * LANES), d = LOAD(p + 3 * LANES);
        for (int r = 1; r < nin; r++) {
            p = (const float *)in[r] + i;
            a += LOAD(p);
            b += LOAD(p + LANES);
            c += LOAD(p + 2 * LANES);
            d += LOAD(p + 3 * LANES);
        }
        for (int r = 0; r < nout; r++) {
            float *q = (float *)out[r] + i;
            STORE(q, a);
            STORE(q + LANES, b);
            STORE(q + 2 * LANES, c);
            STORE(q + 3 * LANES, d);
        }
    }
    for (; i < count; i++) {
        float total = ((const float *)in[0])[i];
        for (int r = 1; r < nin; r++)
            total += ((const float *)in[r])[i];
        for (int r = 0; r < nout; r++)
            ((float *)out[r])[i] = total;
    }
}

/* Few gradients travel as doubles, so that a sum in the first cache will do. */
static inline __attribute__((always_inline)) void sum_f64(void *const *out, int nout, void *const *in, int nin,
                                                          size_t count)
{
    double total[BLOCK];
    for (size_t i = 0; i < count; i += BLOCK) {
        size_t n = count - i < BLOCK ? count - i : BLOCK;
        memcpy(total, (const double *)in[0] + i, n * sizeof *total);
        for (int r = 1; r < nin; r++) {
            const double *p = (const double *)in[r] + i;
            for (size_t j = 0; j < n; j++)
                total[j] += p[j];
        }
        for (int r = 0; r < nout; r++)
            memcpy((double *)out[r] + i, total, n * sizeof *total);
    }
}

static inline __attribute__((always_inline)) void sum(comm_type type, void *const *out, int nout, void *const *in,
                                                      int nin, size_t count)
{
    if (type == COMM_F64)
        sum_f64(out, nout, in, nin, count);
    else
        sum_f32(out, nout, in, nin, count);
}

typedef void sum_function(comm_type type, void *const *out, int nout, void *const *in, int nin, size_t count);

static void sum_any(comm_type type, void *const *out, int nout, void *const *in, int nin, size_t count)
{
    sum(type, out, nout, in, nin, count);
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) static void sum_avx2(comm_type type, void *const *out, int nout, void *const *in,
                                                     int nin, size_t count)
{
    sum(type, out, nout, in, nin, count);
}

__attribute__((target("avx512f"))) static void sum_avx512(comm_type type, void *const *out, int nout, void *const *in,
                                                          int nin, size_t count)
{
    sum(type, out, nout, in, nin, count);
}

static sum_function *choose(void)
{
    if (__builtin_cpu_supports("avx512f"))
        return sum_avx512;
    return __builtin_cpu_supports("avx2") ? sum_avx2 : sum_any;
}
#else
static sum_function *choose(void)
{
    return sum_any;
}
#endif

void comm_reduce_ranges(comm_type type, void *const *out, int nout, void *const *in, int nin, size_t count)
{
    choose()(type, out, nout, in, nin, count);
}

size_t comm_type_size(comm_type type)
{
    return type == COMM_F32 ? sizeof(float) : sizeof(double); /* the integers have 64 bits too */
}

/* Small vectors: written once a type, so that the compiler sees plain loops. */
static void small_f32(float *to, const float *from, size_t count, comm_op op)
{
    for (size_t i = 0; i < count; i++)
        to[i] = op == COMM_SUM                                         ? to[i] + from[i]
                : (op == COMM_MIN ? from[i] < to[i] : from[i] > to[i]) ? from[i]
                                                                       : to[i];
}

static void small_f64(double *to, const double *from, size_t count, comm_op op)
{
    for (size_t i = 0; i < count; i++)
        to[i] = op == COMM_SUM                                         ? to[i] + from[i]
                : (op == COMM_MIN ? from[i] < to[i] : from[i] > to[i]) ? from[i]
                                                                       : to[i];
}

static void small_i64(int64_t *to, const int64_t *from, size_t count, comm_op op)
{
    for (size_t i = 0; i < count; i++)
        to[i] = op == COMM_SUM                                         ? to[i] + from[i]
                : (op == COMM_MIN ? from[i] < to[i] : from[i] > to[i]) ? from[i]
                                                                       : to[i];
}

static void small_u64(uint64_t *to, const uint64_t *from, size_t count, comm_op op)
{
    for (size_t i = 0; i < count; i++)
        to[i] = op == COMM_SUM                                         ? to[i] + from[i]
                : (op == COMM_MIN ? from[i] < to[i] : from[i] > to[i]) ? from[i]
                                                                       : to[i];
}

void comm_reduce_small(void *to, const void *from, size_t count, comm_type type, comm_op op)
{
    switch (type) {
    case COMM_F32: small_f32(to, from, count, op); break;
    case COMM_F64: small_f64(to, from, count, op); break;
    case COMM_I64: small_i64(to, from, count, op); break;
    case COMM_U64: small_u64(to, from, count, op); break;
    }
}
