/* gpu_activation.cuh: activations and their gradients, with the host's formulas (ops_host_math.h). */
#ifndef GPU_ACTIVATION_CUH
#define GPU_ACTIVATION_CUH

#include "gpu_kernel.cuh"

/* As ops_activation_keeps_input: the gradient is taken from the input z, not from the output y. */
__host__ __device__ constexpr bool gpu_keeps_input(ops_activation a)
{
    return a == OPS_GELU;
}

/* To 2 units of the last place: what divides is 1 .. 5, so that no care is needed for its exponent. */
static __device__ __forceinline__ float gpu_divide(float a, float b)
{
#if defined(DDPT_GPU_EMULATED)
    return a / b;
#else
    return __fdividef(a, b);
#endif
}

/* e^-|x| never overflows, so that the tail on the left keeps its digits. */
static __device__ __forceinline__ float gpu_sigmoid(float x)
{
    const float e = expf(-fabsf(x));
    return gpu_divide(x < 0.0f ? e : 1.0f, 1.0f + e);
}

/* The normal distribution at -|x| is e times the returned ratio, e = e^(-x^2/2). `low` is what rounding takes from
 * x^2/2, which the exponential would multiply. */
static __device__ __forceinline__ float gpu_normal_ratio(float x, float *e)
{
    float t = fabsf(x);
    t = t > 15.0f ? 15.0f : t;
    const float high = -0.5f * t * t, low = fmaf(-0.5f * t, t, -high);
    *e = expf(high);
    *e = fmaf(*e, low, *e);
    const float u = gpu_divide(1.0f, 1.0f + 0.25f * t);
    float p = 0.0160714733f;
    p = fmaf(p, u, -0.0602258529f);
    p = fmaf(p, u, 0.0461199372f);
    p = fmaf(p, u, 0.0350751543f);
    p = fmaf(p, u, 0.0078662033f);
    p = fmaf(p, u, 0.0888593596f);
    p = fmaf(p, u, 0.0713885712f);
    p = fmaf(p, u, 0.0956115754f);
    p = fmaf(p, u, 0.0994855684f);
    p = fmaf(p, u, 0.0997480127f);
    return u * p;
}

static __device__ __forceinline__ float gpu_gelu(float x)
{
    float e;
    const float ratio = gpu_normal_ratio(x, &e);
    return x < 0.0f ? x * ratio * e : x * (1.0f - ratio * e);
}

/* Phi(x) + x phi(x). */
static __device__ __forceinline__ float gpu_gelu_slope(float x)
{
    float e;
    const float ratio = gpu_normal_ratio(x, &e), tail = ratio * e;
    return (x < 0.0f ? tail : 1.0f - tail) + x * 0.398942280f * e;
}

/* f(x); NaN stays NaN. */
template <ops_activation A> static __device__ __forceinline__ float gpu_activate(float x)
{
    if constexpr (A == OPS_RELU)
        return x < 0.0f ? 0.0f : x;
    else if constexpr (A == OPS_GELU)
        return gpu_gelu(x);
    else if constexpr (A == OPS_TANH)
        return tanhf(x);
    else if constexpr (A == OPS_SIGMOID)
        return gpu_sigmoid(x);
    else
        return x;
}

/* dy f'; kept: the input of f where gpu_keeps_input, else its output. */
template <ops_activation A> static __device__ __forceinline__ float gpu_gradient(float kept, float dy)
{
    if constexpr (A == OPS_RELU)
        return kept <= 0.0f ? 0.0f : dy;
    else if constexpr (A == OPS_GELU)
        return dy * gpu_gelu_slope(kept);
    else if constexpr (A == OPS_TANH)
        return dy * (1.0f - kept * kept);
    else if constexpr (A == OPS_SIGMOID)
        return dy * (kept * (1.0f - kept));
    else
        return dy;
}

#endif
