#!/bin/sh
# A rank that stops, or gets nowhere, is named with its last step and phase, and the run ends with status 6 and keeps its
# checkpoints. A coordinator of the run's own or one that stands alone; a run without one says what the others saw. How
# soon is measured with `STALL_TIMES=1`, which prints seconds beyond the timeout.
. "$(dirname "$0")/fault_test.sh"

timeout=2
endless="--set train.epochs=100000 --set train.eval_every=0 --set train.stall_timeout=$timeout --set train.checkpoint.every_steps=50"

await() {
    patiently "$@" && return
    fail "waits in vain for $*"
    kill_all
    finish
}

# The coordinator has heard of all ranks, and they have a checkpoint.
is_known() {
    has_checkpoint "$1" && "$ddpt" top --json "$1" >top 2>/dev/null && [ "$(grep -c '"phases_ms"' top)" -ge 3 ]
}
ready=is_known

now_ms() { date +%s%3N; }

# The stopped rank itself is ended by the launcher, where that can be done to a stopped process.
end_the_stopped() {
    await job_gone
    [ -z "${STALL_TIMES:-}" ] || echo "$what: $(($(now_ms) - began - 1000 * timeout)) ms beyond the timeout"
    kill -CONT "$stopped" 2>/dev/null
    kill -KILL "$stopped" 2>/dev/null
    await_end
}

# stop_rank RANK OPTION...: SIGSTOP in mid-run, after a checkpoint.
stop_rank() {
    who=$1
    shift
    what="rank $who stopped: $*"
    rm -rf run
    start 3 "$ddpt" train --out run $endless "$@" state.cfg
    await all_there
    await "$ready" run
    stopped=$(cat "rank.$who.pid")
    kill -STOP "$stopped"
    began=$(now_ms)
    end_the_stopped
}

# The launcher ends the ranks, so that its status is the one that there is.
ended_with_6() {
    [ "$got" -eq 6 ] || fail "status $got, not 6"
    check_checkpoints run
}

# ---- stopped by a signal ----
for who in 1 2; do
    for comm in shm mpi; do
        stop_rank $who --set train.comm=$comm
        err_has "error: rank $who .* silent for .*: last seen in [a-z]* after step [0-9]* of [0-9]*"
        [ "$(grep -c 'error:' err)" -eq 1 ] || fail "$(grep -c 'error:' err) errors, not one"
        ended_with_6
        field_is run status failed
    done
done
# The coordinator stops with rank 0, or there is none: the others find out by themselves, wherever they meet.
found_missing() {
    err_has "error: waited [0-9.]* s for the other ranks in .*: .*rank $1\( did not arrive\|\): stopped or lost"
    ended_with_6
}
stop_rank 0
found_missing 0
ready=has_checkpoint
stop_rank 1 --no-coordinator
found_missing 1
stop_rank 2 --no-coordinator --set train.comm=mpi
found_missing 2

# ---- a rank that fails by itself says so: nobody else does, and the others need no bound to end; a save under way does not
# change what rank 0 says of it ----
for way in 0:shm 1:shm 2:mpi; do
    who=${way%:*}
    what="rank $who fails: $way"
    rm -rf run
    fail_rank=$who fail_point="rank-$who:data:95:fail,ckpt:committed:1:pause=500"
    start 3 "$ddpt" train --out run $endless --no-coordinator --set train.stall_timeout=0 --set "train.comm=${way#*:}" state.cfg
    await all_there
    await_end
    fail_rank= fail_point=
    err_has "^\[$who\] error: rank $who is lost, and with it the job: no batch for step 95: Input/output error"
    [ "$(grep -c 'error:' err)" -eq 1 ] || fail "$(grep -c 'error:' err) errors, not one"
    ended_with_6
    field_is run status failed
    grep -q "\"reason\": \"rank $who is lost, .*no batch for step 95" run/run.json || fail 'the record does not say why'
done

