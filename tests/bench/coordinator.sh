#!/bin/sh
# coordinator.sh: what telemetry costs a training: steps with the coordinator (default) against --no-coordinator, run in
# pairs of changing order. Prints a line a pair and the median of the ratios of mean step times.
#
#     coordinator.sh [DDPT [MPIEXEC [RANKS [CONFIG]]]]        environment: PAIRS (7), STEPS (4000)
#
# Expected: below 1.005, since a step writes some twenty words to memory and reads the clock three more times, and a thread
# of each rank wakes once a second. Needs $DDPT_DATA for MNIST, and python3.
set -eu
here=$(cd "$(dirname -- "$0")" && pwd -P)
ddpt=${1:-$here/../../build/ddpt}
mpiexec=${2:-mpiexec}
ranks=${3:-2}
config=${4:-$here/../../examples/mnist.cfg}
pairs=${PAIRS:-7} steps=${STEPS:-4000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# run NAME OPTION...: mean step time in ms, after the warm-up.
run()
{
    name=$1
    shift
    "$mpiexec" -n "$ranks" "$ddpt" train "$config" --out "$work/$name" --set train.max_steps="$steps" \
        --set train.eval_every=0 "$@" </dev/null >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["performance"]["step_ms"]["mean"])' \
        "$work/$name/run.json"
    rm -rf "${work:?}/$name"
}

printf '%s, %s ranks, %s steps a run; mean step in ms\n' "$config" "$ranks" "$steps"
pair=1
while [ "$pair" -le "$pairs" ]; do
    if [ $((pair % 2)) -eq 1 ]; then
        without=$(run without --no-coordinator)
        with=$(run with)
    else
        with=$(run with)
        without=$(run without --no-coordinator)
    fi
    printf '%s %s\n' "$without" "$with" >>"$work/pairs"
    awk -v a="$without" -v b="$with" 'BEGIN { printf "without %.4f  with %.4f  ratio %.4f\n", a, b, b / a }'
    pair=$((pair + 1))
done
awk '{ print $2 / $1 }' "$work/pairs" | sort -g |
    awk '{ r[NR] = $1 } END { printf "median ratio %.4f (%.4f to %.4f)\n", (r[int((NR + 1) / 2)] + r[int(NR / 2) + 1]) / 2, r[1], r[NR] }'
