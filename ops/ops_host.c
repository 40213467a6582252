/* ops_host.c: which host table this machine gets, and the life of a context. */
#include "ops_host.h"

#include "base_log.h"
#include "base_switch.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const ops_table ops_table_host_generic, ops_table_host_avx2, ops_table_host_avx512;

const ops_table *ops_host_isa(const char *isa)
{
#ifdef OPS_HAVE_AVX512
    if (strcmp(isa, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512vl")
                   ? &ops_table_host_avx512
                   : NULL;
#endif
#ifdef OPS_HAVE_AVX2
    if (strcmp(isa, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")
                   ? &ops_table_host_avx2
                   : NULL;
#endif
    return strcmp(isa, "generic") == 0 ? &ops_table_host_generic : NULL;
}

static const ops_table *choose(void)
{
    const char *forced = getenv("DDPT_ISA");
    const ops_table *table = forced && *forced ? ops_host_isa(forced) : NULL;
    if (table)
        return table;
    if (forced && *forced)
        BASE_WARN(
            "DDPT_ISA=%s is not an instruction set of this machine (generic, avx2, avx512); the best one is taken",
            forced);
    static const char *const best_first[] = {"avx512", "avx2", "generic"};
    for (size_t i = 0; !table; i++)
        table = ops_host_isa(best_first[i]);
    return table;
}

const ops_table *ops_host(void)
{
    static const ops_table *_Atomic chosen;
    if (!atomic_load(&chosen))
        atomic_store(&chosen, choose()); /* threads that race here store the same */
    return atomic_load(&chosen);
}

base_status ops_host_reserve(ops_context *self, size_t nbytes)
{
    if (nbytes <= self->scratch_bytes)
        return BASE_OK;
    base_arena_destroy(&self->scratch_arena);
    self->scratch = NULL;
    self->scratch_bytes = 0;
    BASE_TRY(base_arena_create(&self->scratch_arena, "host scratch"));
    self->scratch = base_arena_alloc(self->scratch_arena, nbytes);
    if (!self->scratch)
        return BASE_ERROR;
    self->scratch_bytes = nbytes;
    return BASE_OK;
}

static base_status choose_gemm(const char *name, const ops_gemm_library **gemm)
{
    static const ops_gemm_library *const libraries[] = {
#ifdef DDPT_HAVE_ONEDNN
        &ops_gemm_onednn, /* first, since auto takes it: faster on every shape measured, most so for few rows */
#endif
        &ops_gemm_openblas,
    };
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        if (!name || strcmp(name, "auto") == 0 || strcmp(name, libraries[i]->name) == 0) {
            *gemm = libraries[i];
            return BASE_OK;
        }
    }
    if (strcmp(name, "onednn") == 0)
        return BASE_FAIL(BASE_DEVICE,
                         "GEMM library \"onednn\" is not in this build: build with oneDNN, or use \"auto\"");
    return BASE_FAIL(BASE_USAGE, "unknown GEMM library \"%s\" (allowed: auto, openblas, onednn)", name);
}

const ops_bf16 *ops_bf16_native(void)
{
#ifdef OPS_HAVE_AVX512BF16
    return __builtin_cpu_supports("avx512bf16") ? &ops_bf16_host_avx512bf16 : NULL;
#else
    return NULL;
#endif
}

static const char *why_not_native(void)
{
#ifdef OPS_HAVE_AVX512BF16
    return ops_bf16_native() ? "DDPT_ISA excludes" : "this cpu lacks";
#else
    return "the compiler of this build lacked";
#endif
}

static base_status choose_precision(ops_precision precision, const ops_bf16 *native, const ops_bf16 *emulated,
                                    const ops_bf16 **bf16)
{
    static atomic_int said;
    int emulate = base_switch_index(BASE_SWITCH_HOST_BF16) == 0;
    *bf16 = NULL;
    if (precision == OPS_FP32)
        return BASE_OK;
    if (precision == OPS_TF32)
        return BASE_FAIL(BASE_DEVICE, "precision \"tf32\" is for GPUs: the cpu computes in \"fp32\" and \"bf16\"");
    *bf16 = emulate ? emulated : native;
    if (emulate && !atomic_exchange(&said, 1))
        BASE_WARN("bf16 is emulated, since DDPT_HOST_BF16 says so: slower than fp32");
    if (*bf16)
        return BASE_OK;
    return BASE_FAIL(
        BASE_DEVICE,
        "precision \"bf16\" on the cpu takes AVX512_BF16 instructions, which %s: set train.precision = \"fp32\" (or "
        "DDPT_HOST_BF16=emulate, slow, to see what bf16 would give)",
        why_not_native());
}

static void describe(ops_context *self)
{
    size_t used = 0;
    ops_gemm_openblas.version(self->libraries, sizeof self->libraries);
#ifdef DDPT_HAVE_ONEDNN
    used = strlen(self->libraries);
    used += (size_t)snprintf(self->libraries + used, sizeof self->libraries - used, ", ");
    ops_gemm_onednn.version(self->libraries + used, sizeof self->libraries - used);
#endif
    used = strlen(self->libraries);
    snprintf(self->libraries + used, sizeof self->libraries - used, "; GEMM: %s", ops_host_gemm(self)->name);
}

base_status ops_host_open(const ops_options *options, const ops_bf16 *native, const ops_bf16 *emulated,
                          ops_context **out)
{
    const ops_gemm_library *gemm = NULL;
    const ops_bf16 *bf16 = NULL;
    BASE_TRY(choose_precision(options->precision, native, emulated, &bf16));
    BASE_TRY(choose_gemm(options->gemm, &gemm));
    ops_context *self = calloc(1, sizeof *self);
    if (!self)
        return BASE_FAIL(BASE_ERROR, "out of memory for the host's operations");
    *out = self;
    self->options = *options;
    self->gemm = gemm;
    self->bf16 = bf16;
    ops_gemm_openblas_setup();
    describe(self);
    return ops_host_reserve(self, OPS_HOST_SCRATCH_BYTES);
}

void ops_close_host(ops_context **out)
{
    if (!*out)
        return;
    base_arena_destroy(&(*out)->scratch_arena);
    free(*out);
    *out = NULL;
}

const char *ops_libraries_host(const ops_context *self)
{
    return self->libraries;
}

size_t ops_element_bytes_host(const ops_context *self)
{
    (void)self;
    return sizeof(float);
}

/* Parameters are read where they lie. */
base_status ops_bind_params_host(ops_context *self, const float *params, int64_t count)
{
    (void)self;
    (void)params;
    (void)count;
    return BASE_OK;
}

base_status ops_params_changed_host(ops_context *self, const float *params, int64_t count)
{
    return ops_bind_params_host(self, params, count);
}

base_status ops_begin_step_host(ops_context *self, const ops_step *step)
{
    self->step = *step;
    return BASE_OK;
}

base_status ops_clip_host(ops_context *self, double clip_norm, const double *sum_of_squares)
{
    double norm = sqrt(*sum_of_squares);
    self->step.grad_scale = norm > clip_norm ? (float)(clip_norm / norm) : 1.0f;
    return BASE_OK;
}

void ops_host_run(const ops_context *self, int64_t ntasks, base_pool_task *task, void *context)
{
    assert(ntasks <= INT_MAX);
    base_pool_run(self->options.pool, (int)ntasks, task, context);
}

void ops_host_run_for(const ops_context *self, int64_t ns, int64_t ntasks, base_pool_task *task, void *context)
{
    enum { WORTH_WAKING_NS = 80000 };
    if (ns >= WORTH_WAKING_NS) {
        ops_host_run(self, ntasks, task, context);
        return;
    }
    for (int64_t i = 0; i < ntasks; i++)
        task(context, (int)i, (int)ntasks, 0);
}
