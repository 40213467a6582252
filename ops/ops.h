/* ops.h: the mathematics of a step as one const table of functions a back end, and the contract of every slot.
 *
 * Letters: B samples of this rank, H x W pixels, C channels, M rows, N output features, K input features.
 * Tensors are row-major, channels last: an image batch is (B, H, W, C), a matrix (M, N). Those whose pointers are void
 * (inputs, outputs, what is kept between passes, and their gradients) have elements of element_bytes(context): 4 for
 * float32, 2 for bfloat16 (GPU); parameters, their gradients and the optimizer's state are float32 always. Addresses
 * are aligned to 64 bytes unless a slot says otherwise. B and M may be 0: then outputs that sum over samples are set to
 * zero. Gradients of parameters are written, not added to. A gradient of an input (dx) is added to where `accumulate`
 * is not 0 and written otherwise; dx NULL means that nobody wants it. Inputs and outputs do not overlap unless a slot
 * says so. Where `joint_sums` is 1, a sample's numbers (outputs, dx) do not depend on which other samples are in the
 * batch, nor on how many, to the bit. Repeats are equal to the bit everywhere. Slots run in order on the context's
 * stream; on the host they have finished when they return (see `asynchronous`). They allocate nothing: what they need
 * is reserved by open, by the *_create slots and, for a shape that was not seen before, by its first call; so a step
 * that is captured into a graph has run once before. All are Local. Results do not depend on the number of threads of
 * the pool. A slot fails only for reasons of its device; a failure leaves outputs unspecified.
 *
 * A step: begin_step, then the slots of forward, loss and backward, then (sum_of_squares and clip, and) an optimizer's
 * slot. What differs from step to step goes through begin_step alone, so that a graph captured from the other slots
 * serves every step with the same addresses and the same number of samples.
 */
#ifndef OPS_H
#define OPS_H

#include "base_device.h"
#include "base_pool.h"
#include "base_random.h"
#include "base_status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct ops_context ops_context; /* a back end's state: threads, library handles, scratch */
typedef struct ops_conv ops_conv;       /* a convolution made ready for its shape */

typedef enum ops_activation {
    OPS_IDENTITY,
    OPS_RELU,
    OPS_GELU,
    OPS_TANH,
    OPS_SIGMOID,
    OPS_ACTIVATION_COUNT
} ops_activation;

/* GELU is x Phi(x) with the exact normal distribution function (erf). */
const char *ops_activation_name(ops_activation a);

/* 1 if the backward pass needs the activation's input z (GELU); otherwise it needs the output y alone. Where 1, forward
 * slots write z to `z` (same shape as y), else `z` may be NULL. */
int ops_activation_keeps_input(ops_activation a);

/* What a back end that `fuses` computes along with an operation in training, so that tensors are read and written once
 * less; all zero: nothing. The numbers are those of the operations one by one, but for the rounding of what is not
 * stored in between. */
typedef struct ops_fusion {
    /* Forward: y goes through dropout (slot dropout_forward, n: the elements of a sample of y) behind the activation,
     * which is relu, or behind max pooling of a relu's output: y > 0 says what was kept, there is no mask. 0: none. */
    float dropout;
    uint64_t seed;
    uint32_t random_stream;
    /* Backward: 1: dy arrives as the gradient before activation and dropout, dz: its reader's `gate` saw to that. */
    int dz_given;
    /* Backward: not 0: x is what comes out of a relu (and of dropout behind it), and dx is written as the gradient
     * before both: multiplied by `gate`, the dropout's 1 / (1 - rate) or 1, where x > 0, and 0 elsewhere. accumulate is
     * 0 then. Of max pooling: 1 or 0. */
    float gate;
} ops_fusion;

/* y (M, N) = f(x (M, K) w (K, N) + b (N)); b NULL: no bias. */
typedef struct ops_dense {
    int64_t k, n;
    ops_activation activation;
    ops_fusion fusion;
} ops_dense;

