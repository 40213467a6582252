/* ops_host_math.h: exp, tanh, sigmoid and GELU in float without calls, so that loops over them vectorise.
 *
 * libm's functions are calls, which end vectorisation. These take the whole range: NaN gives NaN; overflow gives Inf
 * and underflow goes through the denormals to 0. Errors are the largest seen against libm in double over all exponents,
 * in units of the last place of a normal result (tests/ops/test_ops_elementwise.c holds them to that): exp 1.1,
 * tanh 1.4, sigmoid 2.4, GELU 8. Coefficients: interpolation at Chebyshev nodes, computed in 60 digits.
 *
 * Selects are written so that a NaN takes the branch that keeps it: `x < a ? a : x`, never `x > a ? x : a`.
 */
#ifndef OPS_HOST_MATH_H
#define OPS_HOST_MATH_H

#include "ops.h"

#include <stdint.h>
#include <string.h>

static inline uint32_t ops_math_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float ops_math_float(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* |x| and x with the sign of `sign`. */
static inline float ops_math_abs(float x)
{
    return ops_math_float(ops_math_bits(x) & 0x7fffffffu);
}

static inline float ops_math_sign(float x, float sign)
{
    return ops_math_float((ops_math_bits(x) & 0x7fffffffu) | (ops_math_bits(sign) & 0x80000000u));
}

/* e^(high + low), low a correction that high is too coarse to hold; -104 <= high + low <= 89.
 * The exponent n is rounded by adding 1.5 2^23, whose low bits then hold n. 2^n is applied in two factors, since n
 * reaches -150 and 128. Integers are unsigned: for a NaN they hold anything, and NaN times anything is NaN. */
static inline float ops_math_exp_parts(float high, float low)
{
    const float magic = 12582912.0f;
    float shifted = (high + low) * 1.44269504f + magic;
    float n = shifted - magic;
    float r = ((high - n * 0.693359375f) + n * 2.12194440e-4f) + low;
    float q = 0.00139269181f;
    q = q * r + 0.00836376702f;
    q = q * r + 0.0416665502f;
    q = q * r + 0.166665734f;
    q = q * r + 0.5f;
    float p = (r * r) * q + r + 1.0f;
    uint32_t biased = ops_math_bits(shifted) - ops_math_bits(magic) + 256u;
    uint32_t half = biased >> 1;
    return p * ops_math_float((half - 1u) << 23) * ops_math_float((biased - half - 1u) << 23);
}

static inline float ops_math_exp(float x)
{
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    return ops_math_exp_parts(x, 0.0f);
}

/* A polynomial near 0, where 1 - 2 / (e^2x + 1) cancels. */
static inline float ops_math_tanh(float x)
{
    float z = x * x;
    float p = -0.00609464132f;
    p = p * z + 0.0209957539f;
    p = p * z - 0.0538506091f;
    p = p * z + 0.133327678f;
    p = p * z - 0.333333289f;
    float small = x * z * p + x;
    float size = ops_math_abs(x);
    float large = 1.0f - 2.0f / (ops_math_exp(2.0f * size) + 1.0f);
    return size < 0.625f ? small : ops_math_sign(large, x);
}

/* e^-|x| never overflows, so that the tail on the left keeps its digits. */
static inline float ops_math_sigmoid(float x)
{
    float e = ops_math_exp(-ops_math_abs(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* The normal distribution at -|x| is e times the returned ratio: Phi(-t) = e^(-t^2/2) u P(u), u = 1 / (1 + t/4).
 * t is cut into a head of 12 bits and a rest, so that head^2 is exact and the rest of t^2 goes into the exponential's
 * low part: rounding t^2 would cost t^2/2 units. Beyond 15 e is 0 in float. */
static inline float ops_math_normal_ratio(float x, float *e)
{
    float t = ops_math_abs(x);
    t = t > 15.0f ? 15.0f : t;
    float head = ops_math_float(ops_math_bits(t) & 0xfffff000u);
    float high = -0.5f * (head * head);
    float low = -0.5f * ((t - head) * (t + head));
    high = high < -104.0f ? -104.0f : high;
    *e = ops_math_exp_parts(high, low);
    float u = 1.0f / (1.0f + 0.25f * t);
    float p = 0.0160714733f;
    p = p * u - 0.0602258529f;
    p = p * u + 0.0461199372f;
    p = p * u + 0.0350751543f;
    p = p * u + 0.0078662033f;
    p = p * u + 0.0888593596f;
    p = p * u + 0.0713885712f;
    p = p * u + 0.0956115754f;
    p = p * u + 0.0994855684f;
    p = p * u + 0.0997480127f;
    return u * p;
}

/* x Phi(x). -Inf gives NaN (Inf times 0), as PyTorch has it. On the left e comes last, since it is the first to lose
 * digits to underflow. */
static inline float ops_math_gelu(float x)
{
    float e, ratio = ops_math_normal_ratio(x, &e);
    return x < 0.0f ? x * ratio * e : x * (1.0f - ratio * e);
}

/* Phi(x) + x phi(x). */
static inline float ops_math_gelu_slope(float x)
{
    float e, ratio = ops_math_normal_ratio(x, &e), tail = ratio * e;
    return (x < 0.0f ? tail : 1.0f - tail) + x * 0.398942280f * e;
}

/* f(x). Loops call it with a constant `a`, so that the switch is gone before the loop is vectorised. */
static inline __attribute__((always_inline)) float ops_math_activate(ops_activation a, float x)
{
    switch (a) {
    case OPS_RELU: return x < 0.0f ? 0.0f : x;
    case OPS_GELU: return ops_math_gelu(x);
    case OPS_TANH: return ops_math_tanh(x);
    case OPS_SIGMOID: return ops_math_sigmoid(x);
    default: return x;
    }
}

/* dy f'(x); x is read for activations that keep their input, y = f(x) otherwise. */
static inline __attribute__((always_inline)) float ops_math_gradient(ops_activation a, float x, float y, float dy)
{
    switch (a) {
    case OPS_RELU: return y <= 0.0f ? 0.0f : dy;
    case OPS_GELU: return dy * ops_math_gelu_slope(x);
    case OPS_TANH: return dy * (1.0f - y * y);
    case OPS_SIGMOID: return dy * (y * (1.0f - y));
    default: return dy;
    }
}

#endif
