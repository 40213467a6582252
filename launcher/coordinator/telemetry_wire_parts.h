/* telemetry_wire_parts.h: what the messages have in common on the wire. Private to telemetry_wire*.c, which alone see
 * the code that protoc-c makes from telemetry.proto.
 */
#ifndef TELEMETRY_WIRE_PARTS_H
#define TELEMETRY_WIRE_PARTS_H

#include "telemetry.pb-c.h"
#include "telemetry_wire.h"

typedef Ddpt__Telemetry__V1__Message wire_message;
typedef Ddpt__Telemetry__V1__PhaseSeconds wire_phases;

/* malloc'd; NULL when memory is short. */
uint8_t *telemetry_wire_pack_message(const wire_message *message, size_t *nbytes);

/* `take` gets the message and returns whether it is good; 0 where the bytes are none. What unpacking asks for is
 * bounded by a multiple of the input, so that a few bytes cannot ask for everything. */
int telemetry_wire_unpack_message(const uint8_t *bytes, size_t nbytes, int (*take)(void *to, const wire_message *from),
                                  void *to);

Ddpt__Telemetry__V1__Phase telemetry_wire_from_phase(base_phase phase);
Ddpt__Telemetry__V1__RunState telemetry_wire_from_state(coordinator_run_state state);
/* unit: what one of `seconds` is, in s. */
wire_phases telemetry_wire_from_phases(const double seconds[BASE_PHASE_COUNT], double unit);

/* 0 where they are none. */
int telemetry_wire_to_phase(Ddpt__Telemetry__V1__Phase from, base_phase *to);
int telemetry_wire_to_state(Ddpt__Telemetry__V1__RunState from, coordinator_run_state *to);
int telemetry_wire_to_run_id(char to[33], const char *from);
/* `from` NULL: all zero. */
void telemetry_wire_to_phases(const wire_phases *from, double unit, double seconds[BASE_PHASE_COUNT]);

#define TELEMETRY_WIRE_TEXT(to, from) telemetry_wire_text((to), sizeof(to), (from))

#endif
