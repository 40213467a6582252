/* run_data_file.h: a data file read from front to back, gzip or raw. Which of the two is told by the first bytes, not
 * by the name. A gzip file may have several members; the checksum of each is verified. All calls are Local; failures
 * are BASE_DATA and name the file.
 */
#ifndef RUN_DATA_FILE_H
#define RUN_DATA_FILE_H

#include "base_status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct run_data_file run_data_file;

/* `path` is borrowed for the life of the object. Fails for what cannot be read and for what is not a regular file. */
base_status run_data_file_open(const char *path, run_data_file **self);
void run_data_file_close(run_data_file **self);

int run_data_file_is_gzip(const run_data_file *self);
int64_t run_data_file_bytes(const run_data_file *self); /* on disk */

/* The content cannot be longer than this: the size of a raw file, 1032 times that of a gzip file (deflate's limit). */
int64_t run_data_file_bound(const run_data_file *self);

/* How long the content is: exact for a raw file, what the trailer says for a gzip file (a hint: modulo 2^32 and of the
 * last member alone). */
base_status run_data_file_length(const run_data_file *self, int64_t *nbytes);

/* Reads what is left to count the length of the content. The object is then good for close alone. */
base_status run_data_file_count(run_data_file *self, int64_t *nbytes);

/* Exactly `nbytes` more; a file that ends before is an error (truncated, gzip cut short, corrupt). */
base_status run_data_file_read(run_data_file *self, void *to, size_t nbytes);

/* Nothing may follow what was read. Verifies the checksum of the last gzip member. */
base_status run_data_file_end(run_data_file *self);

#endif
