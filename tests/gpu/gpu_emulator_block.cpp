/* gpu_emulator_block.cpp: the threads of a block as fibers. A fiber takes thread after thread until one of them waits
 * at a meeting point; then the next fiber goes on. So a kernel without meeting points costs no switch. */
#include "gpu_emulator_internal.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#else
/* AddressSanitizer must be told of other stacks. That is all it must know of a jump; to clean the stack that is left,
 * as it does before every longjmp, would take most of a kernel's time. */
static inline void __sanitizer_start_switch_fiber(void **, const void *, size_t)
{
}
static inline void __sanitizer_finish_switch_fiber(void *, const void **, size_t *)
{
}
#endif

#define NOT_INSTRUMENTED __attribute__((noinline, no_sanitize("address")))

enum { WARP = 32, THREADS_MAX = 1024, STACK_BYTES = 256 << 10, CACHE_LINE = 64 };

thread_local gpu_emulator_place gpu_emulator_here;

namespace
{

/* For the compiler's own setjmp, which keeps three registers; the C library's costs several times as much. */
typedef void *place_in_code[5];

/* Entered by its ucontext once, then by jumps, which spare the system calls of swapcontext. */
struct fiber {
    ucontext_t context;
    bool entered;
    place_in_code place;
    void *fake; /* AddressSanitizer's */
    int thread; /* that it runs, and its threadIdx */
    dim3 index;
};

/* Who waits at a meeting point: a block's or a warp's. */
struct meeting {
    std::vector<fiber *> waiting;
    const char *file;
    int line;
};

struct warp {
    meeting point;
    gpu_emulator_words words[2][WARP]; /* by turns: lanes still read the one while others write the other */
    int turn[WARP];
};

struct copy {
    void *to;
    const void *from;
    int nbytes, width;
};

/* Of a thread, under way. */
struct copies {
    std::deque<copy> all;
    std::deque<int> groups; /* copies in each; behind them `open` that belong to none yet */
    int open;
};

struct block {
    const std::function<void()> *kernel;
    int threads, next, ended;
    bool backwards;
    std::deque<fiber *> ready;
    std::vector<fiber *> idle;
    size_t fibers; /* made so far */
    fiber *running;
    meeting everyone;
    warp warps[THREADS_MAX / WARP];
    copies copying[THREADS_MAX];
    place_in_code scheduler;
    const void *scheduler_stack;
    size_t scheduler_stack_bytes;
};

thread_local block *self;

[[noreturn]] void give_up(const char *what, const char *file, int line)
{
    const dim3 &b = gpu_emulator_here.block, &t = gpu_emulator_here.thread;
    fprintf(stderr, "gpu emulator: block (%u, %u), thread %u: %s, at %s:%d\n", b.x, b.y, t.x, what, file, line);
    abort();
}

void forget(copies &own)
{
    own.all.clear();
    own.groups.clear();
    own.open = 0;
}

int thread_at(int turn)
{
    return self->backwards ? self->threads - 1 - turn : turn;
}

void take_thread(fiber *f, int thread)
{
    const dim3 &size = gpu_emulator_here.threads;
    unsigned t = (unsigned)thread;
    f->thread = thread;
    f->index = dim3(t % size.x, t / size.x % size.y, t / size.x / size.y);
    gpu_emulator_here.thread = f->index;
}

fiber *pop_ready()
{
    fiber *f = self->ready.front();
    self->ready.pop_front();
    return f;
}

/* From the running fiber to the next that is ready, or back to run_block, which starts new ones; returns when somebody
 * goes on with the fiber. */
NOT_INSTRUMENTED void leave(fiber *f)
{
    fiber *next = self->next < self->threads || self->ready.empty() ? nullptr : pop_ready();
    self->running = next;
    if (next)
        __sanitizer_start_switch_fiber(&f->fake, next->context.uc_stack.ss_sp, next->context.uc_stack.ss_size);
    else
        __sanitizer_start_switch_fiber(&f->fake, self->scheduler_stack, self->scheduler_stack_bytes);
    if (__builtin_setjmp(f->place) == 0)
        __builtin_longjmp(next ? next->place : self->scheduler, 1);
    __sanitizer_finish_switch_fiber(f->fake, nullptr, nullptr);
}

NOT_INSTRUMENTED void enter(fiber *f)
{
    void *fake = nullptr;
    self->running = f;
    __sanitizer_start_switch_fiber(&fake, f->context.uc_stack.ss_sp, f->context.uc_stack.ss_size);
    if (__builtin_setjmp(self->scheduler) == 0) {
        if (f->entered)
            __builtin_longjmp(f->place, 1);
        f->entered = true;
        setcontext(&f->context);
    }
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

void fiber_main()
{
    __sanitizer_finish_switch_fiber(nullptr, &self->scheduler_stack, &self->scheduler_stack_bytes);
    for (;;) {
        fiber *f = self->running;
        while (self->next < self->threads) {
            take_thread(f, thread_at(self->next++));
            forget(self->copying[f->thread]); /* those of the block before, which nobody waited for */
            (*self->kernel)();
            self->ended++;
            if (!self->everyone.waiting.empty())
                give_up("has ended while others wait for it", self->everyone.file, self->everyone.line);
        }
        self->idle.push_back(f);
        leave(f);
    }
}

/* Stacks that all began at the same place of a page would displace each other from the caches at every switch. */
size_t stack_shift()
{
    const size_t odd = 17 * CACHE_LINE, most = STACK_BYTES / 4;
    return self->fibers++ * odd % most;
}

fiber *fiber_new()
{
    void *stack =
        mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        abort();
    mprotect(stack, 4096, PROT_NONE);
    fiber *f = new fiber();
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = STACK_BYTES - stack_shift();
    makecontext(&f->context, fiber_main, 0);
    return f;
}

/* Returns when `count` threads have come; the last to come goes straight on. */
void meet(meeting &point, int count, const char *file, int line)
{
    if (point.waiting.empty()) {
        point.file = file;
        point.line = line;
    } else if (point.line != line || (point.file != file && strcmp(point.file, file) != 0)) {
        fprintf(stderr, "gpu emulator: others wait at %s:%d\n", point.file, point.line);
        give_up("waits elsewhere", file, line);
    }
    if ((int)point.waiting.size() == count - 1) {
        self->ready.insert(self->ready.end(), point.waiting.begin(), point.waiting.end());
        point.waiting.clear();
        return;
    }
    fiber *f = self->running;
    point.waiting.push_back(f);
    leave(f);
    gpu_emulator_here.thread = f->index;
}

/* The fiber that goes on: threads that have not begun first. */
fiber *pick()
{
    if (self->next < self->threads) {
        if (self->idle.empty())
            return fiber_new();
        fiber *f = self->idle.back();
        self->idle.pop_back();
        return f;
    }
    if (self->ready.empty())
        return nullptr;
    return pop_ready();
}

void run_block(int threads)
{
    self->threads = threads;
    self->next = self->ended = 0;
    while (self->ended < threads) {
        fiber *f = pick();
        if (!f) {
            for (const warp &w : self->warps)
                if (!w.point.waiting.empty())
                    give_up("lanes wait for lanes that do not come", w.point.file, w.point.line);
            give_up("threads wait for threads that do not come", self->everyone.file, self->everyone.line);
        }
        enter(f);
    }
}

} // namespace

void gpu_emulator_meet(const char *file, int line)
{
    if (self->ended > 0)
        give_up("waits for a thread that has ended", file, line);
    meet(self->everyone, self->threads, file, line);
}

int gpu_emulator_lane()
{
    return self->running->thread % WARP;
}

const gpu_emulator_words *gpu_emulator_share(const gpu_emulator_words &own, const char *file, int line)
{
    if (self->threads % WARP != 0)
        give_up("shuffles in a warp that is not full", file, line);
    warp &w = self->warps[self->running->thread / WARP];
    int lane = gpu_emulator_lane(), turn = w.turn[lane]++ % 2;
    w.words[turn][lane] = own;
    meet(w.point, WARP, file, line);
    return w.words[turn];
}

uint64_t gpu_emulator_exchange(uint64_t bits, int from, const char *file, int line)
{
    if (from < 0 || from >= WARP)
        give_up("shuffles from a lane outside its warp", file, line);
    return gpu_emulator_share(gpu_emulator_words{{bits}}, file, line)[from].word[0];
}

void gpu_emulator_copy(void *to, const void *from, int nbytes, int width, const char *file, int line)
{
    if ((uintptr_t)to % (unsigned)width != 0 || (uintptr_t)from % (unsigned)width != 0)
        give_up("copies to or from an address that is not aligned", file, line);
    copies &own = self->copying[self->running->thread];
    memset(to, 0xff, (size_t)width);
    own.all.push_back(copy{to, from, nbytes, width});
    own.open++;
}

void gpu_emulator_copy_commit()
{
    copies &own = self->copying[self->running->thread];
    own.groups.push_back(own.open);
    own.open = 0;
}

void gpu_emulator_copy_wait(int left)
{
    copies &own = self->copying[self->running->thread];
    for (; (int)own.groups.size() > left; own.groups.pop_front())
        for (int i = 0; i < own.groups.front(); i++, own.all.pop_front()) {
            const copy &c = own.all.front();
            memcpy(c.to, c.from, (size_t)c.nbytes);
            memset((char *)c.to + c.nbytes, 0, (size_t)(c.width - c.nbytes));
        }
}

void gpu_emulator_run(const dim3 &blocks, const dim3 &threads, bool backwards, const std::function<void()> &kernel)
{
    if (!self)
        self = new block();
    self->kernel = &kernel;
    self->backwards = backwards;
    gpu_emulator_here.threads = threads;
    gpu_emulator_here.blocks = blocks;
    uint64_t plane = (uint64_t)blocks.x * blocks.y, count = plane * blocks.z;
    for (uint64_t turn = 0; turn < count; turn++) {
        uint64_t b = backwards ? count - 1 - turn : turn;
        gpu_emulator_here.block =
            dim3((unsigned)(b % blocks.x), (unsigned)(b / blocks.x % blocks.y), (unsigned)(b / plane));
        run_block((int)(threads.x * threads.y * threads.z));
    }
}
