#include "telemetry_wire_parts.h"

#include "base_budget.h"

#include <stdlib.h>
#include <string.h>

uint8_t *telemetry_wire_pack_message(const wire_message *message, size_t *nbytes)
{
    size_t size = ddpt__telemetry__v1__message__get_packed_size(message);
    uint8_t *bytes = malloc(size ? size : 1);
    if (bytes)
        *nbytes = ddpt__telemetry__v1__message__pack(message, bytes);
    return bytes;
}

int telemetry_wire_unpack_message(const uint8_t *bytes, size_t nbytes, int (*take)(void *to, const wire_message *from),
                                  void *to)
{
    size_t budget = base_budget_for(nbytes);
    ProtobufCAllocator allocator = {.alloc = base_budget_alloc, .free = base_budget_free, .allocator_data = &budget};
    wire_message *from = ddpt__telemetry__v1__message__unpack(&allocator, nbytes, bytes);
    if (!from)
        return 0;
    int good = take(to, from);
    ddpt__telemetry__v1__message__free_unpacked(from, &allocator);
    return good;
}

/* The length of the UTF-8 sequence at `text`, 0 where it is none: not overlong, no surrogate, at most U+10FFFF. */
static size_t sequence_length(const unsigned char *text)
{
    static const struct {
        unsigned char first, last; /* of the first byte */
        unsigned char least, most; /* of the second */
        size_t length;
    } forms[] = {{0x20, 0x7e, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                 {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                 {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (text[0] < forms[i].first || text[0] > forms[i].last)
            continue;
        if (forms[i].length > 1 && (text[1] < forms[i].least || text[1] > forms[i].most))
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((text[k] & 0xc0) != 0x80)
                return 0;
        return text[0] == 0xc2 && text[1] < 0xa0 ? 0 : forms[i].length; /* U+0080 .. U+009F are control characters */
    }
    return 0;
}

void telemetry_wire_text(char *to, size_t size, const char *from)
{
    size_t used = 0;
    while (*from) {
        size_t length = sequence_length((const unsigned char *)from);
        if (used + (length ? length : 1) >= size)
            break;
        if (length)
            memcpy(to + used, from, length);
        else
            to[used] = '?';
        used += length ? length : 1;
        from += length ? length : 1;
    }
    to[used] = '\0';
}

_Static_assert((int)BASE_PHASE_DATA + 1 == DDPT__TELEMETRY__V1__PHASE__PHASE_DATA &&
                   (int)BASE_PHASE_WAIT + 1 == DDPT__TELEMETRY__V1__PHASE__PHASE_WAIT &&
                   (int)BASE_PHASE_EVALUATE + 1 == DDPT__TELEMETRY__V1__PHASE__PHASE_EVALUATE &&
                   BASE_PHASE_EVALUATE + 1 == BASE_PHASE_COUNT,
               "phases are numbered alike");
_Static_assert((int)COORDINATOR_RUNNING + 1 == DDPT__TELEMETRY__V1__RUN_STATE__RUN_STATE_RUNNING &&
                   (int)COORDINATOR_SILENT + 1 == DDPT__TELEMETRY__V1__RUN_STATE__RUN_STATE_SILENT,
               "states are numbered alike");

Ddpt__Telemetry__V1__Phase telemetry_wire_from_phase(base_phase phase)
{
    return (Ddpt__Telemetry__V1__Phase)((int)phase + 1);
}

Ddpt__Telemetry__V1__RunState telemetry_wire_from_state(coordinator_run_state state)
{
    return (Ddpt__Telemetry__V1__RunState)((int)state + 1);
}

int telemetry_wire_to_phase(Ddpt__Telemetry__V1__Phase from, base_phase *to)
{
    if (from < DDPT__TELEMETRY__V1__PHASE__PHASE_DATA || from > DDPT__TELEMETRY__V1__PHASE__PHASE_EVALUATE)
        return 0;
    *to = (base_phase)((int)from - 1);
    return 1;
}

int telemetry_wire_to_state(Ddpt__Telemetry__V1__RunState from, coordinator_run_state *to)
{
    if (from < DDPT__TELEMETRY__V1__RUN_STATE__RUN_STATE_RUNNING ||
        from > DDPT__TELEMETRY__V1__RUN_STATE__RUN_STATE_SILENT)
        return 0;
    *to = (coordinator_run_state)((int)from - 1);
    return 1;
}

wire_phases telemetry_wire_from_phases(const double s[BASE_PHASE_COUNT], double unit)
{
    wire_phases to = DDPT__TELEMETRY__V1__PHASE_SECONDS__INIT;
    to.data_s = s[BASE_PHASE_DATA] * unit;
    to.forward_s = s[BASE_PHASE_FORWARD] * unit;
    to.backward_s = s[BASE_PHASE_BACKWARD] * unit;
    to.wait_s = s[BASE_PHASE_WAIT] * unit;
    to.reduce_s = s[BASE_PHASE_REDUCE] * unit;
    to.update_s = s[BASE_PHASE_UPDATE] * unit;
    to.other_s = s[BASE_PHASE_OTHER] * unit;
    to.checkpoint_s = s[BASE_PHASE_CHECKPOINT] * unit;
    to.evaluate_s = s[BASE_PHASE_EVALUATE] * unit;
    return to;
}

void telemetry_wire_to_phases(const wire_phases *from, double unit, double to[BASE_PHASE_COUNT])
{
    static const wire_phases none = DDPT__TELEMETRY__V1__PHASE_SECONDS__INIT;
    from = from ? from : &none;
    to[BASE_PHASE_DATA] = from->data_s / unit;
    to[BASE_PHASE_FORWARD] = from->forward_s / unit;
    to[BASE_PHASE_BACKWARD] = from->backward_s / unit;
    to[BASE_PHASE_WAIT] = from->wait_s / unit;
    to[BASE_PHASE_REDUCE] = from->reduce_s / unit;
    to[BASE_PHASE_UPDATE] = from->update_s / unit;
    to[BASE_PHASE_OTHER] = from->other_s / unit;
    to[BASE_PHASE_CHECKPOINT] = from->checkpoint_s / unit;
    to[BASE_PHASE_EVALUATE] = from->evaluate_s / unit;
}

int telemetry_wire_to_run_id(char to[33], const char *from)
{
    if (strlen(from) != 32 || strspn(from, "0123456789abcdef") != 32)
        return 0;
    memcpy(to, from, 33);
    return 1;
}
