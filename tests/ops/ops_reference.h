/* ops_reference.h: what the tests of ops share: a context a back end, guarded memory, random numbers, gradients of a
 * float64 reference by central differences.
 *
 * Failures are cmocka failures of the running test.
 */
#ifndef OPS_REFERENCE_H
#define OPS_REFERENCE_H

#include "ops.h"

#include <stddef.h>
#include <stdint.h>

/* One case of a test: runs an op, checks it, and returns a digest of its outputs (ops_reference_digest). */
typedef uint64_t ops_reference_case(const ops_table *table, ops_context *self, const void *argument);

/* Runs the case for every instruction set of this machine, each with a pool of 1 and of 3 threads, whose digests must
 * be equal. */
void ops_reference_run(ops_reference_case *run, const void *argument);

/* The same with the GEMM library `gemm` (and so its way to convolve). has: 0, and why on stdout, if the build lacks it. */
void ops_reference_run_with(ops_reference_case *run, const void *argument, const char *gemm);
int ops_reference_has(const char *gemm);

/* The same in precision "bf16", emulated on every instruction set, and by the processor where it has the instructions.
 */
void ops_reference_run_bf16(ops_reference_case *run, const void *argument, const char *gemm);

/* Folds `nbytes` into `digest` (0 at first). */
uint64_t ops_reference_digest(uint64_t digest, const void *memory, size_t nbytes);

/* Memory aligned to 64 bytes between guard zones, filled with 0xff bytes: NaN as float or double. free checks the
 * guards and takes NULL; check does so at once. */
void *ops_reference_alloc(size_t nbytes);
float *ops_reference_floats(int64_t count);
double *ops_reference_doubles(int64_t count);
void ops_reference_check(const void *memory);
void ops_reference_free(void *memory);

/* Random numbers of the tests: the same ones on every run. `state` is any number; it is advanced. */
double ops_reference_uniform(uint64_t *state, double low, double high);
int64_t ops_reference_int(uint64_t *state, int64_t low, int64_t high); /* both ends included */
void ops_reference_fill(uint64_t *state, float *x, int64_t count, double low, double high);

/* New guarded memory filled so; the same numbers in double. */
float *ops_reference_random(uint64_t *state, int64_t count, double low, double high);
double *ops_reference_widen(const float *x, int64_t count);

/* The nearest bfloat16 of a finite number, of two the even one. */
float ops_reference_bf16(float x);

/* gradient[i] = (f(x + h e_i) - f(x - h e_i)) / 2h with h = 1e-5: the error is about 1e-10 of f's third derivative,
 * plus 1e-11 of f. x is restored. */
typedef double ops_reference_function(const void *argument, const double *x);
void ops_reference_gradient(ops_reference_function *f, const void *argument, double *x, int64_t count,
                            double *gradient);

double ops_reference_dot(const float *a, const double *b, int64_t count);

/* |got[i] - want[i]| <= tolerance (1 + |want[i]|) for all i. `what` names the array in the failure. */
void ops_reference_near(const char *what, const float *got, const double *want, int64_t count, double tolerance);

/* The same bits. */
void ops_reference_same(const char *what, const float *got, const float *want, int64_t count);

/* f and f' in double, from libm. */
double ops_reference_activate(ops_activation a, double x);
double ops_reference_slope(ops_activation a, double x);

#endif
