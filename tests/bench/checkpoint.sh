#!/bin/sh
# checkpoint.sh [DDPT [MPIEXEC [RANKS [FOLDER]]]]: what checkpoints cost a run of examples/mnist-20m.cfg (80 MB of parameters, 80 MB
# of momentum), and how the writing compares with what dd makes of that disk. Prints, as the median of ROUNDS runs:
#   - how long the step loop is held up for a checkpoint, with async and without
#   - the rate of a save from the staged copy to the committed manifest: beside the running steps (async), alone, and that of
#     dd conv=fsync of as many bytes from memory, in the same minute on the same disk
# A round takes the mean of its saves and the best of three dd, which is the harder comparison.
set -eu
here=$(cd "$(dirname -- "$0")" && pwd -P)
ddpt=${1:-$here/../../build/ddpt}
mpiexec=${2:-mpiexec}
ranks=${3:-2}
folder=${4:-.}
rounds=${ROUNDS:-5}
work=$(mktemp -d "$folder/ddpt-checkpoint-XXXXXX")
trap 'rm -rf "$work"' EXIT
bytes=160301136 # parameters and momentum

# run ASYNC: "stall write" in ms.
run() {
    rm -rf "$work/run"
    "$mpiexec" -n "$ranks" "$ddpt" train --out "$work/run" --set train.checkpoint.every_steps=10 --set "train.checkpoint.async=$1" \
        --set train.checkpoint.keep=2 --set train.max_steps=45 --set train.eval_every=0 --set data.test_samples=128 \
        "$here/../../examples/mnist-20m.cfg" >"$work/out" 2>"$work/log" </dev/null || { cat "$work/log" >&2; exit 1; }
    sed -n '/^  "checkpoint": {/,/^  }/s/.*"\(stall\|write\)_ms": \([0-9.e+-]*\).*/\2/p' "$work/run/run.json" | tr '\n' ' '
}

# Milliseconds that dd takes.
dd_ms() {
    dd if=/dev/zero of="$work/dd" bs=1M count=$((bytes / 1048576)) conv=fsync 2>"$work/log"
    awk '/copied/ { for (i = 1; i < NF; i++) if ($(i + 1) ~ /^s,/) print 1e3 * $i }' "$work/log"
    rm "$work/dd"
}

median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

: >"$work/figures"
for round in $(seq "$rounds"); do
    # shellcheck disable=SC2046 # four words
    set -- $(run true) $(run false)
    d=$( (dd_ms; dd_ms; dd_ms) | sort -g | head -n 1)
    echo "$@" "$d" | tee -a "$work/figures" |
        awk -v r="$round" -v b=$bytes '{ printf "round %d: held up %.1f ms (async) %.1f ms (not); save %.0f and %.0f MB/s, dd %.0f MB/s\n", r, $1, $3,
            b / $2 / 1e3, b / $4 / 1e3, b / $5 / 1e3 }'
done
column() { awk "{ print $1 }" "$work/figures" | median; }
awk -v a="$(column '$1')" -v s="$(column '$3')" -v wa="$(column '$2')" -v ws="$(column '$4')" -v d="$(column '$5')" -v ra="$(column '$5/$2')" \
    -v rs="$(column '$5/$4')" -v b=$bytes 'BEGIN {
    printf "median of the rounds, a checkpoint of %.0f MB on %d ranks\n", b / 1e6, '"$ranks"'
    printf "  step loop held up    async %6.1f ms    without async %6.1f ms\n", a, s
    printf "  rate of the save     async %6.0f MB/s  without async %6.0f MB/s  dd conv=fsync %6.0f MB/s\n", b / wa / 1e3, b / ws / 1e3, b / d / 1e3
    printf "  of dd, in pairs      async %6.2f       without async %6.2f\n", ra, rs
}'
