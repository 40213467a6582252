/* ops_host_kernels.h: the host's slots for this file's instruction set (OPS_ISA), for the table that lists them.
 *
 * Contracts are in ops.h. Internal to ops. Also what these kernel files share: how a loop is spread over the pool.
 */
#ifndef OPS_HOST_KERNELS_H
#define OPS_HOST_KERNELS_H

#include "ops_host.h"

/* Tasks for a loop over `count` elements: one a `grain`, so that a task is worth a futex wake (choose 30 us or more of
 * work), at most OPS_HOST_PARTS. A small loop is one task, which the caller runs itself. */
enum { OPS_HOST_PARTS = 64 };
static inline int64_t ops_host_parts(int64_t count, int64_t grain)
{
    int64_t parts = count / grain;
    return parts < 1 ? 1 : parts < OPS_HOST_PARTS ? parts : OPS_HOST_PARTS;
}

/* y = f(x) and dx = (accumulate ? dx : 0) + dy f'(x or y) on the calling thread alone. y may be x, dx may be dy. For
 * kernels that apply an activation to a block while it is in cache; any address. */
void OPS_HOST(activate)(ops_activation activation, int64_t count, const float *x, float *y);
void OPS_HOST(activate_gradient)(ops_activation activation, int64_t count, const float *x, const float *y,
                                 const float *dy, float *dx, int accumulate);

/* Dense layers: ops_host_dense.c */
base_status OPS_HOST(dense_forward)(ops_context *self, const ops_dense *op, int64_t m, const void *x, const float *w,
                                    const float *b, void *y, void *z);
base_status OPS_HOST(dense_backward_data)(ops_context *self, const ops_dense *op, int64_t m, const float *w,
                                          const void *y, const void *z, void *dy, void *dx, int accumulate);
base_status OPS_HOST(dense_backward_weights)(ops_context *self, const ops_dense *op, int64_t m, int64_t from,
                                             int64_t to, const void *x, const void *dz, float *dw, float *db);

/* c (m, n) = or += op(a) b on the calling thread; op(a) is (m, k): a, or a (k, m) transposed where trans_a. An element
 * of c is the same to the bit in any product that holds it, whatever m and n. Any address: ops_host_product.c */
void OPS_HOST(product)(int trans_a, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                       int64_t ldb, int accumulate, float *c, int64_t ldc);
/* The same with b (n, k) transposed: ops_host_transposed.c */
void OPS_HOST(product_transposed)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                                  int64_t ldb, int accumulate, float *c, int64_t ldc);

/* Products of bfloat16, emulated where OPS_ISA is not avx512bf16: ops_host_product_bf16.c */
extern const ops_bf16 OPS_HOST(bf16);

/* Convolution: ops_host_conv.c */
base_status OPS_HOST(conv2d_create)(ops_context *self, const ops_conv2d *op, int64_t max_batch, ops_conv **conv);
void OPS_HOST(conv2d_destroy)(ops_conv **conv);
base_status OPS_HOST(conv2d_forward)(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *w,
                                     const float *b, void *y, void *z);
base_status OPS_HOST(conv2d_backward)(ops_context *self, ops_conv *conv, int64_t batch, const void *x, const float *w,
                                      const void *y, const void *z, void *dy, void *dw, void *db, void *dx,
                                      int accumulate);

/* Batch normalisation: ops_host_norm.c */
base_status OPS_HOST(batch_norm_sums)(ops_context *self, int64_t rows, int64_t c, const void *x, double *sums);
base_status OPS_HOST(batch_norm_statistics)(ops_context *self, int64_t c, const double *sums, int64_t count,
                                            float momentum, float eps, float *mean, float *invstd, float *running_mean,
                                            float *running_var);
base_status OPS_HOST(batch_norm_running)(ops_context *self, int64_t c, const float *running_mean,
                                         const float *running_var, float eps, float *mean, float *invstd);
