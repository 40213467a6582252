/* ckpt_test.h: small checkpoints with known elements, and a folder to keep them in. */
#ifndef CKPT_TEST_H
#define CKPT_TEST_H

#include "ckpt_manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TEST_TENSORS = 5, TEST_SHARDS_MAX = 8, TEST_SCALARS = 2 };

/* A manifest and all that it points to. The tensors' pieces are spread over the shards as ranks of a run would do it:
 * each holds its share of every tensor, where it has one. */
typedef struct ckpt_test {
    ckpt_manifest manifest;
    ckpt_tensor tensors[TEST_TENSORS];
    ckpt_piece pieces[TEST_TENSORS][TEST_SHARDS_MAX];
    ckpt_scalar scalars[TEST_SCALARS];
    uint64_t shard_bytes[TEST_SHARDS_MAX];
    int run; /* runs differ in their elements */
} ckpt_test;

/* With the checksums that the elements have, but no files. */
void ckpt_test_fill(ckpt_test *self, int64_t step, int shards, int run);

/* What element `i` of tensor number `tensor` is. */
float ckpt_test_element(int run, int tensor, uint64_t i);

/* The bytes of shard `shard`, malloc'd. */
void *ckpt_test_shard(const ckpt_test *self, int shard);

/* Write the shards to CKPT/step-<step>, which is made; no manifest. Plainly, so that this passes no failpoint. */
void ckpt_test_write_shards(const ckpt_test *self, const char *ckpt);

/* That, and a manifest. */
void ckpt_test_save(const char *ckpt, int64_t step, int shards, int run);

/* cmocka's functions around a test: an arena for what these unpack. */
int ckpt_test_make_arena(void **state);
int ckpt_test_drop_arena(void **state);
#define CKPT_TEST_WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, ckpt_test_make_arena, ckpt_test_drop_arena)

/* Asserts success. */
const ckpt_manifest *ckpt_test_unpack(const void *bytes, size_t nbytes);

/* Unpacking fails, as a checkpoint, and says so in these words. */
void ckpt_test_assert_refused(const void *bytes, size_t nbytes, const char *text);

void ckpt_test_assert_same(const ckpt_manifest *a, const ckpt_manifest *b);

/* cmocka's functions around a test: the folder has a checkpoint ckpt/step-<TEST_STEP> of TEST_SHARDS shards. */
enum { TEST_STEP = 250, TEST_SHARDS = 3 };
int ckpt_test_save_one(void **state);
int ckpt_test_clear(void **state);
#define CKPT_TEST_WITH_CHECKPOINT(test) cmocka_unit_test_setup_teardown(test, ckpt_test_save_one, ckpt_test_clear)

/* Of that checkpoint. */
const char *ckpt_test_step_path(void);
const char *ckpt_test_file(const char *name);

/* What a program does that wants to know whether a checkpoint is sound. */
base_status ckpt_test_verify(const char *path);

/* cmocka's group functions: a folder of its own for the program, which goes at the end. */
int ckpt_test_make_folder(void **state);
int ckpt_test_remove_folder(void **state);

/* "FOLDER/<formatted>"; one of 32 buffers in turn. */
const char *ckpt_test_path(const char *fmt, ...) BASE_PRINTF(1, 2);

/* Remove everything in the folder. */
void ckpt_test_empty_folder(void);

void ckpt_test_put(const char *path, const void *bytes, size_t nbytes);
/* malloc'd. */
uint8_t *ckpt_test_get(const char *path, size_t *nbytes);
int ckpt_test_exists(const char *path);

/* Run `body(context)` in a child with DDPT_FAILPOINT=`failpoint` (NULL: none). Returns what it returned, or minus the
 * signal that ended it. The variable is read once, so this process itself must not have passed a failpoint before. */
int ckpt_test_in_child(const char *failpoint, int (*body)(void *context), void *context);

#endif
