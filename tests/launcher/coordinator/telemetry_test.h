/* telemetry_test.h: summaries of imaginary runs, and a monitor that seems to train. */
#ifndef TELEMETRY_TEST_H
#define TELEMETRY_TEST_H

#include "coordinator_client.h"
#include "coordinator_server.h"
#include "coordinator_state.h"
#include "run_monitor.h"
#include "telemetry_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TEST_STEPS = 5000, TEST_BATCH = 128, TEST_STEPS_PER_EPOCH = 500 };

/* "00000000000000000000000000000007" */
const char *telemetry_test_run_id(unsigned run);

/* A rank of run number `run`, `seconds` after it began; 10 steps a second, each with 40 ms forward, 30 backward, 10
 * wait, 5 reduce, 8 update, 2 data, 5 other, and a loss of 1 / step. `process`: of the rank, 0 is replaced by one of
 * its own; the sequence number is seconds + 1. The window is the last second. Stall timeout: 30 s. */
telemetry_summary telemetry_test_summary(unsigned run, int rank, int size, uint64_t process, int seconds);

/* The same in bytes; malloc'd. */
uint8_t *telemetry_test_pack(const telemetry_summary *summary, size_t *nbytes);

/* What a run_monitor is told of such a run; name "test", host "node<rank>". */
run_monitor_run telemetry_test_monitor_run(int rank, int size);

/* One more such step; *record starts as {0}. `clock` advances by 0.1 s. */
void telemetry_test_step(run_monitor *monitor, run_monitor_record *record);

/* The two numbers differ by no more than the tolerance. */
void telemetry_test_near(double found, double wanted, double tolerance, const char *file, int line);
#define assert_near(found, wanted, tolerance) telemetry_test_near((found), (wanted), (tolerance), __FILE__, __LINE__)

/* Call `holds(context)` every few ms until it is true; fails the test after a long while. */
void telemetry_test_wait(int (*holds)(void *context), void *context, const char *what);

/* A folder for the program that is DDPT_STATE too, removed at exit; cmocka's group functions. */
int telemetry_test_make_folder(void **state);
int telemetry_test_remove_folder(void **state);
const char *telemetry_test_path(const char *name);

/* A ZeroMQ socket (DEALER) of its own context, which goes with it, with the member's key of `key`. */
typedef struct telemetry_peer {
    void *context, *socket;
} telemetry_peer;
telemetry_peer telemetry_peer_open(const coordinator_key *key, const char *address);
void telemetry_peer_close(telemetry_peer *self);
/* Waits for room. */
void telemetry_peer_send(telemetry_peer *self, const void *bytes, size_t nbytes);
void telemetry_peer_send_summary(telemetry_peer *self, const telemetry_summary *summary);

coordinator_counts telemetry_test_counts(coordinator_server *server);

#endif