/* w (KH, KW, C, N) seen as a matrix (KH KW C, N); x (B, H, W, C) -> y (B, OH, OW, N), zero padding,
 * OH = (H + 2 pad_h - kernel_h) / stride_h + 1 (rounded down), OW alike. */
typedef struct ops_conv2d {
    int64_t h, w, c, n;
    int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    ops_activation activation;
    int wants_dx;      /* 0: backward is never asked for dx */
    ops_fusion fusion; /* without dropout */
} ops_conv2d;

/* x (B, H, W, C) -> y (B, OH, OW, C). Padding never wins a maximum; an average divides by the number of pixels that lie
 * inside the image. kernel_h * kernel_w <= 255 for max (the winner's place in its window is kept in a byte); pad <
 * kernel. */
typedef struct ops_pool2d {
    int64_t h, w, c;
    int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    ops_fusion fusion; /* of max pooling; with dropout dz is given */
} ops_pool2d;

/* OH or OW of a window over `size` pixels; <= 0 if it does not fit. */
int64_t ops_window_output(int64_t size, int64_t kernel, int64_t stride, int64_t pad);

/* OH and OW of a convolution; BASE_USAGE if its kernel does not fit. */
base_status ops_conv2d_output(const ops_conv2d *op, int64_t *oh, int64_t *ow);

/* What differs from step to step. */
typedef struct ops_step {
    uint64_t step;        /* of random streams; < 2^48 */
    int64_t update;       /* of the optimizer: counts from 1 and gives Adam's bias corrections */
    float lr, grad_scale; /* grad_scale: gradients are multiplied with it first; 1 unless slot clip changes it */
    int64_t first_sample; /* number of this rank's first sample within the global batch */
    /* Memory of the host that the device reads and writes itself (base_device.h: host_alloc), so that no copy stands
     * between two steps; left alone until the step is done. */
    const int64_t *samples; /* (B) numbers in the data set, for gather_samples */
    double *result;         /* (2) of a loss slot that is given none */
} ops_step;

/* p -= lr (g + weight_decay p), with momentum and Nesterov as in Sutskever et al. 2013 as PyTorch writes it:
 * g' = grad_scale g + weight_decay p; v = momentum v + g'; p -= lr (nesterov ? g' + momentum v : v). */
typedef struct ops_sgd {
    float momentum, weight_decay;
    int nesterov;
} ops_sgd;

/* Kingma and Ba 2015; decoupled (AdamW, Loshchilov and Hutter 2019): p -= lr weight_decay p instead of adding it to g.
 */
typedef struct ops_adam {
    float beta1, beta2, eps, weight_decay;
    int decoupled;
} ops_adam;

/* fp32: products of floats, summed in float. tf32: factors rounded to 11 bits (GPU). bf16: factors of matrix products
 * and convolutions, forward and backward, rounded to the nearest bfloat16 (ties to even), sums in float; on a GPU the
 * tensors themselves are bfloat16, on the host tensors, bias, activation, normalisation and loss are float. The host
 * does it by AVX512_BF16 instructions; where there are none, open fails (BASE_DEVICE), unless DDPT_HOST_BF16=emulate
 * asks for the same products of floats, slower than fp32 is. What the host promises of bits holds in bf16 too. */
typedef enum ops_precision { OPS_FP32, OPS_TF32, OPS_BF16 } ops_precision;

typedef struct ops_options {
    base_pool *pool;     /* borrowed for the context's life */
    base_device *device; /* borrowed */
    base_stream *stream; /* borrowed */
    ops_precision precision;
    size_t workspace_bytes; /* GPU: what the patches of a convolution may take, or those of one sample; 0: 256 MiB */
    const char
        *gemm; /* "auto", "openblas", "onednn": the host's library for slot gemm and convolutions; auto: the faster */
} ops_options;