base_status OPS_HOST(batch_norm_forward)(ops_context *self, int64_t rows, int64_t c, ops_activation activation,
                                         const void *x, const float *mean, const float *invstd, const float *gamma,
                                         const float *beta, void *y, void *z);
base_status OPS_HOST(batch_norm_backward_sums)(ops_context *self, int64_t rows, int64_t c, ops_activation activation,
                                               const void *x, const float *mean, const float *invstd, const void *y,
                                               const void *z, void *dy, double *sums, void *dgamma, void *dbeta);
base_status OPS_HOST(batch_norm_backward)(ops_context *self, int64_t rows, int64_t c, const void *x, const float *mean,
                                          const float *invstd, const float *gamma, const double *sums, int64_t count,
                                          const void *dy, void *dx, int accumulate);

/* Pooling: ops_host_pool.c */
base_status OPS_HOST(max_pool_forward)(ops_context *self, const ops_pool2d *op, int64_t batch, const void *x, void *y,
                                       uint8_t *winner);
base_status OPS_HOST(max_pool_backward)(ops_context *self, const ops_pool2d *op, int64_t batch, const void *dy,
                                        const uint8_t *winner, void *dx, int accumulate);
base_status OPS_HOST(avg_pool_forward)(ops_context *self, const ops_pool2d *op, int64_t batch, const void *x, void *y);
base_status OPS_HOST(avg_pool_backward)(ops_context *self, const ops_pool2d *op, int64_t batch, const void *dy,
                                        void *dx, int accumulate);

/* Elementwise: ops_host_elementwise.c */
base_status OPS_HOST(activation_forward)(ops_context *self, ops_activation activation, int64_t count, const void *x,
                                         void *y);
base_status OPS_HOST(activation_backward)(ops_context *self, ops_activation activation, int64_t count, const void *x,
                                          const void *y, const void *dy, void *dx, int accumulate);
base_status OPS_HOST(copy)(ops_context *self, int64_t count, const void *from, void *to, int accumulate);
base_status OPS_HOST(add)(ops_context *self, int inputs, int64_t count, const void *const *x, void *y);
base_status OPS_HOST(concat)(ops_context *self, int inputs, int64_t rows, const int64_t *c, const void *const *x,
                             void *y);
base_status OPS_HOST(concat_backward)(ops_context *self, int64_t rows, int64_t total, int64_t from, int64_t c,
                                      const void *dy, void *dx, int accumulate);
base_status OPS_HOST(normalize)(ops_context *self, int64_t count, int64_t c, const uint8_t *pixels, const float *scale,
                                const float *shift, float *x);

/* Dropout: ops_host_dropout.c */
base_status OPS_HOST(dropout_forward)(ops_context *self, int64_t batch, int64_t n, float rate, uint64_t seed,
                                      uint32_t random_stream, const void *x, void *y, uint8_t *mask);
base_status OPS_HOST(dropout_backward)(ops_context *self, int64_t batch, int64_t n, float rate, const uint8_t *mask,
                                       const void *dy, void *dx, int accumulate);

/* Losses: ops_host_loss.c */
base_status OPS_HOST(softmax_cross_entropy)(ops_context *self, int64_t batch, int64_t n, const void *logits,
                                            const int32_t *labels, float scale, void *dlogits, double result[2]);
base_status OPS_HOST(mean_squared_error)(ops_context *self, int64_t batch, int64_t n, const void *outputs,
                                         const int32_t *labels, float scale, void *doutputs, double result[2]);

/* Optimizers: ops_host_optim.c */
base_status OPS_HOST(sgd_update)(ops_context *self, const ops_sgd *op, int64_t count, const float *g, float *p,
                                 float *v);
base_status OPS_HOST(adam_update)(ops_context *self, const ops_adam *op, int64_t count, const float *g, float *p,
                                  float *m, float *v);
base_status OPS_HOST(round)(ops_context *self, int64_t count, const double *from, float *to);
base_status OPS_HOST(sum_of_squares)(ops_context *self, int64_t count, const float *x, int accumulate, double *result);

#endif
