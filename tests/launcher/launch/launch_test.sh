# launch_test.sh: what the tests of ddpt launch share. Sourced with the arguments DDPT EXAMPLES MPIEXEC
# and the folder of what is built for tests.
. "$(dirname "$0")/../command_test.sh"
tools=$4
unset DDPT_MPIEXEC DDPT_FAILPOINT DDPT_GPU_PLUGIN CUDA_VISIBLE_DEVICES HIP_VISIBLE_DEVICES
export DDPT_LOG=info

# All processes of a job, and nobody else, have this in their environment.
mark=$(basename "$work")

# Every kind of state that a checkpoint has to hold, and steps after which it is sure to be on disk; about a second.
cat >state.cfg <<END
data = { format = "digits"; train_samples = 600; test_samples = 70; };
model = {
    input = [1, 28, 28];
    layers = (
        { type = "dense"; units = 64; },
        { type = "batch_norm"; activation = "relu"; },
        { type = "dropout"; rate = 0.2; },
        { type = "dense"; units = 10; }
    );
};
train = {
    epochs = 10;
    batch = 60;
    eval_every = 0;
    optimizer = { type = "sgd"; lr = 0.05; momentum = 0.9; };
    checkpoint = { every_steps = 7; keep = 2; async = false; };
};
END
endless="--set train.epochs=100000"

# members: the processes of the job that there are.
members() {
    grep -l -s -z -x "DDPT_TEST_MARK=$mark" /proc/[0-9]*/environ | sed 's/[^0-9]//g'
}

kill_all() {
    for member in $(members); do kill -KILL "$member" 2>/dev/null; done
}
trap 'kill_all; rm -rf "$work"' EXIT

# patiently COMMAND...: until it succeeds; fails after two minutes.
patiently() {
    tries=2400
    while ! "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

await() {
    patiently "$@" || fail "waits in vain for $*"
}

none_left() {
    [ -z "$(members)" ]
}

# start ARGUMENTS...: ddpt launch in the background.
start() {
    : >out
    : >err
    what="launch $*"
    DDPT_TEST_MARK=$mark "$ddpt" launch "$@" >out 2>err </dev/null &
    job=$!
}

says() {
    grep -q -e "$1" err
}

is_gone() {
    ! kill -0 "$1" 2>/dev/null
}

# ended STATUS TEXT: the job ends so, with TEXT in its last line ('' for any), and leaves no process.
ended() {
    await is_gone "$job"
    wait "$job" 2>/dev/null
    got=$?
    [ "$got" -eq "$1" ] || fail "status $got, not $1"
    [ -z "$2" ] || tail -n 1 err | grep -q -e "$2" || fail "the last line is not '$2'"
    await none_left
}

# The job's processes by their place: launcher -> guard -> mpiexec -> (helpers) -> workers.
children() {
    cat "/proc/$1/task/$1/children" 2>/dev/null
}

parent() {
    sed 's/.*) . \([0-9]*\) .*/\1/' "/proc/$1/stat"
}

guard() {
    children "$job" | cut -d ' ' -f 1
}

mpiexec_of_job() {
    children "$(guard)" | cut -d ' ' -f 1
}

workers() {
    for member in $(members); do
        if [ "$(tr '\0' '\n' 2>/dev/null <"/proc/$member/cmdline" | sed -n 2p)" = train ]; then echo "$member"; fi
    done
}

# a_worker: not the one of rank 0, as far as that can be seen.
a_worker() {
    workers | tail -n 1
}

# is_under_way DIR: the run there has a checkpoint.
is_under_way() {
    set -- "$1"/ckpt/step-*/manifest.pb
    [ -e "$1" ]
}

# last_step DIR: of the newest checkpoint.
last_step() {
    ls -d "$1"/ckpt/step-*/manifest.pb 2>/dev/null | sed -n 's/.*step-0*\([0-9][0-9]*\)\/manifest.pb/\1/p' | sort -n | tail -n 1
}

# field DIR NAME: a value of run.json, without quotes.
field() {
    sed -n 's/^ *"'"$2"'": "\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p' "$1/run.json" | head -n 1
}

field_is() {
    [ "$(field "$1" "$2")" = "$3" ] || fail "$1/run.json: $2 is $(field "$1" "$2"), not $3"
}

check_checkpoints() {
    "$ddpt" ckpt verify "$1" >verified 2>&1 || fail "$1: $(cat verified)"
}

# same_end DIR DIR: both runs ended with the same parameters, and have the same history.
same_end() {
    for name in status steps epochs param_digest train_loss test_loss; do
        field_is "$2" "$name" "$(field "$1" "$name")"
    done
    cut -d , -f 1-3 "$1/steps.csv" >steps.wanted
    cut -d , -f 1-3 "$2/steps.csv" | cmp -s steps.wanted - || fail "the losses of $1 and $2 differ"
}
