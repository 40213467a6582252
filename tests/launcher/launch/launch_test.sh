# launch_test.sh: what the tests of ddpt launch share. Sourced with the arguments DDPT EXAMPLES MPIEXEC
# and the folder of what is built for tests.
shared=$(cd "$(dirname "$0")/.." && pwd) # the first of them leaves this folder
. "$shared/command_test.sh"
. "$shared/job_test.sh"
tools=$4
unset DDPT_MPIEXEC DDPT_FAILPOINT DDPT_GPU_PLUGIN CUDA_VISIBLE_DEVICES HIP_VISIBLE_DEVICES
export DDPT_LOG=info

# All processes of a job, and nobody else, have this in their environment.
mark=$(basename "$work")

# With steps after which it is sure to be on disk; about a second.
write_state_config 600 '};
    epochs = 10; eval_every = 0; checkpoint = { every_steps = 7; keep = 2; async = false; }; };'
endless="--set train.epochs=100000"

# members: the processes of the job that there are.
members() {
    grep -l -s -z -x "DDPT_TEST_MARK=$mark" /proc/[0-9]*/environ | sed 's/[^0-9]//g'
}

kill_all() {
    for member in $(members); do kill -KILL "$member" 2>/dev/null; done
}
trap 'kill_all; rm -rf "$work"' EXIT

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

# keeps_checkpoints DIR: there are some, and they are sound.
keeps_checkpoints() {
    has_checkpoint "$1" || fail "$1 has no checkpoint"
    check_checkpoints "$1"
}
