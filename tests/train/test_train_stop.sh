#!/bin/sh
# A run that is asked to stop saves and ends with status 75, wherever it is, whoever is asked and by which signal; resumed, it equals
# the run that nobody stopped. Ctrl-C ends it without a save. And when saves happen: by the clock, in the foreground, on a slow disk.
. "$(dirname "$0")/fault_test.sh"

# Without a schedule that depends on how many steps there will be.
steady="--set train.optimizer.schedule.type=constant --set train.eval_every=0 --set train.checkpoint.every_steps=0"
for_ever='--set train.epochs=100000'
until_100='--set train.epochs=100000 --set train.max_steps=100'

# begin RANKS ARGUMENTS...: a run in the background, whose steps and batches of an evaluation take milliseconds: rank 0 sleeps in them.
slow_steps=rank-0:forward:1:pause=3,rank-0:evaluate:1:pause=40
begin() {
    ranks=$1
    what="$*"
    shift
    rm -rf run
    export DDPT_FAILPOINT="$slow_steps"
    start "$ranks" "$ddpt" train --out run "$@" state.cfg
    unset DDPT_FAILPOINT
}

# send SIGNAL TO: a rank, "all" of them, or the "launcher".
send() {
    await all_there
    case $2 in
    launcher) kill "-$1" "$job" ;;
    all) for file in rank.*.pid; do kill "-$1" "$(cat "$file")"; done ;;
    *) kill "-$1" "$(cat "rank.$2.pid")" ;;
    esac
}

# ended STATUS: how every rank must end, and the launcher. Hydra at times answers SIGUSR1 and SIGINT with status 0.
ended() {
    await_end
    rank=0
    while [ "$rank" -lt "$ranks" ]; do
        [ "$(rank_status "$rank")" = "$1" ] || fail "rank $rank ended with $(rank_status "$rank"), not $1"
        rank=$((rank + 1))
    done
    [ "$got" -eq "$1" ] || [ "$got" -eq 0 ] || fail "status $got, not $1"
}

# stopped: the run has ended as it should; `step` becomes its last.
stopped() {
    ended 75
    err_has '^stopped on request after step [0-9]* of [0-9]*, which is saved: --resume goes on$'
    ! says 'error:' || fail 'there is an error'
    ! says 'warning:' || fail 'there is a warning'
    step=$(sed -n 's/^stopped on request after step \([0-9]*\) of .*/\1/p' err)
    field_is run status stopped
    field_is run steps "$step"
    field_is run last_step "$step"
    check_folder run "${keep:-2}"
    [ "$(last_step run)" = "$step" ] || fail "the last checkpoint is of step $(last_step run)"
}

# goes_on_as DIR ARGUMENTS...: what was stopped, resumed.
goes_on_as() {
    whole=$1
    shift
    expect 0 "$@" --out run --resume state.cfg
    err_has "going on from run/ckpt/step-0*$step, step $step of"
    check_folder run "${keep:-2}"
    same_end "$whole" run
}

# under_way: the run trains.
under_way() {
    says 'parameters;'
}

# ---- in a step ----
what='runs that nobody stops'
expect 0 "$ddpt" train --out whole.alone $steady $until_100 state.cfg
for comm in shm mpi; do
    expect 0 "$mpiexec" -n 3 "$ddpt" train --out "whole.$comm" $steady $until_100 --set train.comm=$comm state.cfg
done

while read -r ranks comm signal to; do
    # On a machine that is busy the signal may come after step 100.
    for attempt in 1 2 3 4 5; do
        begin "$ranks" $steady $for_ever --set "train.comm=$comm"
        await under_way
        what="$signal to $to of $ranks, $comm"
        send "$signal" "$to"
        stopped
        [ "$step" -ge 100 ] || break
    done
    case $comm in
    auto) goes_on_as whole.alone "$ddpt" train $steady $until_100 ;;
    *) goes_on_as "whole.$comm" "$mpiexec" -n 3 "$ddpt" train $steady $until_100 --set "train.comm=$comm" ;;
    esac
done <<END
0 auto TERM 0
0 auto USR1 0
0 auto USR2 0
3 shm TERM 0
3 shm USR1 1
3 shm USR2 2
3 shm TERM launcher
3 shm USR1 launcher
3 shm TERM all
3 mpi TERM 1
3 mpi USR2 0
3 mpi USR1 launcher
END

# One signal after the other, to whomever.
begin 3 $steady $for_ever
await under_way
for signal in TERM USR1 TERM USR2; do
    for to in 1 2 0; do
        [ ! -e "rank.$to.pid" ] || kill "-$signal" "$(cat "rank.$to.pid")" 2>/dev/null
    done
done
what='many signals'
stopped

# ---- in an evaluation ----
evaluation='--set train.epochs=3 --set data.train_samples=60 --set data.test_samples=1200 --set train.eval_every=1'
expect 0 "$mpiexec" -n 3 "$ddpt" train --out whole.evaluation $evaluation state.cfg
for to in 1 launcher; do
    begin 3 $evaluation
    await under_way
    sleep 0.2
    send TERM "$to"
    stopped
    [ "$step" -le 2 ] || fail 'the run was done'
    goes_on_as whole.evaluation "$mpiexec" -n 3 "$ddpt" train $evaluation
done

# ---- during the set-up: as after the first step ----
set_up="--set data.train_samples=200000 --set train.max_steps=2"
is_set_up() {
    says 'MPI ready'
}
expect 0 "$mpiexec" -n 3 "$ddpt" train --out whole.set-up $set_up state.cfg
export DDPT_LOG=debug
for to in 2 launcher; do
    begin 3 $set_up
    await is_set_up
    send TERM "$to"
    stopped
    [ "$step" -eq 1 ] || fail "the run ended after step $step"
    goes_on_as whole.set-up "$mpiexec" -n 3 "$ddpt" train $set_up
