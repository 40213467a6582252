/* gpu_window.cuh: windows over images (B, H, W, C), for pooling and im2col: who works on what, and which outputs cover
 * a pixel.
 *
 * Work is cut into items: `packs` in a pixel, pixels (columns) in a line, lines in a sample. A launch takes whole lines
 * and fewer than 2^31 items, so that an item is split into its indices by multiplications of 32 bits.
 */
#ifndef GPU_WINDOW_CUH
#define GPU_WINDOW_CUH

#include "gpu_kernel.cuh"

/* n / d for n < 2^31 and 0 < d < 2^31: Granlund and Montgomery, "Division by invariant integers using
 * multiplication", PLDI 1994. */
typedef struct gpu_divisor {
    uint32_t d, multiplier, shift;
} gpu_divisor;

static inline gpu_divisor gpu_divisor_of(int64_t d)
{
    gpu_divisor divisor = {(uint32_t)d, 0, 0};
    while (((int64_t)1 << divisor.shift) < d)
        divisor.shift++;
    uint64_t above = ((uint64_t)1 << divisor.shift) - (uint64_t)d;
    divisor.multiplier = (uint32_t)((above << 32) / (uint64_t)d + 1);
    return divisor;
}

static __device__ __forceinline__ uint32_t gpu_divide(uint32_t n, gpu_divisor divisor)
{
    return (__umulhi(n, divisor.multiplier) + n) >> divisor.shift;
}

/* Items of a launch; the emulator's are few, so that the tests see several launches. */
#if defined(DDPT_GPU_EMULATED)
enum { GPU_WINDOW_ITEMS = 1 << 12 };
#else
enum { GPU_WINDOW_ITEMS = 1 << 30 };
#endif

/* The items of one launch. */
typedef struct gpu_items {
    uint32_t count;
    gpu_divisor packs, columns, lines;
    uint32_t first_line; /* in sample first_sample */
    int64_t first_sample;
} gpu_items;

typedef struct gpu_place {
    int64_t sample, pixel; /* pixel: counted through all samples */
    int line, column;
    uint32_t pack;
} gpu_place;

/* Lines of a launch: a multiple of 8, so that launches begin at addresses aligned as the tensor's. A line has fewer
 * than 2^28 items. */
static inline int64_t gpu_items_lines(int64_t columns, int64_t packs)
{
    int64_t lines = GPU_WINDOW_ITEMS / (columns * packs) / 8 * 8;
    return lines > 8 ? lines : 8;
}

/* Lines [first, first + count) of all samples' lines. */
static inline gpu_items gpu_items_of(int64_t first, int64_t count, int64_t lines, int64_t columns, int64_t packs)
{
    gpu_items items = {
        (uint32_t)(count * columns * packs), gpu_divisor_of(packs), gpu_divisor_of(columns), gpu_divisor_of(lines),
        (uint32_t)(first % lines),           first / lines};
    return items;
}

static __device__ __forceinline__ gpu_place gpu_items_at(const gpu_items &items, uint32_t item)
{
    gpu_place at;
    uint32_t pixel = gpu_divide(item, items.packs);
    at.pack = item - pixel * items.packs.d;
    uint32_t line = gpu_divide(pixel, items.columns);
    at.column = (int)(pixel - line * items.columns.d);
    line += items.first_line;
    uint32_t sample = gpu_divide(line, items.lines);
    at.line = (int)(line - sample * items.lines.d);
    at.sample = items.first_sample + sample;
    at.pixel = (at.sample * items.lines.d + at.line) * items.columns.d + at.column;
    return at;
}

/* Launches of `kernel` over all lines; N consecutive items are the work of one thread. */
template <int N, typename... P, typename... A>
static gpuError_t gpu_items_run(gpuStream_t stream, int64_t samples, int64_t lines, int64_t columns, int64_t packs,
                                void (*kernel)(gpu_items, P...), A... arguments)
{
    const int64_t all = samples * lines, most = gpu_items_lines(columns, packs);
    for (int64_t first = 0; first < all; first += most) {
        const gpu_items items = gpu_items_of(first, all - first < most ? all - first : most, lines, columns, packs);
        const gpuError_t error =
            GPU_LAUNCH(kernel, gpu_blocks(gpu_ceil_div(items.count, N)), GPU_THREADS, stream, items, arguments...);
        if (error != gpuSuccess)
            return error;
    }
    return gpuSuccess;
}

/* A window that is moved over an image. */
typedef struct gpu_window {
    int h, w, oh, ow;
    int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    gpu_divisor by_stride_h, by_stride_w;
} gpu_window;

template <typename OP> static gpu_window gpu_window_of(const OP *op)
{
    gpu_window w = {(int)op->h,
                    (int)op->w,
                    (int)((op->h + 2 * op->pad_h - op->kernel_h) / op->stride_h + 1),
                    (int)((op->w + 2 * op->pad_w - op->kernel_w) / op->stride_w + 1),
                    (int)op->kernel_h,
                    (int)op->kernel_w,
                    (int)op->stride_h,
                    (int)op->stride_w,
                    (int)op->pad_h,
                    (int)op->pad_w,
                    gpu_divisor_of(op->stride_h),
                    gpu_divisor_of(op->stride_w)};
    return w;
}

/* Outputs [first, end) along one side whose windows cover pixel x of that side. */
typedef struct gpu_cover {
    int first, end;
} gpu_cover;

static __device__ __forceinline__ gpu_cover gpu_cover_of(int x, int kernel, gpu_divisor stride, int pad, int outputs)
{
    int last = (int)gpu_divide((uint32_t)(x + pad), stride), before = x + pad - kernel;
    gpu_cover cover;
    cover.first = before < 0 ? 0 : (int)gpu_divide((uint32_t)before, stride) + 1;
    cover.end = last < outputs ? last + 1 : outputs;
    return cover;
}

static __device__ __forceinline__ int gpu_least(int a, int b)
{
    return a < b ? a : b;
}

static __device__ __forceinline__ int gpu_most(int a, int b)
{
    return a > b ? a : b;
}

#endif
