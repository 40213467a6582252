/* ops.h: the mathematics of a step as one const table of functions a back end, and the contract of every slot.
 *
 * Letters: B samples of this rank, H x W pixels, C channels, M rows, N output features, K input features.
 * Tensors are float32, row-major, channels last: an image batch is (B, H, W, C), a matrix (M, N). Addresses are aligned
 * to 64 bytes unless a slot says otherwise. B and M may be 0: then outputs that sum over samples are set to zero.
 * Gradients of parameters are written, not added to. A gradient of an input (dx) is added to where `accumulate` is not
 * 0 and written otherwise; dx NULL means that nobody wants it. Inputs and outputs do not overlap unless a slot says so.
 * A sample's numbers (outputs, dx) do not depend on which other samples are in the batch, nor on how many, to the bit.
 * Slots run in order on the context's stream; on the host they have finished when they return. They allocate nothing:
 * what they need is reserved by open and by the *_create slots. All are Local. Results do not depend on the number of
 * threads of the pool. A slot fails only for reasons of its device; a failure leaves outputs unspecified.
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

/* y (M, N) = f(x (M, K) w (K, N) + b (N)); b NULL: no bias. */
typedef struct ops_dense {
    int64_t k, n;
    ops_activation activation;
} ops_dense;

/* w (KH, KW, C, N) seen as a matrix (KH KW C, N); x (B, H, W, C) -> y (B, OH, OW, N), zero padding,
 * OH = (H + 2 pad_h - kernel_h) / stride_h + 1 (rounded down), OW alike. */
typedef struct ops_conv2d {
    int64_t h, w, c, n;
    int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    ops_activation activation;
    int wants_dx; /* 0: backward is never asked for dx */
} ops_conv2d;

/* x (B, H, W, C) -> y (B, OH, OW, C). Padding never wins a maximum; an average divides by the number of pixels that lie
 * inside the image. kernel_h * kernel_w <= 255 for max (the winner's place in its window is kept in a byte); pad <
 * kernel. */
typedef struct ops_pool2d {
    int64_t h, w, c;
    int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
} ops_pool2d;

/* OH or OW of a window over `size` pixels; <= 0 if it does not fit. */
int64_t ops_window_output(int64_t size, int64_t kernel, int64_t stride, int64_t pad);

/* p -= lr (g + weight_decay p), with momentum and Nesterov as in Sutskever et al. 2013 as PyTorch writes it:
 * g' = grad_scale g + weight_decay p; v = momentum v + g'; p -= lr (nesterov ? g' + momentum v : v). */
typedef struct ops_sgd {
    float lr, momentum, weight_decay, grad_scale;
    int nesterov;
} ops_sgd;

/* Kingma and Ba 2015; decoupled (AdamW, Loshchilov and Hutter 2019): p -= lr weight_decay p instead of adding it to g.
 * `step` counts from 1 and gives the bias corrections. */
typedef struct ops_adam {
    float lr, beta1, beta2, eps, weight_decay, grad_scale;
    int decoupled;
    int64_t step;
} ops_adam;

typedef struct ops_options {
    base_pool *pool;     /* borrowed for the context's life */
    base_device *device; /* borrowed */
    base_stream *stream; /* borrowed */
    const char
        *gemm; /* "auto", "openblas", "onednn": the host's library for slot gemm and convolutions; auto: the faster */
} ops_options;