done
unset DDPT_LOG

# ---- during a save ----
a_save_is_under_way() {
    [ -e run/ckpt/step-00000010/shard-0001.bin ]
}
keep=9
for async in true false; do
    for signal in TERM USR2; do
        fail_rank=1 fail_point=shard-0001.bin:before-fsync:1:pause=1000
        begin 3 $steady $for_ever --set train.checkpoint.every_steps=10 --set train.checkpoint.keep=9 \
            --set train.checkpoint.async=$async
        await a_save_is_under_way
        send $signal 2
        stopped
        [ -e run/ckpt/step-00000010/manifest.pb ] || fail 'the save under way was given up'
        fail_rank=
        goes_on_as whole.shm "$mpiexec" -n 3 "$ddpt" train $steady $until_100
    done
done

keep=2

# ---- a save that fails ----
for point in shard-0001.bin:opened shard-0001.bin:chunk shard-0001.bin:before-fsync manifest.pb:before-fsync \
    manifest.pb:before-rename; do
    case $point in
    shard*) fail_rank=1 path=shard-0001.bin ;;
    *) fail_rank=0 path=manifest.pb ;;
    esac
    fail_point=$point:2:fail
    begin 3 $steady $for_ever --set train.checkpoint.every_steps=20
    await has_checkpoint run
    send TERM 2
    what="$what: $point"
    ended 4
    step=$(sed -n 's/^error: stopped on request after step \([0-9]*\) of .*, which could not be saved$/\1/p' err)
    err_has "^warning: the checkpoint of step $step is not saved: .*$path: Input/output error; that of step 20 remains$"
    [ "$(grep -c 'error:' err)" -eq 1 ] || fail 'not one error'
    field_is run status failed
    check_folder run "${keep:-2}"
    [ "$(last_step run)" = 20 ] || fail "the last checkpoint is of step $(last_step run)"
done
fail_rank=
step=20
goes_on_as whole.shm "$mpiexec" -n 3 "$ddpt" train $steady $until_100

# ---- Ctrl-C: without a save, also when the run has been asked to stop before ----
begin 3 $steady $for_ever --set train.checkpoint.every_steps=20
await has_checkpoint run
send INT 0
await_end
[ "$(rank_status 0)" = 130 ] || fail "rank 0 ended with $(rank_status 0)"
[ "$(($(last_step run) % 20))" -eq 0 ] || fail 'the run was saved'
check_checkpoints run
step=$(last_step run)
if [ "$step" -lt 100 ]; then goes_on_as whole.shm "$mpiexec" -n 3 "$ddpt" train $steady $until_100; fi

fail_rank=1 fail_point=shard-0001.bin:before-fsync:1:pause=20000
begin 3 $steady $for_ever
await under_way
send TERM 0
the_last_save_is_under_way() {
    set -- run/ckpt/step-*/shard-0001.bin
    [ -e "$1" ]
}
await the_last_save_is_under_way
send INT all
await_end
for rank in 0 1 2; do
    case $(rank_status $rank) in
    130 | '' | 137 | 143) ;;
    *) fail "rank $rank ended with $(rank_status $rank)" ;;
    esac
done
! has_checkpoint run || fail 'the run was saved'
fail_rank=

# ---- a signal that the launcher keeps to itself ends the ranks: what was saved before is there ----
begin 3 $steady $for_ever --set train.checkpoint.every_steps=20
await has_checkpoint run
send USR2 launcher
await_end
check_checkpoints run

# ---- when saves happen ----
rm -rf run
expect 0 "$mpiexec" -n 3 "$ddpt" train --out run $steady $until_100 --set train.checkpoint.every_minutes=0.0005 state.cfg
[ "$(field run saves)" -gt 1 ] || fail "$(field run saves) saves"
check_folder run 3
same_end whole.shm run

rm -rf run
expect 0 "$mpiexec" -n 3 "$ddpt" train --out run $steady $until_100 --set train.checkpoint.every_steps=30 \
    --set train.checkpoint.async=false state.cfg
field_is run saves 4
check_folder run 2
same_end whole.shm run

# A disk that is slower than the bound for a rank that is lost, in a shard and in the commit: nobody is lost, and a save is finished
# before the next begins.
slow() {
    comm=$1 fail_rank=$2 fail_point=$3:2:pause=4500 rank_files=slow.$3
    shift 3
    "$mpiexec" -n 3 "$work/each" "$ddpt" train --out "$rank_files" $steady $until_100 --set train.comm=$comm \
        --set train.stall_timeout=2 --set train.checkpoint.every_steps=40 "$@" state.cfg >"$rank_files.err" 2>&1 </dev/null &
}
slow shm 1 shard-0001.bin:before-fsync
slow mpi 2 shard-0002.bin:opened --set train.checkpoint.async=false
slow shm 0 manifest.pb:before-rename --set train.checkpoint.async=false
slow mpi 0 ckpt:committed
fail_rank=
wait
for run in slow.*.err; do
    run=${run%.err}
    what=$run
    cp "$run.err" err
    ! says 'error:' || fail 'there is an error'
    ! says 'warning:' || fail 'there is a warning'
    field_is "$run" saves 3
    check_folder "$run" 2
    comm=$(field "$run" comm)
    same_end "whole.$comm" "$run"
done
finish
