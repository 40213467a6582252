#!/bin/sh
# How a run ends before its time: Ctrl-C, a rank that is killed, a rank that stops. Whatever happens, no process stays behind.
. "$(dirname "$0")/train_test.sh"
. "$shared/ranks_test.sh"

# run RANKS ARGUMENTS...: in the background.
run() {
    what="$*"
    ranks=$1
    shift
    rm -rf run
    start "$ranks" "$ddpt" train --out run "$@"
}

is_training() {
    [ -e run/steps.csv.partial ] && says 'parameters;'
}

# ends TENTHS STATUS...: all ranks within so many tenths of a second, and the launcher with one of the statuses.
ends() {
    within "$1" all_gone || fail "ranks are still there after $1 tenths of a second"
    shift
    wait "$job"
    got=$?
    case " $* " in
    *" $got "*) ;;
    *) fail "status $got, not one of: $*" ;;
    esac
}

# A run that would take hours.
long="--set data.train_samples=6000 --set data.test_samples=100 --set train.epochs=100000 --set train.eval_every=0 $examples/digits.cfg"

# The bound is a second; cores may be busy with other tests here. Hydra at times answers Ctrl-C with status 0 although all
# ranks end with 130.
interrupted() {
    if [ "$who" = alone ]; then ends 25 130; else ends 25 0 130; fi
    [ "$(grep -c 'error: ' err)" -le 1 ] || fail 'more than one error'
    [ ! -e run/run.json ] || is_recorded
}

# Hydra's status may not tell; the record does.
is_recorded() {
    field_is run status stopped
    case $(field run reason) in 'interrupted '*) ;; *) fail "run.json: reason is $(field run reason)" ;; esac
}

# ---- Ctrl-C in a step ----
for who in alone launcher rank 'launcher mpi' 'rank mpi'; do
    # The record is written if that can be done within the second: on a busy machine not at every attempt.
    for attempt in 1 2 3; do
        case $who in
        alone) run 0 $long ;;
        *mpi) run 3 --set train.comm=mpi $long ;;
        *) run 3 $long ;;
        esac
        await is_training
        sleep 0.3
        case $who in
        alone) kill -INT "$(cat rank.0.pid)" ;;
        rank*) kill -INT "$(cat rank.1.pid)" ;;
        *) kill -INT "$job" ;;
        esac
        interrupted
        [ ! -e run/run.json ] || break
    done
    err_has '^error: interrupted after step [0-9]* of [0-9]*'
    check_record run
done

# ---- Ctrl-C elsewhere ----
run 3 --set data.train_samples=400000 "$examples/digits.cfg"
await all_there
sleep 0.5
kill -INT "$job"
# Before the first step the system ends the ranks.
ends 25 0 1 2 9 130
[ ! -e run/run.json ] || fail 'there is a record of a run that did not begin'

evaluation="--set data.train_samples=64 --set train.batch=64 --set train.epochs=1000 --set data.test_samples=60000
    --set model.layers.0.units=2048 $examples/digits.cfg"
for who in launcher rank; do
    run 3 $evaluation
    await is_training
    sleep 0.5
    # One rank alone waits in vain for the others to end their part; its end makes the launcher kill them.
    if [ $who = rank ]; then kill -INT "$(cat rank.2.pid)"; else kill -INT "$job"; fi
    ends 25 0 9 130 137 143
    [ ! -e run/run.json ] || is_recorded
done

# ---- a rank is killed ----
# Hydra's status is all that ranks ended with or-ed together: 9 for the killed one, 6 for those that lost it, or what the
# launcher ended these by.
for comm in shm mpi; do
    run 3 --set "train.comm=$comm" $long
    await is_training
    sleep 0.2
    kill -KILL "$(cat rank.1.pid)"
    ends 100 6 9 15 134 137 143
    [ ! -e run/run.json ] || field_is run status failed
done

# ---- a rank stops ----
for comm in shm mpi; do
    run 3 --set "train.comm=$comm" --set train.stall_timeout=3 $long
    await is_training
    sleep 0.2
    stopped=$(cat rank.1.pid)
    kill -STOP "$stopped"
    # Whether the launcher can end a stopped process is its business; the others have to go.
    mv rank.1.pid stopped
    within 60 all_gone || fail 'ranks wait for a stopped one'
    kill -CONT "$stopped" 2>/dev/null
    kill -KILL "$stopped" 2>/dev/null
    ends 100 6
    err_has 'error: rank 1 (.*) has been silent for 3[.]'
    [ ! -e run/run.json ] || field_is run status failed
done
finish
