/* ops_host.h: what the host's kernels share. Internal to ops.
 *
 * The kernel files (OPS_KERNELS in CMakeLists.txt) are plain C loops that the compiler vectorises. They are compiled
 * once for every instruction set, with OPS_ISA naming it, so that one binary runs everywhere at the speed of the
 * machine: slot `sgd_update` is OPS_HOST(sgd_update), that is ops_sgd_update_host_avx512 and its siblings. ops_host.c
 * chooses. Files that only call libraries (GEMM, oneDNN) are compiled once.
 *
 * Results do not depend on the number of threads: work is cut into tasks by its shape alone, never by the size of the
 * pool, and partial sums are added up in the order of the tasks.
 */
#ifndef OPS_HOST_H
#define OPS_HOST_H

#include "ops.h"

#include "base_arena.h"

/* A GEMM of floats on the calling thread alone; the contract of slot gemm without the context. Thread-safe. */
typedef struct ops_gemm_library {
    const char *name;
    void (*version)(char *text, size_t nbytes); /* "OpenBLAS 0.3.21 Cooperlake" */
    void (*gemm)(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                 int64_t ldb, int accumulate, float *c, int64_t ldc);
} ops_gemm_library;

extern const ops_gemm_library ops_gemm_openblas;
extern const ops_gemm_library ops_gemm_onednn; /* only where oneDNN was found */
void ops_gemm_openblas_setup(void);            /* by every open, also where oneDNN is preferred: it is the fallback */
void ops_onednn_thread_setup(void);            /* by a thread before it calls oneDNN; cheap when repeated */

/* Products of precision "bf16": factors rounded to the nearest bfloat16, ties to even, and sums in float. */
typedef struct ops_bf16 {
    ops_gemm_library gemm; /* rounds its factors; an element is the same to the bit in any product that holds it */
    size_t factor_bytes;   /* of a rounded factor for a library that convolves: 2, bfloat16; 4, a float rounded to it */
    void (*round)(int64_t count, const float *from, void *to);
} ops_bf16;

extern const ops_bf16 ops_bf16_host_avx512bf16; /* only where OPS_HAVE_AVX512BF16 */
const ops_bf16 *ops_bf16_native(void);          /* by this processor's own instructions; NULL if it has none */

/* Scratch that every context has, without asking: for partial sums of slots that have no *_create. */
enum { OPS_HOST_SCRATCH_BYTES = 1 << 20 };

struct ops_context {
    ops_options options;          /* pool, device, stream */
    ops_step step;                /* of begin_step and clip */
    const ops_gemm_library *gemm; /* of the library; see ops_host_gemm */
    const ops_bf16 *bf16;         /* NULL: precision is fp32 */
    char libraries[256];
    base_arena *scratch_arena;
    void *scratch; /* aligned to 64 bytes; whoever runs a slot may use all of it, nothing is kept from slot to slot */
    size_t scratch_bytes;
};

/* The GEMM of the context's precision. */
static inline const ops_gemm_library *ops_host_gemm(const ops_context *self)
{
    return self->bf16 ? &self->bf16->gemm : self->gemm;
}

/* At least `nbytes` of scratch from now on. Called by *_create slots, never in a step. */
base_status ops_host_reserve(ops_context *self, size_t nbytes);

/* The table compiled for `isa` ("generic", "avx2", "avx512"); NULL if unknown, not built or not of this machine. */
const ops_table *ops_host_isa(const char *isa);

/* Slot open for an instruction set that has these products of "bf16": by instructions (NULL: it has none), emulated. */
base_status ops_host_open(const ops_options *options, const ops_bf16 *native, const ops_bf16 *emulated,
                          ops_context **self);

/* Slots that are the same for every instruction set. */
void ops_close_host(ops_context **self);
const char *ops_libraries_host(const ops_context *self);
size_t ops_element_bytes_host(const ops_context *self);
base_status ops_bind_params_host(ops_context *self, const float *params, int64_t count);
base_status ops_params_changed_host(ops_context *self, const float *params, int64_t count);
base_status ops_begin_step_host(ops_context *self, const ops_step *step);
base_status ops_clip_host(ops_context *self, double clip_norm, const double *sum_of_squares);
base_status ops_gemm_host(ops_context *self, int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const void *a,
                          int64_t lda, const void *b, int64_t ldb, int accumulate, void *c, int64_t ldc);

/* Tasks 0 .. ntasks - 1 on the context's pool. ntasks comes from a shape; callers keep it below 2^31. */
void ops_host_run(const ops_context *self, int64_t ntasks, base_pool_task *task, void *context);

/* The same for work that one thread does in about `ns` nanoseconds: waking the others takes some 20 to 50 us, so the
 * caller does little work alone. 100 flops or 10 elements of a plain loop are about 1 ns. */
void ops_host_run_for(const ops_context *self, int64_t ns, int64_t ntasks, base_pool_task *task, void *context);

/* A matrix of results cut into blocks, each the work of one task; the cut depends on the shape alone. */
typedef struct ops_blocks {
    int64_t rows, columns;             /* of the matrix */
    int64_t block_rows, block_columns; /* of a block; those at the edges are smaller */
    int64_t across;                    /* blocks side by side */
    int64_t count;                     /* blocks */
} ops_blocks;

typedef struct ops_block {
    int64_t row, column, rows, columns;
} ops_block;

ops_blocks ops_blocks_cut(int64_t m, int64_t n, int64_t block_rows, int64_t block_columns);
ops_block ops_blocks_at(const ops_blocks *self, int64_t index);

/* The library's GEMM on the calling thread, with empty sums and empty matrices taken care of. */
void ops_gemm_block(const ops_gemm_library *library, int trans_a, int trans_b, int64_t m, int64_t n, int64_t k,
                    const float *a, int64_t lda, const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc);

#ifdef OPS_ISA
#define OPS_HOST_JOIN(slot, isa) ops_##slot##_host_##isa
#define OPS_HOST_EXPAND(slot, isa) OPS_HOST_JOIN(slot, isa)
#define OPS_HOST(slot) OPS_HOST_EXPAND(slot, OPS_ISA)
#endif

#endif
