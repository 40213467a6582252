/* ckpt_wire.h: between ckpt_manifest and the code that protoc-c makes from ckpt.proto. Private to ckpt/. */
#ifndef CKPT_WIRE_H
#define CKPT_WIRE_H

#include "ckpt_manifest.h"

/* The bytes of the message Manifest, malloc'd; NULL when memory is short. */
uint8_t *ckpt_wire_pack(const ckpt_manifest *manifest, size_t *nbytes);

/* The reverse, in `arena`; NULL where the bytes are no such message, hold a field that it does not have, or memory is
 * short. Numbers are as they were found: ckpt_manifest.c checks what they mean. */
ckpt_manifest *ckpt_wire_unpack(const uint8_t *bytes, size_t nbytes, base_arena *arena);

/* The envelope: message File. pack: malloc'd or NULL. unpack: 0 where the bytes are no File in exactly the form that
 * pack gives it; *manifest points into `bytes`. */
typedef struct ckpt_wire_file {
    uint32_t format_version;
    uint64_t xxh64;
    const uint8_t *manifest;
    size_t manifest_nbytes;
} ckpt_wire_file;
uint8_t *ckpt_wire_pack_file(const ckpt_wire_file *file, size_t *nbytes);
int ckpt_wire_unpack_file(const uint8_t *bytes, size_t nbytes, ckpt_wire_file *file);

#endif