typedef struct ops_table {
    const char *name; /* "host-avx512", "cuda", ... */

    /* 1: the gradients of convolutions and batch normalisation (dw, db, dgamma, dbeta) are doubles; 0: floats. */
    int wide_sums;
    /* 1: a dense layer's gradient may be computed by rows, on any rank, from the operands of all ranks, and is then the
     * same to the bit however samples are shared; 0: from is 0 and to is K in every call. */
    int joint_sums;
    /* 1: slots return before their work is done, all pointers are to the device's memory, and so are the `result`s. */
    int asynchronous;
    /* 1: slots heed ops_fusion; 0: it is all zero in every call. */
    int fuses;

    base_status (*open)(const ops_options *options, ops_context **self);
    void (*close)(ops_context **self);
    /* The GEMM and convolution libraries in use, for people: "OpenBLAS 0.3.21 Cooperlake, oneDNN 2.6.3". */
    const char *(*libraries)(const ops_context *self);
    /* Bytes of an element of the tensors whose pointers are void. */
    size_t (*element_bytes)(const ops_context *self);

    /* The floats in which all parameters lie that slots will be given (w, b; p of the optimizers): a GPU's context of
     * bfloat16 keeps a second, narrow copy of them, which the optimizers' slots write in the same pass. Before the
     * first of these slots and before *_create; a second call replaces the first. */
    base_status (*bind_params)(ops_context *self, const float *params, int64_t count);
    /* Others than the optimizers' slots have written params[0 .. count - 1], a part of those bound: after
     * initialisation, a resume, a gather from other ranks. */
    base_status (*params_changed)(ops_context *self, const float *params, int64_t count);

    /* For the slots that are called from now on, and not for those before, whether their work is done or not. Not part
     * of a captured graph. */
    base_status (*begin_step)(ops_context *self, const ops_step *step);

    /* c (M, N), of the same elements as a and b, = op(a) op(b) + (accumulate ? c : 0); op(a) is (M, K): a (M, K), or a
     * (K, M) transposed where trans_a; op(b) is (K, N): b (K, N), or b (N, K) where trans_b. lda, ldb, ldc: elements
     * from row to row as stored. */
    base_status (*gemm)(ops_context *self, int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const void *a,
                        int64_t lda, const void *b, int64_t ldb, int accumulate, void *c, int64_t ldc);

    base_status (*dense_forward)(ops_context *self, const ops_dense *op, int64_t m, const void *x, const float *w,
                                 const float *b, void *y, void *z);
    /* dy (M, N) is overwritten with the gradient before the activation, dz; dx (M, K) = dz w^T, or NULL. */
    base_status (*dense_backward_data)(ops_context *self, const ops_dense *op, int64_t m, const float *w, const void *y,
                                       const void *z, void *dy, void *dx, int accumulate);
    /* Rows from .. to - 1 of dw (K, N) = x^T dz; db (N) = the sum of dz over its rows in their order, or NULL. M here
     * is all samples that the gradient is summed over. An element does not depend on from and to. */
    base_status (*dense_backward_weights)(ops_context *self, const ops_dense *op, int64_t m, int64_t from, int64_t to,
                                          const void *x, const void *dz, float *dw, float *db);
    /* Both at once, with all rows of dw. Where `joint_sums` is 0 and a layer is best done as a whole this slot is there
     * in place of the two above; else it is empty. */
    base_status (*dense_backward)(ops_context *self, const ops_dense *op, int64_t m, const void *x, const float *w,
                                  const void *y, const void *z, void *dy, float *dw, float *db, void *dx,
                                  int accumulate);

    /* For batches of up to max_batch samples. */
    base_status (*conv2d_create)(ops_context *self, const ops_conv2d *op, int64_t max_batch, ops_conv **conv);
    void (*conv2d_destroy)(ops_conv **conv);
    base_status (*conv2d_forward)(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *w,
                                  const float *b, void *y, void *z);
    /* After the forward pass that gave y and z, with its w: a back end may keep what that pass made of w. dy (B, OH,
     * OW, N) is overwritten with the gradient before the activation, dz; dx (B, H, W, C) or NULL. dw (KH, KW, C, N) and
     * db (N) or NULL: where `wide_sums` is 1, sums over samples in double of each sample's gradient in float, so that
     * how samples are shared among ranks does not show; else floats. w is not read once dw and db are complete. */
    base_status (*conv2d_backward)(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *w,
                                   const void *y, const void *z, void *dy, void *dw, void *db, void *dx,
                                   int accumulate);

    /* winner (B, OH, OW, C): place of the maximum in its window, row-major; the first of equals; no place, so that no
     * gradient passes, where the pool has a gate and the maximum is not positive. NULL in evaluation. */
    base_status (*max_pool_forward)(ops_context *self, const ops_pool2d *op, int64_t batch, const void *x, void *y,
                                    uint8_t *winner);
    base_status (*max_pool_backward)(ops_context *self, const ops_pool2d *op, int64_t batch, const void *dy,
                                     const uint8_t *winner, void *dx, int accumulate);
    base_status (*avg_pool_forward)(ops_context *self, const ops_pool2d *op, int64_t batch, const void *x, void *y);
    base_status (*avg_pool_backward)(ops_context *self, const ops_pool2d *op, int64_t batch, const void *dy, void *dx,
                                     int accumulate);

    /* Batch normalisation over rows x (R, C), R = B H W, in the steps between which ranks add up their sums.
     * 1. sums (2 C) = {sum of x, sum of x^2} over this rank's rows, in double.
     * 2. after the sums are added up over ranks: mean (C), invstd (C) = 1 / sqrt(var + eps) from `count` rows, var
     * biased; running_mean and running_var (C) move by `momentum` towards mean and the unbiased variance (biased if
     * count is 1).
     * 3. y = f(gamma (x - mean) invstd + beta).
     * In evaluation step 3 is taken with mean and invstd made from the running ones by batch_norm_running. */
    base_status (*batch_norm_sums)(ops_context *self, int64_t rows, int64_t c, const void *x, double *sums);
    base_status (*batch_norm_statistics)(ops_context *self, int64_t c, const double *sums, int64_t count,
                                         float momentum, float eps, float *mean, float *invstd, float *running_mean,
                                         float *running_var);
    base_status (*batch_norm_running)(ops_context *self, int64_t c, const float *running_mean, const float *running_var,
                                      float eps, float *mean, float *invstd);
    base_status (*batch_norm_forward)(ops_context *self, int64_t rows, int64_t c, ops_activation activation,
                                      const void *x, const float *mean, const float *invstd, const float *gamma,
                                      const float *beta, void *y, void *z);
    /* 1. dy is overwritten with the gradient before the activation; sums (2 C) = {sum of dy, sum of dy xhat} over this
     * rank's rows, xhat = (x - mean) invstd; dbeta (C) and dgamma (C) are those sums again (this rank's share), as
     * `wide_sums` says.
     * 2. after the sums are added up: dx = gamma invstd (dy - sums[c] / count - xhat sums[C + c] / count). */
    base_status (*batch_norm_backward_sums)(ops_context *self, int64_t rows, int64_t c, ops_activation activation,
                                            const void *x, const float *mean, const float *invstd, const void *y,
                                            const void *z, void *dy, double *sums, void *dgamma, void *dbeta);
    base_status (*batch_norm_backward)(ops_context *self, int64_t rows, int64_t c, const void *x, const float *mean,
                                       const float *invstd, const float *gamma, const double *sums, int64_t count,
                                       const void *dy, void *dx, int accumulate);

    /* Elementwise, y may be x, dx may be dy. */
    base_status (*activation_forward)(ops_context *self, ops_activation activation, int64_t count, const void *x,
                                      void *y);
    /* x (the input) is read for activations that keep it, y otherwise; the other may be NULL. */
    base_status (*activation_backward)(ops_context *self, ops_activation activation, int64_t count, const void *x,
                                       const void *y, const void *dy, void *dx, int accumulate);

    /* Sample i of the batch (N features each) has number first_sample + i (of begin_step) within the global batch;
     * element e of it is kept when its word of base_random_stream(seed, random_stream, step of begin_step) >= rate *
     * 2^32, and then scaled by 1 / (1 - rate). y may be x. mask (B, N): 1 kept, 0 dropped. */
    base_status (*dropout_forward)(ops_context *self, int64_t batch, int64_t n, float rate, uint64_t seed,
                                   uint32_t random_stream, const void *x, void *y, uint8_t *mask);
    base_status (*dropout_backward)(ops_context *self, int64_t batch, int64_t n, float rate, const uint8_t *mask,
                                    const void *dy, void *dx, int accumulate);

    /* to = from, or to += from. */
    base_status (*copy)(ops_context *self, int64_t count, const void *from, void *to, int accumulate);
    /* y (count) = sum of the `inputs` tensors x[i] (count), from the first to the last. */
    base_status (*add)(ops_context *self, int inputs, int64_t count, const void *const *x, void *y);
    /* y (R, sum of c[i]) is the tensors x[i] (R, c[i]) side by side. */
    base_status (*concat)(ops_context *self, int inputs, int64_t rows, const int64_t *c, const void *const *x, void *y);
    /* The columns from .. from + c of y (R, total): dx (R, c). */
    base_status (*concat_backward)(ops_context *self, int64_t rows, int64_t total, int64_t from, int64_t c,
                                   const void *dy, void *dx, int accumulate);

    /* result (begin_step's where it is NULL): result[0] = sum over this rank's samples of the loss, result[1] = number
     * of samples whose largest output (the first of equals) is their label. dlogits (B, N) = scale * gradient of each
     * sample's loss; NULL: evaluation. labels (B) in 0 .. N - 1. softmax_cross_entropy: -log softmax(logits)[label],
     * stable for any finite logits. mean_squared_error: mean over N of (output - one_hot(label))^2. */
    base_status (*softmax_cross_entropy)(ops_context *self, int64_t batch, int64_t n, const void *logits,
                                         const int32_t *labels, float scale, void *dlogits, double result[2]);
    base_status (*mean_squared_error)(ops_context *self, int64_t batch, int64_t n, const void *outputs,
                                      const int32_t *labels, float scale, void *doutputs, double result[2]);

    /* Over flat ranges, with lr, grad_scale and update of begin_step; v NULL where momentum is 0. Addresses aligned to
     * 4 bytes. */
    base_status (*sgd_update)(ops_context *self, const ops_sgd *op, int64_t count, const float *g, float *p, float *v);
    base_status (*adam_update)(ops_context *self, const ops_adam *op, int64_t count, const float *g, float *p, float *m,
                               float *v);
    /* to[i] = from[i] rounded. Empty where `wide_sums` is 0: nobody has doubles to round. */
    base_status (*round)(ops_context *self, int64_t count, const double *from, float *to);
    /* *result = (accumulate ? *result : 0) + the sum, in double. */
    base_status (*sum_of_squares)(ops_context *self, int64_t count, const float *x, int accumulate, double *result);
    /* For the optimizers of this step: grad_scale = clip_norm / norm where the norm, the root of *sum_of_squares, is
     * larger, else 1 (Pascanu et al. 2013). */
    base_status (*clip)(ops_context *self, double clip_norm, const double *sum_of_squares);

    /* x[i] = pixels[i] * scale[i % C] + shift[i % C]; count a multiple of C. Uses no pool and no state: any thread may
     * call it, with self NULL. Empty where gather_samples is not. */
    base_status (*normalize)(ops_context *self, int64_t count, int64_t c, const uint8_t *pixels, const float *scale,
                             const float *shift, float *x);
    /* For data that lie on the device: x (B, size)[i][j] = pixels[s size + j] scale[j % C] + shift[j % C] and labels[i]
     * = all_labels[s] with s = samples[i] of begin_step where `chosen`, else s = i (pixels and all_labels are then the
     * batch itself). pixels begin at any address. Empty on the host: there the loader makes x with normalize. */
    base_status (*gather_samples)(ops_context *self, int64_t batch, int64_t size, int64_t c, const uint8_t *pixels,
                                  const int32_t *all_labels, int chosen, const float *scale, const float *shift,
                                  void *x, int32_t *labels);
} ops_table;

/* The host's table for this machine's instruction set, chosen on the first call (DDPT_ISA=generic|avx2|avx512 forces
 * one that the machine has). */
const ops_table *ops_host(void);

#endif
