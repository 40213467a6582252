/* cudnn_emulated.h: a cuDNN for the emulator, by its own interface (gpu_cudnn_api.h).
 *
 * It takes what the library takes and refuses what it would refuse: attributes of another type or descriptor, parts
 * that are not finished, tensors whose shapes do not fit. The engines that its heuristics name first must not be taken:
 * sums that change from run to run (they come out doubled), factors rounded to 11 bits, a workspace of 1 GiB. A plan
 * that runs writes over its workspace. Some passes are not there, so that their lack is met: forward with bias where N
 * is odd; forward where C is 2; the gradient of x, added, where C is 4; the gradient of w in float from bfloat16 where
 * N is no multiple of 8, in bfloat16 where H is odd; a plan for N = 6 does not start.
 */
#ifndef CUDNN_EMULATED_H
#define CUDNN_EMULATED_H

#if defined(__cplusplus)
extern "C" {
#endif

/* Runs since the program began: of a pass with `operations` 1 to 3 (convolution, bias, relu), to y, x or w. */
typedef struct cudnn_emulated_runs {
    int forward[4], data, data_added, weights, weights_narrow, failed;
} cudnn_emulated_runs;
extern cudnn_emulated_runs cudnn_emulated;

/* Descriptors that were not destroyed. */
extern int cudnn_emulated_descriptors;

#if defined(__cplusplus)
}
#endif

#endif