# ---- stopped with all others, as a scheduler or Ctrl-Z does it, is not lost ----
has_gone_on() { [ "$(last_step run)" -gt "$step" ]; }
for option in --set=train.comm=shm --set=train.comm=mpi --no-coordinator; do
    what="all suspended: $option"
    rm -rf run
    start 3 "$ddpt" train --out run $endless "$option" state.cfg
    await all_there
    await has_checkpoint run
    ranks=$(cat rank.0.pid rank.1.pid rank.2.pid)
    kill -STOP $ranks
    sleep $((2 * timeout + 1)) # is what happens to them
    kill -CONT $ranks
    step=$(last_step run)
    await has_gone_on
    kill -TERM $ranks
    await_end
    [ "$got" -eq 75 ] || fail "status $got, not 75"
done

# ---- alive, but nowhere: in a phase of its own ----
for who in 0 1; do
    for phase in data forward update; do
        what="rank $who hangs in $phase"
        rm -rf run
        fail_rank=$who fail_point="rank-$who:$phase:120:pause=600000"
        start 3 "$ddpt" train --out run $endless state.cfg
        await all_there
        await_end
        fail_rank= fail_point=
        err_has "error: rank $who .*: last seen in $phase after step 119 of [0-9]*"
        [ "$(grep -c 'error:' err)" -eq 1 ] || fail "$(grep -c 'error:' err) errors, not one"
        ended_with_6
        case $(last_step run) in
            50 | 100) ;; # that of step 100 may have been on its way
            *) fail "the last checkpoint is of step $(last_step run), not 50 or 100" ;;
        esac
    done
done

# ---- where ranks meet between steps: whoever waits there is not the one ----
# between_steps WHO HOW POINT LAST OPTION...: rank WHO hangs (pause) or is stopped there, the others wait for it; LAST is what
# the coordinator knows of it.
between_steps() {
    who=$1
    last=$4
    what="rank $1: $2 in $3"
    rm -rf run
    fail_rank=$who fail_point="rank-$who:$3:2:$2"
    shift 4
    start 3 "$ddpt" train --out run $endless "$@" state.cfg
    await all_there
    stopped=$(cat "rank.$who.pid")
    began=$(now_ms)
    end_the_stopped
    fail_rank= fail_point=
    err_has "error: rank $who .*$last after step [0-9]* of [0-9]*"
    [ "$(grep -c 'error:' err)" -eq 1 ] || fail "$(grep -c 'error:' err) errors, not one"
    ended_with_6
    field_is run status failed
}
between_steps 2 pause=600000 gather 'last seen in checkpoint'
between_steps 1 pause=600000 evaluate 'last seen in evaluate' --set train.eval_every=1
# One that is stopped says no more: its last word is older, or it never came to one.
between_steps 2 stop gather ''
between_steps 1 stop evaluate '' --set train.eval_every=1

what='rank 0: stop in gather, without a coordinator'
rm -rf run
fail_rank=0 fail_point='rank-0:gather:2:stop'
start 3 "$ddpt" train --out run $endless --no-coordinator state.cfg
await all_there
stopped=$(cat rank.0.pid)
end_the_stopped
fail_rank= fail_point=
found_missing 0

# ---- one rank alone ----
what='a single rank hangs'
rm -rf run
fail_rank=0 fail_point='rank-0:forward:120:pause=600000'
start 0 "$ddpt" train --out run $endless state.cfg
await_end
fail_rank= fail_point=
err_has 'error: rank 0 .*: last seen in forward after step 119'
ended_with_6

# ---- a slow disk is no stall ----
what='a slow disk'
rm -rf run
fail_rank=1 fail_point='shard-0001.bin:opened:1:pause=5000'
start 2 "$ddpt" train --out run --set train.stall_timeout=1 --set train.max_steps=40 state.cfg
await all_there
await_end
fail_rank= fail_point=
[ "$got" -eq 0 ] || fail "status $got, not 0"
finish
