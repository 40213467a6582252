#!/bin/sh
# fuzz_manifest.sh [--update]: feed the reader of manifests with damaged ones (tests/fuzz.sh).
set -eu
here=$(cd "$(dirname -- "$0")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
target=fuzz_manifest
proto=ckpt/ckpt.proto
folders="ckpt runtime/base"
sources="ckpt/ckpt_check.c ckpt/ckpt_layout.c ckpt/ckpt_manifest.c ckpt/ckpt_wire.c runtime/base/base_arena.c
    runtime/base/base_budget.c runtime/base/base_status.c"
packages="libprotobuf-c libxxhash"
seconds=20
. "$root/tests/fuzz.sh"
