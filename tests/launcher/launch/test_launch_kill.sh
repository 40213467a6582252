#!/bin/sh
# Each process of a job is killed with SIGKILL in mid-run, alone and together with others: no process is left, the status is right, and
# the last line says what was killed. Checkpoints stay good.
. "$(dirname "$0")/launch_test.sh"

# disturb OPTION...: a job of 3 workers that has a checkpoint.
disturb() {
    rm -rf run
    start -n 3 "$@" train --out run $endless state.cfg
    await has_checkpoint run
    worker=$(a_worker)
    guard=$(guard)
    launcher_of_mpi=$(mpiexec_of_job)
    helper=$(parent "$worker")
    [ "$(workers | wc -l)" -eq 3 ] || fail "$(workers | wc -l) workers"
}

# killed STATUS TEXT PROCESS...
killed() {
    wanted=$1
    text=$2
    shift 2
    what="$what: kill -9 $*"
    kill -KILL "$@"
    ended "$wanted" "$text"
    [ ! -s out ] || fail "what mpiexec says is on stdout: $(head -n 3 out)"
    keeps_checkpoints run
}

disturb
killed 6 "^error: worker [012] (pid $worker) was killed by signal 9" "$worker"
disturb --prefix
killed 6 "^error: worker [012] (pid $worker) was killed by signal 9" "$worker"
disturb
killed 6 "^error: mpiexec (pid $launcher_of_mpi) was killed by signal 9" "$launcher_of_mpi"
disturb
killed 6 "^error: the launcher's guard (pid $guard) was killed by signal 9" "$guard"
disturb
if [ "$helper" = "$launcher_of_mpi" ]; then
    kill -TERM "$job"
    ended 75 ''
else
    killed 6 "^error: mpiexec's helper (pid $helper) was killed by signal 9" "$helper"
fi

# Nobody is left to say anything.
disturb
killed 137 '' "$job"
disturb --prefix
killed 137 '' "$job"
disturb
killed 137 '' "$job" "$guard"
disturb
killed 137 '' "$job" "$guard" "$launcher_of_mpi"
disturb
killed 137 '' "$launcher_of_mpi" "$job"
disturb
killed 6 '^error: ' "$guard" "$launcher_of_mpi"

# A launcher that is stopped can be killed all the same, and so can stopped workers.
disturb
kill -STOP "$job"
killed 137 '' "$job"
disturb
kill -STOP $(workers)
killed 137 '' "$job"
disturb
kill -STOP "$guard"
killed 137 '' "$job"

# A worker that crashes; a handler of a library or a sanitizer may make an exit of it.
for signal in SEGV ABRT; do
    disturb
    what="$what: $signal"
    kill -$signal "$worker"
    ended 6 "^error: worker [012] (pid $worker) \(was killed by signal [0-9]* (\|ended with status [0-9]* without a word\)"
done

# ---- at the start ----
# Soon after the launcher has begun, whatever there is by then.
for victim in guard mpiexec launcher; do
    rm -rf run
    start -n 3 train --out run $endless state.cfg
    has_mpiexec() { [ -n "$(mpiexec_of_job)" ]; }
    await has_mpiexec
    what="$what: $victim at the start"
    case $victim in
    guard) kill -KILL "$(guard)"; ended 6 'guard .* was killed by signal 9' ;;
    mpiexec) kill -KILL "$(mpiexec_of_job)"; await is_gone "$job"; wait "$job"; got=$?; await none_left
        case $got in 1 | 6) ;; *) fail "status $got" ;; esac ;;
    launcher) kill -KILL "$job"; ended 137 '' ;;
    esac
done

# ---- one worker that stands still: the others find out, and say which ----
rm -rf run
DDPT_FAILPOINT=rank-1:forward:20:pause=600000 DDPT_TEST_MARK=$mark expect 6 "$ddpt" launch -n 3 train --out run $endless \
    --set train.stall_timeout=2 state.cfg
await none_left
err_has 'error: .*rank[^0-9]* 1[^0-9]'
tail -n 1 err | grep -q '^error: worker [02] ' || fail 'the last line is another'

# ---- whoever is no worker is not listened to ----
rm -rf run
start -n 2 train --out run $endless state.cfg
await has_checkpoint run
name=$(tr '\0' '\n' <"/proc/$(a_worker)/environ" | sed -n 's/^DDPT_LAUNCH_SOCKET=//p')
DDPT_LAUNCH_SOCKET=$name "$ddpt" --version >stranger 2>&1 && fail 'a stranger was taken for a worker'
grep -q 'the launcher of this worker is gone, or does not know it' stranger || fail "$(cat stranger)"
kill -TERM "$job"
ended 75 'stopped on request'
finish
