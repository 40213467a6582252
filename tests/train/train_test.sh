# train_test.sh: what the tests of whole runs share. Sourced with the arguments TOOLS DDPT EXAMPLES MPIEXEC; TOOLS is the folder of the
# checkers built beside the tests.
tools=$1
shift
shared=$(cd "$(dirname "$0")/../launcher" && pwd) # the first of them leaves this folder
. "$shared/command_test.sh"
. "$shared/job_test.sh"
mpirun() { "$mpiexec" -n "$@"; }

# Small enough that a run takes less time than its start.
small="--set data.train_samples=600 --set data.test_samples=70 --set train.batch=60"

# train_into DIR RANKS ARGUMENTS...: a run that must succeed.
train_into() {
    dir=$1
    ranks=$2
    shift 2
    expect 0 "$mpiexec" -n "$ranks" "$ddpt" train --out "$dir" "$@"
    check_record "$dir"
}

# The record is complete, valid, consistent, and nothing lies beside it but whole checkpoints.
check_record() {
    "$tools/train_record" "$1/run.json" "$1/steps.csv" >"$work/record" 2>&1 || fail "$1: $(cat "$work/record")"
    others=$(ls -A "$1" | grep -v -x -e run.json -e steps.csv -e ckpt)
    [ -z "$others" ] || fail "$1 also holds $others"
    for saved in "$1"/ckpt/*; do
        [ ! -e "$1/ckpt" ] || [ -e "$saved/manifest.pb" ] || fail "$saved is no checkpoint"
    done
}

# same_losses STEPS TOLERANCE DIR DIR: the losses of the first STEPS steps agree relatively.
same_losses() {
    awk -F, -v steps="$1" -v tolerance="$2" '
        FNR == 1 { next }
        NR == FNR { wanted[$1] = $3; next }
        $1 <= steps { d = $3 - wanted[$1]; w = wanted[$1]; if (d < 0) d = -d; if (w < 0) w = -w; n++
                      if (!($1 in wanted) || !(d <= tolerance * w)) { print "step " $1 ": " $3 " not " wanted[$1]; bad = 1; exit } }
        END { if (!bad && n != steps) { print n + 0 " steps, not " steps; bad = 1 } exit bad }
    ' "$3/steps.csv" "$4/steps.csv" >"$work/difference" || fail "losses of $3 and $4: $(cat "$work/difference")"
}
