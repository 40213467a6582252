/* ops_host_conv_im2col.c: convolution as GEMM over a matrix of patches, made a cache-sized piece at a time.
 *
 * Row r of the patches (B OH OW, KH KW C) is what the kernel sees at output pixel r. Channels last makes each of its KH
 * lines one contiguous piece of the image.
 */
#include "ops_host_conv.h"
#include "ops_host_kernels.h"

#include <string.h>

extern const ops_conv_engine OPS_HOST(conv_im2col);

enum { PATCH_BYTES = 256 << 10, MIN_ROWS = 32 };

/* Output pixels whose patches are made at a time. */
static int64_t piece_rows(const ops_conv *conv)
{
    int64_t row_bytes = conv->op.kernel_h * conv->op.kernel_w * conv->op.c * (int64_t)sizeof(float);
    int64_t rows = PATCH_BYTES / row_bytes;
    return rows < MIN_ROWS ? MIN_ROWS : rows;
}

/* The image is its own matrix of patches. */
static int is_plain(const ops_conv2d *op)
{
    return op->kernel_h == 1 && op->kernel_w == 1 && op->stride_h == 1 && op->stride_w == 1 && op->pad_h == 0 &&
           op->pad_w == 0;
}

static base_status create_im2col(ops_conv *conv, int *fits)
{
    *fits = 1;
    conv->share_floats = conv->w_floats;
    conv->step_samples = 1;
    conv->thread_floats = piece_rows(conv) * conv->op.kernel_h * conv->op.kernel_w * conv->op.c;
    return BASE_OK;
}

static void destroy_im2col(ops_conv *conv)
{
    (void)conv;
}

/* One line of a kernel over the image: pixels [from, from + kernel_w) of image row `line` of a sample, those inside the
 * image being [begin, end). */
typedef struct kernel_line {
    int64_t offset;     /* of the first pixel inside, in floats from the sample */
    int64_t begin, end; /* in floats within the line; equal where the line is outside */
} kernel_line;

static kernel_line line_at(const ops_conv *conv, int64_t pixel, int64_t kh)
{
    const ops_conv2d *op = &conv->op;
    int64_t row = pixel / conv->ow * op->stride_h - op->pad_h + kh;
    int64_t from = pixel % conv->ow * op->stride_w - op->pad_w;
    if (row < 0 || row >= op->h)
        return (kernel_line){0, 0, 0};
    int64_t begin = from < 0 ? -from : 0;
    int64_t end = from + op->kernel_w > op->w ? op->w - from : op->kernel_w;
    if (end <= begin)
        return (kernel_line){0, 0, 0};
    return (kernel_line){(row * op->w + from + begin) * op->c, begin * op->c, end * op->c};
}

/* Patches of output pixels row .. row + rows - 1, counted through the samples of x. */
static void gather(const ops_conv *conv, const float *x, int64_t row, int64_t rows, float *patches)
{
    int64_t pixels = conv->oh * conv->ow, length = conv->op.kernel_w * conv->op.c;
    for (int64_t r = row; r < row + rows; r++) {
        const float *sample = x + r / pixels * conv->x_floats;
        for (int64_t kh = 0; kh < conv->op.kernel_h; kh++, patches += length) {
            kernel_line at = line_at(conv, r % pixels, kh);
            for (int64_t i = 0; i < at.begin; i++)
                patches[i] = 0.0F;
            for (int64_t i = at.begin; i < at.end; i++)
                patches[i] = sample[at.offset + i - at.begin];
            for (int64_t i = at.end; i < length; i++)
                patches[i] = 0.0F;
        }
    }
}

/* The transpose of gather: adds patches to where they came from. */
static void scatter(const ops_conv *conv, const float *patches, int64_t row, int64_t rows, float *dx)
{
    int64_t pixels = conv->oh * conv->ow, length = conv->op.kernel_w * conv->op.c;
    for (int64_t r = row; r < row + rows; r++) {
        float *sample = dx + r / pixels * conv->x_floats;
        for (int64_t kh = 0; kh < conv->op.kernel_h; kh++, patches += length) {
            kernel_line at = line_at(conv, r % pixels, kh);
            for (int64_t i = at.begin; i < at.end; i++)
                sample[at.offset + i - at.begin] += patches[i];
        }
    }
}

/* Samples come one at a time (step_samples), so that the pieces of a sample do not depend on its neighbours. */
static base_status forward_im2col(const ops_conv *conv, int64_t samples, const float *x, const float *w, float *y,
                                  int thread, float *scratch)
{
    (void)thread;
    (void)samples;
    int64_t n = conv->op.n, k = conv->w_floats / n, total = conv->oh * conv->ow, rows;
    for (int64_t row = 0; row < total; row += rows) {
        rows = total - row < piece_rows(conv) ? total - row : piece_rows(conv);
        const float *patches = is_plain(&conv->op) ? x + row * k : scratch;
        if (patches == scratch)
            gather(conv, x, row, rows, scratch);
        ops_gemm_block(ops_host_gemm(conv->context), 0, 0, rows, n, k, patches, k, w, n, 0, y + row * n, n);
    }
    return BASE_OK;
}

static base_status backward_data_im2col(const ops_conv *conv, int64_t samples, const float *dy, const float *w,
                                        int accumulate, float *dx, int thread, float *scratch)
{
    (void)thread;
    (void)samples;
    int64_t n = conv->op.n, k = conv->w_floats / n, total = conv->oh * conv->ow, rows;
    if (is_plain(&conv->op)) {
        ops_gemm_block(ops_host_gemm(conv->context), 0, 1, total, k, n, dy, n, w, n, accumulate, dx, k);
        return BASE_OK;
    }
    if (!accumulate)
        memset(dx, 0, (size_t)conv->x_floats * sizeof *dx);
    for (int64_t row = 0; row < total; row += rows) {
        rows = total - row < piece_rows(conv) ? total - row : piece_rows(conv);
        ops_gemm_block(ops_host_gemm(conv->context), 0, 1, rows, k, n, dy + row * n, n, w, n, 0, scratch, k);
        scatter(conv, scratch, row, rows, dx);
    }
    return BASE_OK;
}

static base_status backward_weights_im2col(const ops_conv *conv, const float *x, const float *dy, float *dw, int thread,
                                           float *scratch)
{
    (void)thread;
    int64_t n = conv->op.n, k = conv->w_floats / n, total = conv->oh * conv->ow, rows;
    for (int64_t row = 0; row < total; row += rows) {
        rows = total - row < piece_rows(conv) ? total - row : piece_rows(conv);
        const float *patches = is_plain(&conv->op) ? x + row * k : scratch;
        if (patches == scratch)
            gather(conv, x, row, rows, scratch);
        ops_gemm_block(ops_host_gemm(conv->context), 1, 0, k, n, rows, patches, k, dy + row * n, n, row > 0, dw, n);
    }
    return BASE_OK;
}

const ops_conv_engine OPS_HOST(conv_im2col) = {
    .name = "im2col",
    .create = create_im2col,
    .destroy = destroy_im2col,
    .forward = forward_im2col,
    .backward_data = backward_data_im2col,
    .backward_weights = backward_weights_im2col,
};
