#!/bin/sh
# fuzz_telemetry.sh [--update]: feed a coordinator and a viewer with damaged messages (tests/fuzz.sh).
set -eu
here=$(cd "$(dirname -- "$0")" && pwd -P)
root=$(cd "$here/../../.." && pwd -P)
target=fuzz_telemetry
proto=launcher/telemetry.proto
folders="launcher/coordinator runtime/base"
sources="launcher/coordinator/telemetry_wire.c launcher/coordinator/telemetry_wire_parts.c
    launcher/coordinator/telemetry_wire_state.c launcher/coordinator/coordinator_curve.c
    launcher/coordinator/coordinator_run.c launcher/coordinator/coordinator_stall.c
    launcher/coordinator/coordinator_state.c launcher/coordinator/coordinator_straggler.c
    launcher/coordinator/coordinator_view.c runtime/base/base_arena.c runtime/base/base_budget.c
    runtime/base/base_status.c runtime/base/base_time.c"
packages=libprotobuf-c
seconds=15
. "$root/tests/fuzz.sh"
