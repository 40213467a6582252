/* base_tensor.h: shapes of tensors, and views of memory that somebody else owns.
 *
 * Images are stored channels last: (B, H, W, C). Configurations and people speak of (C, H, W); base_shape_text
 * prints that. A vector of N features is H = W = 1, C = N, so that every per-sample shape is one triple.
 */
#ifndef BASE_TENSOR_H
#define BASE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

/* The shape of one sample. */
typedef struct base_shape {
    int64_t h, w, c;
    int flat; /* 1: a vector of c features, printed without h and w */
} base_shape;

/* Elements of a sample. */
static inline int64_t base_shape_count(base_shape s)
{
    return s.h * s.w * s.c;
}

static inline int base_shape_equal(base_shape a, base_shape b)
{
    return a.h == b.h && a.w == b.w && a.c == b.c && a.flat == b.flat;
}

static inline base_shape base_shape_vector(int64_t n)
{
    return (base_shape){.h = 1, .w = 1, .c = n, .flat = 1};
}

static inline base_shape base_shape_image(int64_t c, int64_t h, int64_t w)
{
    return (base_shape){.h = h, .w = w, .c = c, .flat = 0};
}

/* "512" or "64x24x24" (C x H x W) into `text` of at least 64 bytes; returns `text`. */
char *base_shape_text(base_shape s, char *text);

/* `batch` samples of `shape`, contiguous. */
typedef struct base_tensor {
    float *data;
    int64_t batch;
    base_shape shape;
} base_tensor;

static inline size_t base_tensor_count(const base_tensor *t)
{
    return (size_t)(t->batch * base_shape_count(t->shape));
}

/* Samples begin .. begin + batch - 1 of `t`. */
base_tensor base_tensor_slice(const base_tensor *t, int64_t begin, int64_t batch);

#endif
