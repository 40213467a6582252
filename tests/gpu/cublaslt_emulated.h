/* cublaslt_emulated.h: a cuBLASLt on the host, by NVIDIA's header, for gpu_blas.c.
 *
 * It refuses what the library's documentation says it refuses: attributes of another size, matrices that do not fit,
 * types that do not go together, an epilogue without its bias or with one that is not aligned, the gradient of a bias
 * over a transposed A, C and D of different layouts, less memory than an algorithm wants. Its algorithms are the
 * test's. One that cuts k into unequal parts of a multiple of 8 computes twice the product, as cuBLAS's own may be
 * wrong.
 */
#ifndef CUBLASLT_EMULATED_H
#define CUBLASLT_EMULATED_H

#include <library_types.h>
#include <stddef.h>
#include <stdint.h>

enum { CUBLASLT_EMULATED_MOST = 12 };

typedef struct cublaslt_emulated_algorithm {
    int parts;          /* of k */
    uint32_t reduction; /* of parts */
    size_t workspace;
    int refuses;  /* when it runs, though the heuristics name it */
    int32_t kind; /* its number */
    int plain;    /* it has no gradient of a bias */
} cublaslt_emulated_algorithm;

typedef struct cublaslt_emulated_state {
    cublaslt_emulated_algorithm algorithms[CUBLASLT_EMULATED_MOST]; /* best first */
    int count;
    int asked, ran[CUBLASLT_EMULATED_MOST]; /* heuristics; runs of each */
    int objects;                            /* that were not destroyed or freed */
} cublaslt_emulated_state;
extern cublaslt_emulated_state cublaslt_emulated;

/* Element `i`, of CUDA_R_32F or CUDA_R_16BF. */
float cublaslt_emulated_get(cudaDataType type, const void *x, int64_t i);
void cublaslt_emulated_put(cudaDataType type, void *x, int64_t i, float value);

#endif
