/* gpu_emulator_device.h: the language of kernels for a C++ compiler. Part of gpu_emulator.h. */
#ifndef GPU_EMULATOR_DEVICE_H
#define GPU_EMULATOR_DEVICE_H

#include <cmath>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static thread_local

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
static inline uint2 make_uint2(unsigned x, unsigned y)
{
    return uint2{x, y};
}

static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
    return uint4{x, y, z, w};
}

static inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)(((uint64_t)a * b) >> 32);
}

static inline unsigned __float_as_uint(float x)
{
    unsigned u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float __uint_as_float(unsigned u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* The running thread's place. */
struct gpu_emulator_place {
    dim3 thread, block, threads, blocks;
};
extern thread_local gpu_emulator_place gpu_emulator_here;
#define threadIdx (gpu_emulator_here.thread)
#define blockIdx (gpu_emulator_here.block)
#define blockDim (gpu_emulator_here.threads)
#define gridDim (gpu_emulator_here.blocks)

/* Waits until all threads of the block are on this line. */
void gpu_emulator_meet(const char *file, int line);
/* What each lane of this warp brings, until this lane's next call; all 32 take part, on the same line. */
struct gpu_emulator_words {
    uint64_t word[3];
};
const gpu_emulator_words *gpu_emulator_share(const gpu_emulator_words &own, const char *file, int line);
/* The bits that lane `from` brings. */
uint64_t gpu_emulator_exchange(uint64_t bits, int from, const char *file, int line);
int gpu_emulator_lane();

/* This thread's copies into shared memory (PTX ISA: cp.async), done as late as a GPU may: at the wait for their group.
 * Until then NaN lies where they go. Addresses are aligned to `width` bytes, or the program ends. */
void gpu_emulator_copy(void *to, const void *from, int nbytes, int width, const char *file, int line);
void gpu_emulator_copy_commit();
void gpu_emulator_copy_wait(int left); /* for all groups but the last `left` */

#define __syncthreads() gpu_emulator_meet(__FILE__, __LINE__)

template <typename T> T gpu_emulator_shuffle(T value, int from, const char *file, int line)
{
    static_assert(sizeof(T) <= sizeof(uint64_t), "one register or two");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = gpu_emulator_exchange(bits, from, file, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline int gpu_emulator_below(int by)
{
    int lane = gpu_emulator_lane();
    return lane + by < 32 ? lane + by : lane;
}

#define gpu_shuffle_down(value, by) gpu_emulator_shuffle((value), gpu_emulator_below(by), __FILE__, __LINE__)
#define gpu_shuffle_xor(value, mask)                                                                                   \
    gpu_emulator_shuffle((value), gpu_emulator_lane() ^ (int)(mask), __FILE__, __LINE__)

/* Ends the program where `nbytes` of a kernel's arguments hold an address of pageable memory of the host, which kernels
 * here could read and a GPU cannot. */
void gpu_emulator_check(const void *argument, size_t nbytes);

/* What lies between an argument's members may look like one: it is cleared, by compilers that can. */
template <typename T> void gpu_emulator_look(T &argument)
{
#if __has_builtin(__builtin_clear_padding)
    __builtin_clear_padding(&argument);
    gpu_emulator_check(&argument, sizeof argument);
#else
    if (std::is_pointer<T>::value)
        gpu_emulator_check(&argument, sizeof argument);
#endif
}

/* The arguments are taken at the call, as a launch takes them. */
gpuError_t gpu_emulator_launch(dim3 blocks, dim3 threads, gpuStream_t stream, std::function<void()> thread);

template <typename... P, typename... A>
gpuError_t gpu_emulator_call(void (*kernel)(P...), dim3 blocks, dim3 threads, gpuStream_t stream, A... arguments)
{
    static_assert((sizeof(P) + ... + 0) <= 4096, "a launch passes no more");
    static_assert((std::is_trivially_copyable<P>::value && ...), "copied bit by bit");
    std::tuple<P...> taken(static_cast<P>(arguments)...);
    std::apply([](auto &...each) { (gpu_emulator_look(each), ...); }, taken);
    return gpu_emulator_launch(blocks, threads, stream, [kernel, taken] { std::apply(kernel, taken); });
}

#define GPU_LAUNCH(kernel, blocks, threads, stream, ...)                                                               \
    gpu_emulator_call((kernel), dim3(blocks), dim3(threads), (stream), __VA_ARGS__)

#endif
