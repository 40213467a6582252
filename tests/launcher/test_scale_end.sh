#!/bin/sh
# ddpt scale that is told to end, or killed, leaves no process.
shared=$(cd "$(dirname "$0")" && pwd) # the first of them leaves this folder
. "$shared/command_test.sh"
tools=$4
. "$shared/job_test.sh"
. "$shared/ranks_test.sh"
small="--set data.train_samples=512 --set data.test_samples=64"

# What starts the ranks would start more.
trap '[ ! -e job.pid ] || kill -KILL "$(cat job.pid)" 2>/dev/null; kill_all; rm -rf "$work"' EXIT

# sweep COMMAND...: in the background.
sweep() {
    rm -rf rank.* runs
    in_background "$@"
    echo "$job" >job.pid
}

# `got` becomes its status.
await_sweep() {
    wait "$job"
    got=$?
    rm job.pid
}

# Rank 0 sleeps in every step, so that a trial takes seconds.
DDPT_FAILPOINT=rank-0:forward:1:pause=100
export DDPT_FAILPOINT

# ends STATUS SIGNAL COMMAND...; the STATUS of an MPI's launcher is its own affair: any.
ends() {
    wanted=$1
    signal=$2
    shift 2
    what="$signal to $*"
    sweep "$@"
    await all_there
    [ "$signal" = KILL ] || await says "$under_way"
    kill "-$signal" "$job"
    await_sweep
    [ "$wanted" = any ] || [ "$got" -eq "$wanted" ] || fail "status $got, not $wanted"
    patiently all_gone || fail 'a process is left'
}

# The line of the first trial: those after it do not end in the time of this test.
under_way='trial 1 of 3'
ranks=2
set -- "$ddpt" scale "$examples/digits.cfg" $small --workers 2 --steps 20
for signal in INT TERM; do
    ends 130 $signal "$@" --launcher "$mpiexec -n {n} $work/each"
    [ "$(grep -c '^error: interrupted$' err)" -eq 1 ] || fail 'does not say that it was interrupted'
    [ "$(ls runs/*)" = scaling.json ] || fail 'what was measured is not kept'
    expect 0 "$ddpt" report runs/*
    grep -q 'The sweep ended early' runs/*/report.html || fail 'the report does not say that it is not whole'
done
# A rank that is killed takes its trial with it, by the name of what happened.
what='a rank that is killed'
sweep "$@" --launcher "$mpiexec -n {n} $work/each"
await says "$under_way"
await all_there
# The note of the trial before may still be there.
kill_rank() { kill -KILL "$(cat rank.1.pid)" 2>/dev/null; }
await kill_rank
await_sweep
[ "$got" -eq 6 ] || fail "status $got, not 6"
says '^error: 2 workers: a worker was lost, killed by signal 9' || fail 'does not say that a worker was lost'
patiently all_gone || fail 'a process is left'

ends 137 KILL "$@" --launcher "$mpiexec -n {n} $work/each"

# ---- inside a job of 3 ranks, of which one sleeps ----
ranks=3
inside="$mpiexec -n 3 $work/each $*"
is_kept() {
    [ "$(ls runs/*)" = scaling.json ] || fail "kept of what was measured: $(ls runs/* 2>&1)"
    expect 0 "$ddpt" report runs/*
}
for signal in INT TERM; do
    # shellcheck disable=SC2086 # words
    ends any $signal $inside
    is_kept
done

start_inside() {
    what="inside: $*"
    # shellcheck disable=SC2086 # words
    sweep $inside --set train.stall_timeout=2 "$@"
    await says "$under_way"
}

# end_inside RANK: which was killed or stopped; `got` becomes the job's status.
end_inside() {
    await_sweep
    # Whether a launcher can end a process that is stopped is its affair.
    kill -KILL "$(cat "rank.$1.pid")" 2>/dev/null
    patiently all_gone || fail 'a process is left'
}

start_inside
kill -KILL "$(cat rank.1.pid)"
end_inside 1
is_kept

# A rank that sleeps is stopped, whenever that is.
start_inside
kill -STOP "$(cat rank.2.pid)"
end_inside 2
[ "$got" -eq 6 ] || fail "status $got, not 6"
grep -q 'error: 2 workers: waited 2.0 s for the ranks that had no part in the trial' err || fail 'does not say that a rank is gone'
is_kept

# The one that works alone is, in a step of the second trial: 16 of the warm-up and 27 of the first come before.
DDPT_FAILPOINT=$DDPT_FAILPOINT,rank-0:forward:55:stop
start_inside --workers 1
end_inside 0
[ "$got" -eq 6 ] || fail "status $got, not 6"
grep -q 'error: 1 worker: rank 0 has taken no step for 2.0 s' err || fail 'does not say that rank 0 is gone'
[ "$(grep -c 'error:' err)" -eq 1 ] || fail 'more than one error'
is_kept
finish
