/* gpu_gather.cuh: the taps of a convolution's window over images, brought into shared memory as they are needed.
 *
 * A depth counts taps, and within a tap the channels of the image.
 */
#ifndef GPU_GATHER_CUH
#define GPU_GATHER_CUH

#include "gpu_tile.cuh"
#include "gpu_window.cuh"

/* An image whose taps are gathered. */
struct gpu_gathered {
    const float *at;
    int h, w, channels, kernel_w, depth; /* depth: taps times channels */
    int direction;                       /* a later tap is further down and right: 1, or up and left: -1 */
    gpu_divisor by_channels, by_kernel_w;
};

/* The pixels that are computed, and where the first tap of each lies in the image. */
struct gpu_pixels {
    int64_t count;
    gpu_divisor by_sample, by_line; /* pixels of them */
    int stride_h, stride_w, shift_h, shift_w;
};

/* The first tap of a pixel: its place, which may be outside, and its number in the image. */
struct gpu_spot {
    int base, y, x;
};

struct gpu_tap {
    int y, x, channel;
    bool there;
};

static __device__ __forceinline__ gpu_spot gpu_spot_of(const gpu_gathered &from, const gpu_pixels &p, int64_t pixel)
{
    if (pixel >= p.count)
        return gpu_spot{0, -(1 << 28), 0}; /* whatever the tap, outside */
    const uint32_t sample = gpu_divide((uint32_t)pixel, p.by_sample), rest = (uint32_t)pixel - sample * p.by_sample.d;
    const uint32_t line = gpu_divide(rest, p.by_line), column = rest - line * p.by_line.d;
    gpu_spot s = {0, (int)line * p.stride_h + p.shift_h, (int)column * p.stride_w + p.shift_w};
    s.base = (((int)sample * from.h + s.y) * from.w + s.x) * from.channels;
    return s;
}

static __device__ __forceinline__ gpu_tap gpu_tap_of(const gpu_gathered &from, int64_t depth)
{
    const uint32_t place = gpu_divide((uint32_t)depth, from.by_channels), y = gpu_divide(place, from.by_kernel_w);
    return gpu_tap{(int)y, (int)(place - y * from.by_kernel_w.d), (int)((uint32_t)depth - place * from.by_channels.d),
                   depth < from.depth};
}

/* V channels of a tap of a pixel, or zeros. */
template <int V>
static __device__ __forceinline__ void gpu_load_tap(const gpu_gathered &from, const gpu_spot &s, const gpu_tap &t,
                                                    float *to)
{
    const int y = s.y + from.direction * t.y, x = s.x + from.direction * t.x;
    const bool there = t.there && (unsigned)y < (unsigned)from.h && (unsigned)x < (unsigned)from.w;
    const int offset = s.base + from.direction * (t.y * from.w + t.x) * from.channels + t.channel;
    gpu_copy_async<4 * V>(to, from.at + (there ? offset : 0), there ? 4 * V : 0);
}

constexpr int64_t GPU_GATHER_MAX = (int64_t)1 << 30; /* of elements and pixels, so that they are counted in 32 bits */

static inline void gpu_output_sides(const ops_conv2d *op, int64_t *oh, int64_t *ow)
{
    *oh = (op->h + 2 * op->pad_h - op->kernel_h) / op->stride_h + 1;
    *ow = (op->w + 2 * op->pad_w - op->kernel_w) / op->stride_w + 1;
}

static inline gpu_gathered gpu_gathered_of(const ops_conv2d *op, const float *at, int64_t h, int64_t w,
                                           int64_t channels, int direction)
{
    return gpu_gathered{at,
                        (int)h,
                        (int)w,
                        (int)channels,
                        (int)op->kernel_w,
                        (int)(op->kernel_h * op->kernel_w * channels),
                        direction,
                        gpu_divisor_of(channels),
                        gpu_divisor_of(op->kernel_w)};
}

static inline gpu_pixels gpu_pixels_of(int64_t batch, int64_t h, int64_t w)
{
    gpu_pixels p = {batch * h * w, gpu_divisor_of(h * w), gpu_divisor_of(w), 1, 1, 0, 0};
    return p;
}

static inline gpu_pixels gpu_outputs_of(const ops_conv2d *op, int64_t batch)
{
    int64_t oh, ow;
    gpu_output_sides(op, &oh, &ow);
    gpu_pixels p = gpu_pixels_of(batch, oh, ow);
    p.stride_h = (int)op->stride_h;
    p.stride_w = (int)op->stride_w;
    p.shift_h = -(int)op->pad_h;
    p.shift_w = -(int)op->pad_w;
    return p;
}

#endif