typedef struct ops_table {
    const char *name; /* "host-avx512", ... */

    base_status (*open)(const ops_options *options, ops_context **self);
    void (*close)(ops_context **self);
    /* The GEMM and convolution libraries in use, for people: "OpenBLAS 0.3.21 Cooperlake, oneDNN 2.6.3". */
    const char *(*libraries)(const ops_context *self);

    /* c (M, N) = op(a) op(b) + (accumulate ? c : 0); op(a) is (M, K): a (M, K), or a (K, M) transposed where trans_a;
     * op(b) is (K, N): b (K, N), or b (N, K) where trans_b. lda, ldb, ldc: elements from row to row as stored. */
    base_status (*gemm)(ops_context *self, int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const float *a,
                        int64_t lda, const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc);

    base_status (*dense_forward)(ops_context *self, const ops_dense *op, int64_t m, const float *x, const float *w,
                                 const float *b, float *y, float *z);
    /* dy (M, N) is overwritten with the gradient before the activation, dz; dx (M, K) = dz w^T, or NULL. */
    base_status (*dense_backward_data)(ops_context *self, const ops_dense *op, int64_t m, const float *w,
                                       const float *y, const float *z, float *dy, float *dx, int accumulate);
    /* Rows from .. to - 1 of dw (K, N) = x^T dz; db (N) = the sum of dz over its rows in their order, or NULL. M here
     * is all samples that the gradient is summed over. An element does not depend on from and to. */
    base_status (*dense_backward_weights)(ops_context *self, const ops_dense *op, int64_t m, int64_t from, int64_t to,
                                          const float *x, const float *dz, float *dw, float *db);

    /* For batches of up to max_batch samples. */
    base_status (*conv2d_create)(ops_context *self, const ops_conv2d *op, int64_t max_batch, ops_conv **conv);
    void (*conv2d_destroy)(ops_conv **conv);
    base_status (*conv2d_forward)(ops_context *self, ops_conv *conv, int64_t batch, const float *x, const float *w,
                                  const float *b, float *y, float *z);
    /* dy (B, OH, OW, N) is overwritten with the gradient before the activation, dz; dx (B, H, W, C) or NULL. dw (KH,
     * KW, C, N) and db (N) or NULL are sums over samples in double of each sample's gradient in float, so that how
     * samples are shared among ranks does not show. w is not read once dw and db are complete. */
    base_status (*conv2d_backward)(ops_context *self, ops_conv *conv, int64_t batch, const float *x, const float *w,
                                   const float *y, const float *z, float *dy, double *dw, double *db, float *dx,
                                   int accumulate);

    /* winner (B, OH, OW, C): place of the maximum in its window, row-major; the first of equals. NULL in evaluation. */
    base_status (*max_pool_forward)(ops_context *self, const ops_pool2d *op, int64_t batch, const float *x, float *y,
                                    uint8_t *winner);
    base_status (*max_pool_backward)(ops_context *self, const ops_pool2d *op, int64_t batch, const float *dy,
                                     const uint8_t *winner, float *dx, int accumulate);
    base_status (*avg_pool_forward)(ops_context *self, const ops_pool2d *op, int64_t batch, const float *x, float *y);
    base_status (*avg_pool_backward)(ops_context *self, const ops_pool2d *op, int64_t batch, const float *dy, float *dx,
                                     int accumulate);

    /* Batch normalisation over rows x (R, C), R = B H W, in the steps between which ranks add up their sums.
     * 1. sums (2 C) = {sum of x, sum of x^2} over this rank's rows, in double.
     * 2. after the sums are added up over ranks: mean (C), invstd (C) = 1 / sqrt(var + eps) from `count` rows, var
     * biased; running_mean and running_var (C) move by `momentum` towards mean and the unbiased variance (biased if
     * count is 1).
     * 3. y = f(gamma (x - mean) invstd + beta).
     * In evaluation step 3 is taken with mean and invstd made from the running ones by batch_norm_running. */
    base_status (*batch_norm_sums)(ops_context *self, int64_t rows, int64_t c, const float *x, double *sums);
    base_status (*batch_norm_statistics)(ops_context *self, int64_t c, const double *sums, int64_t count,
                                         float momentum, float eps, float *mean, float *invstd, float *running_mean,
                                         float *running_var);
    base_status (*batch_norm_running)(ops_context *self, int64_t c, const float *running_mean, const float *running_var,
                                      float eps, float *mean, float *invstd);
    base_status (*batch_norm_forward)(ops_context *self, int64_t rows, int64_t c, ops_activation activation,
                                      const float *x, const float *mean, const float *invstd, const float *gamma,
                                      const float *beta, float *y, float *z);
    /* 1. dy is overwritten with the gradient before the activation; sums (2 C) = {sum of dy, sum of dy xhat} over this
     * rank's rows, xhat = (x - mean) invstd; dbeta (C) and dgamma (C) are those sums again (this rank's share).
     * 2. after the sums are added up: dx = gamma invstd (dy - sums[c] / count - xhat sums[C + c] / count). */
    base_status (*batch_norm_backward_sums)(ops_context *self, int64_t rows, int64_t c, ops_activation activation,
                                            const float *x, const float *mean, const float *invstd, const float *y,
                                            const float *z, float *dy, double *sums, double *dgamma, double *dbeta);
    base_status (*batch_norm_backward)(ops_context *self, int64_t rows, int64_t c, const float *x, const float *mean,
                                       const float *invstd, const float *gamma, const double *sums, int64_t count,
                                       const float *dy, float *dx, int accumulate);

    /* Elementwise, y may be x, dx may be dy. */
    base_status (*activation_forward)(ops_context *self, ops_activation activation, int64_t count, const float *x,
                                      float *y);
    /* x (the input) is read for activations that keep it, y otherwise; the other may be NULL. */
    base_status (*activation_backward)(ops_context *self, ops_activation activation, int64_t count, const float *x,
                                       const float *y, const float *dy, float *dx, int accumulate);

    /* Sample i of the batch (N features each) has number first_sample + i within the global batch; element e of it is
     * kept when its Philox word (base_random.h) >= rate * 2^32, and then scaled by 1 / (1 - rate). y may be x. mask (B,
     * N): 1 kept, 0 dropped. */
    base_status (*dropout_forward)(ops_context *self, int64_t batch, int64_t n, float rate, const base_random *random,
                                   int64_t first_sample, const float *x, float *y, uint8_t *mask);
    base_status (*dropout_backward)(ops_context *self, int64_t batch, int64_t n, float rate, const uint8_t *mask,
                                    const float *dy, float *dx, int accumulate);

    /* to = from, or to += from. */
    base_status (*copy)(ops_context *self, int64_t count, const float *from, float *to, int accumulate);
    /* y (count) = sum of the `inputs` tensors x[i] (count), from the first to the last. */
    base_status (*add)(ops_context *self, int inputs, int64_t count, const float *const *x, float *y);
    /* y (R, sum of c[i]) is the tensors x[i] (R, c[i]) side by side. */
    base_status (*concat)(ops_context *self, int inputs, int64_t rows, const int64_t *c, const float *const *x,
                          float *y);
    /* The columns from .. from + c of y (R, total): dx (R, c). */
    base_status (*concat_backward)(ops_context *self, int64_t rows, int64_t total, int64_t from, int64_t c,
                                   const float *dy, float *dx, int accumulate);

    /* result[0] = sum over this rank's samples of the loss, result[1] = number of samples whose largest output (the
     * first of equals) is their label. dlogits (B, N) = scale * gradient of each sample's loss; NULL: evaluation.
     * labels (B) in 0 .. N - 1.
     * softmax_cross_entropy: -log softmax(logits)[label], stable for any finite logits.
     * mean_squared_error: mean over N of (output - one_hot(label))^2. */
    base_status (*softmax_cross_entropy)(ops_context *self, int64_t batch, int64_t n, const float *logits,
                                         const int32_t *labels, float scale, float *dlogits, double result[2]);
    base_status (*mean_squared_error)(ops_context *self, int64_t batch, int64_t n, const float *outputs,
                                      const int32_t *labels, float scale, float *doutputs, double result[2]);

    /* Over flat ranges; v NULL where momentum is 0. Addresses aligned to 4 bytes. */
    base_status (*sgd_update)(ops_context *self, const ops_sgd *op, int64_t count, const float *g, float *p, float *v);
    base_status (*adam_update)(ops_context *self, const ops_adam *op, int64_t count, const float *g, float *p, float *m,
                               float *v);
    /* to[i] = from[i] rounded. */
    base_status (*round)(ops_context *self, int64_t count, const double *from, float *to);
    base_status (*sum_of_squares)(ops_context *self, int64_t count, const float *x, double *result);

    /* x[i] = pixels[i] * scale[i % C] + shift[i % C]; count a multiple of C. Uses no pool and no state: any thread may
     * call it, with self NULL on the host. */
    base_status (*normalize)(ops_context *self, int64_t count, int64_t c, const uint8_t *pixels, const float *scale,
                             const float *shift, float *x);
} ops_table;

/* The host's table for this machine's instruction set, chosen on the first call (DDPT_ISA=generic|avx2|avx512 forces
 * one that the machine has). */
const ops_table *ops_host(void);

#endif
