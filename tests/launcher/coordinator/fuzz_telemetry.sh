#!/bin/sh
# fuzz_telemetry.sh [--update]: feed a coordinator and a viewer with damaged messages for DDPT_FUZZ_SECONDS (20).
#
# Starts from fuzz_telemetry.corpus, one input a line in base64. With --update what was found on the way is added to it, as far
# as it reaches code that nothing else reaches. A finding ends the run with status 1 and is printed in base64. Where
# clang (or $CLANG) lacks libFuzzer this says so and exits with 77.
set -eu
here=$(cd "$(dirname -- "$0")" && pwd -P)
root=$(cd "$here/../../.." && pwd -P)
clang=${CLANG:-clang}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

flags="-g -O1 -std=c17 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all"
echo 'int LLVMFuzzerTestOneInput(const char *d, long n); int LLVMFuzzerTestOneInput(const char *d, long n) { return d && n < 0; }' \
    >"$work/probe.c"
# shellcheck disable=SC2086
if ! command -v protoc-c >/dev/null || ! "$clang" $flags "$work/probe.c" -o "$work/probe" 2>/dev/null; then
    echo "skipped: $clang has no libFuzzer, or protoc-c is missing"
    exit 77
fi

coordinator=$root/launcher/coordinator
protoc-c --c_out="$work" -I"$root/launcher" "$root/launcher/telemetry.proto"
# shellcheck disable=SC2046,SC2086
"$clang" $flags -I"$work" -I"$coordinator" -I"$root/runtime/base" \
    "$here/fuzz_telemetry.c" "$work/telemetry.pb-c.c" "$coordinator"/telemetry_wire*.c \
    "$coordinator/coordinator_curve.c" "$coordinator/coordinator_run.c" "$coordinator/coordinator_stall.c" \
    "$coordinator/coordinator_state.c" "$coordinator/coordinator_straggler.c" "$coordinator/coordinator_view.c" \
    "$root/runtime/base/base_arena.c" "$root/runtime/base/base_budget.c" "$root/runtime/base/base_status.c" "$root/runtime/base/base_time.c" \
    $(pkg-config --cflags --libs libprotobuf-c) -lm -o "$work/fuzz"

mkdir "$work/corpus" "$work/smallest"
number=0
while read -r line; do
    number=$((number + 1))
    echo "$line" | base64 -d >"$work/corpus/$number"
done <"$here/fuzz_telemetry.corpus"
echo "$number inputs to start from"

status=0
"$work/fuzz" "$work/corpus" -max_total_time="${DDPT_FUZZ_SECONDS:-20}" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$work/" >"$work/log" 2>&1 || status=$?
if [ "$status" -ne 0 ]; then
    grep -v '^#' "$work/log"
    exit 1
fi
grep -e 'DONE' -e '^Done' -e '^stat::' "$work/log"

[ "${1:-}" = --update ] || exit 0
"$work/fuzz" -merge=1 "$work/smallest" "$work/corpus" >"$work/log" 2>&1
for input in "$work/smallest"/*; do
    base64 -w0 "$input"
    echo
done | sort >"$here/fuzz_telemetry.corpus"
wc -l "$here/fuzz_telemetry.corpus"
