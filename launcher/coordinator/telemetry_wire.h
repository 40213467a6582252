/* telemetry_wire.h: the messages of launcher/telemetry.proto as plain data, between these and bytes.
 *
 * Text is kept as UTF-8 without control characters, cut to what fits: it ends up on terminals.
 */
#ifndef TELEMETRY_WIRE_H
#define TELEMETRY_WIRE_H

#include "coordinator_view.h"

#include <stddef.h>

enum {
    TELEMETRY_MESSAGE_BYTES = 64 * 1024, /* the longest that a coordinator takes */
    TELEMETRY_REASON_TEXT = 512
};

/* What does not change while a run lasts. */
typedef struct telemetry_run {
    char id[33], name[64], folder[1024];
    int64_t size; /* ranks */
    int64_t parameters, global_batch;
    int64_t total_steps, first_step, steps_per_epoch, epochs;
    double stall_timeout; /* s */
} telemetry_run;

/* The steps since the last summary that had any. */
typedef struct telemetry_window {
    int64_t steps, samples;
    double seconds, loss_sum, longest_step;
    double phases[BASE_PHASE_COUNT]; /* s; sums */
} telemetry_window;

/* Where a rank is. Sums are since elapsed was 0. */
typedef struct telemetry_progress {
    uint64_t process, sequence;
    coordinator_run_state state;
    double elapsed;
    int64_t step;
    base_phase phase;
    uint64_t progress;
    double stuck, since_step;
    double total[BASE_PHASE_COUNT]; /* s */
    int64_t samples;
    double loss_sum, loss;
    int64_t test_step;
    double test_loss, test_accuracy; /* NaN before the first evaluation */
    telemetry_window window;
} telemetry_progress;

typedef struct telemetry_summary {
    telemetry_run run;
    int64_t rank;
    char host[64];
    char reason[TELEMETRY_REASON_TEXT];
    telemetry_progress at;
} telemetry_summary;

typedef struct telemetry_query {
    uint64_t id;
    char run_id[33]; /* "": all */
    int ranks;
} telemetry_query;

typedef struct telemetry_end {
    char run_id[33];
    char reason[TELEMETRY_REASON_TEXT];
    int speak; /* print the reason: one rank of the run */
} telemetry_end;

typedef enum telemetry_kind { TELEMETRY_SUMMARY, TELEMETRY_QUERY, TELEMETRY_END } telemetry_kind;

typedef struct telemetry_message {
    telemetry_kind kind;
    union {
        telemetry_summary summary;
        telemetry_query query;
        telemetry_end end;
    };
} telemetry_message;

/* How often a rank sends a summary, in s: so often that a few fit into the run's stall timeout. */
static inline double telemetry_interval(double stall_timeout)
{
    if (stall_timeout <= 0.0 || stall_timeout >= 4.0)
        return 1.0;
    return stall_timeout > 0.4 ? 0.25 * stall_timeout : 0.1;
}

/* The bytes of a Message, malloc'd; NULL when memory is short. */
uint8_t *telemetry_wire_pack(const telemetry_message *message, size_t *nbytes);
uint8_t *telemetry_wire_pack_state(uint64_t query_id, const coordinator_view *view, size_t *nbytes);

/* The reverse; 0 where the bytes are no such Message, lack a required field, or memory is short. Of numbers, ranks,
 * states and phases are those of their enumerations; all others are as they were found. */
int telemetry_wire_unpack(const uint8_t *bytes, size_t nbytes, telemetry_message *message);

/* Of a State; the caller clears *view, which is empty after a failure. */
int telemetry_wire_unpack_state(const uint8_t *bytes, size_t nbytes, uint64_t *query_id, coordinator_view *view);

/* Copy what is valid UTF-8 and no control character; every other byte becomes '?'. Cut before a character that does not
 * fit into `size` bytes, the end's NUL included. */
void telemetry_wire_text(char *to, size_t size, const char *from);

#endif
