#!/bin/sh
# ddpt launch --restarts: a training that is disturbed goes on from its last checkpoint, and ends as the one that was not.
. "$(dirname "$0")/launch_test.sh"

what='the undisturbed run'
expect 0 "$ddpt" launch -n 3 train --out whole state.cfg
steps=$(field whole steps)

restarts_are() {
    n=$(grep -c '^warning: .*; restart [0-9]* of [0-9]* goes on from' err)
    [ "$n" -eq "$1" ] || fail "$n restarts, not $1"
}

# ---- failpoints: the process dies 40 steps after each start ----
for options in '' --prefix; do
    rm -rf run
    DDPT_FAILPOINT=rank-1:forward:40:kill start -n 3 --restart-delay 0 --restarts 2 $options train --out run state.cfg
    ended 0 'done: '
    err_has '^warning: worker 1 (pid [0-9]*) was killed by signal 9 .*; restart 1 of 2 goes on from step 35$'
    err_has 'restart 2 of 2 goes on from step 70$'
    restarts_are 2
    same_end whole run
    keeps_checkpoints run
done

# Without --out the run keeps the folder of its first start.
rm -rf runs
DDPT_FAILPOINT=rank-0:backward:40:kill start -n 2 --restart-delay 0 --restarts 3 train state.cfg
ended 0 'done: '
[ "$(ls runs | wc -l)" -eq 1 ] || fail "runs holds $(ls runs)"
same_end whole runs/*

# Before the first checkpoint: from the beginning. In a folder with another run's checkpoints, which are no part of it.
cp -r whole run.old
DDPT_FAILPOINT=rank-2:forward:5:kill start -n 3 --restart-delay 0 --restarts 1 train --out run.old state.cfg
ended 6 'worker 2 .*; no restart is left'
err_has 'restart 1 of 1 goes on from the beginning$'
restarts_are 1

# What goes on from another run's checkpoint does so again, then from its own.
expect 0 "$ddpt" launch -n 3 train --out half --set train.max_steps=50 state.cfg
DDPT_FAILPOINT=rank-1:forward:20:kill start -n 3 --restart-delay 0 --restarts 3 train --resume=half --out run.from state.cfg
ended 0 'done: '
err_has 'restart 1 of 3 goes on from step'
field_is run.from param_digest "$(field whole param_digest)"
field_is run.from steps "$steps"

# ---- kills at random moments, of whomever ----
for victim in worker guard mpiexec worker; do
    rm -rf run
    start -n 3 --restart-delay 0 --restarts 5 train --out run --set train.epochs=15 state.cfg
    await has_checkpoint run
    what="$what: kill -9 $victim"
    case $victim in
    worker) pid=$(a_worker) ;;
    guard) pid=$(guard) ;;
    mpiexec) pid=$(mpiexec_of_job) ;;
    esac
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
    ended 0 'done: '
    [ -e long/run.json ] || expect 0 "$ddpt" launch -n 3 train --out long --set train.epochs=15 state.cfg
    same_end long run
done

# ---- when not ----
DDPT_FAILPOINT=rank-1:forward:1:kill start -n 2 --restart-delay 0 --restarts 2 train --out never state.cfg
ended 6 '^error: worker 1 .* was killed by signal 9 .*; no restart is left$'
restarts_are 2
start -n 2 --restart-delay 0 --restarts 5 train --set train.batch=0 state.cfg
ended 2 '^error: .*train.batch'
restarts_are 0
start -n 2 --restart-delay 0 --restarts 5 train --set train.optimizer.lr=1e6 --out diverges state.cfg
ended 7 ''
restarts_are 0
start -n 2 --restart-delay 0 --restarts 5 train --out stopped $endless state.cfg
await has_checkpoint stopped
kill -TERM "$job"
ended 75 'stopped on request after step'
restarts_are 0

# A signal while it waits for the next start, which would come after an hour: with and without a checkpoint.
waits() { says 'restart 2 of 9'; }
for signal in TERM INT; do
    DDPT_FAILPOINT=rank-1:forward:1:kill start -n 2 --restart-delay 3600 --restarts 9 train --out waits.$signal state.cfg
    await waits
    what="$what: $signal"
    kill -$signal "$job"
    ended 130 'interrupted'
done
DDPT_FAILPOINT=rank-1:forward:8:kill start -n 2 --restart-delay 3600 --restarts 9 train --out waits.saved --set train.epochs=100 state.cfg
await waits
kill -TERM "$job"
ended 75 'stopped on request'
finish
