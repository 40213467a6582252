#!/bin/sh
# A run whose ranks are killed, at any moment and at every step of a save, is resumed and killed again, and in the end equals the run
# that nobody disturbed. 20 kills; DDPT_KILLS says how many, DDPT_TEST_LONG=1 makes it 200. DDPT_SEED repeats a test that failed.
. "$(dirname "$0")/fault_test.sh"

kills=${DDPT_KILLS:-20}
[ -z "${DDPT_TEST_LONG:-}" ] || kills=${DDPT_KILLS:-200}
seed=${DDPT_SEED:-$(($(date +%s) % 1000000))}
echo "DDPT_SEED=$seed DDPT_KILLS=$kills"

# random COUNT: `r` becomes one of 0 .. COUNT - 1.
random() {
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    r=$((seed / 8192 % $1))
}

# How a run dies: at a failpoint of one rank, or at a random moment: one rank, all ranks, the launcher.
ways='one ckpt:staged all shard:opened shard:chunk one shard:before-fsync all shard:after-fsync launcher
      manifest.pb:before-fsync one manifest.pb:before-rename manifest.pb:after-rename all manifest.pb:after-folder-fsync
      ckpt:committed ckpt:removed run.json:before-rename steps.csv:before-rename'


what='the undisturbed run'
began=$(date +%s%N)
expect 0 "$mpiexec" -n 3 "$ddpt" train --out whole state.cfg
milliseconds=$(((  $(date +%s%N) - began) / 1000000))
check_folder whole 2
steps=$(field whole steps)
[ "$(last_step whole)" = "$steps" ] || fail 'the last step is not saved'

# ---- one kill ----

# arm WAY: a failpoint, or none for a random moment. `victim` becomes the rank that dies, or "all", "launcher".
arm() {
    fail_rank=
    fail_point=
    random "$ranks"
    victim=$r
    case $1 in
    one) ;;
    all | launcher) victim=$1 ;;
    *)
        point=${1#*:}
        case $1 in
        shard:*) name=$(printf 'shard-%04d.bin' "$victim") ;;
        ckpt:staged) name=ckpt ;;
        *)
            name=${1%%:*}
            victim=0
            ;;
        esac
        # Early enough that a new run is sure to come there, or in the last save of all.
        random 5
        nth=$((r + 1))
        random 4
        [ "$r" -gt 0 ] || nth=$(((steps - 1) / 7 + 1 - ${saved_before:-0} / 7))
        [ "$1" != steps.csv:before-rename ] || nth=1
        fail_rank=$victim
        fail_point=$name:$point:$nth
        ;;
    esac
}

# strike: a kill at a random moment between the start of the program and a little after its end.
strike() {
    random "$((milliseconds + milliseconds / 4))"
    moment=$r
    sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
    case $victim in
    launcher) kill -KILL "$job" 2>/dev/null ;;
    all) kill_all ;;
    *) [ ! -e "rank.$victim.pid" ] || kill -KILL "$(cat "rank.$victim.pid")" 2>/dev/null ;;
    esac
}

# Was it the kill that ended the run?
is_hit() {
    case $victim in
    launcher) [ "$got" -eq 137 ] ;;
    all) [ "$got" -ne 0 ] ;;
    *) [ "$(rank_status "$victim")" = 137 ] ;;
    esac
}

# How many ranks the next run of this chain has.
choose_ranks() {
    ranks=3
    [ $elastic -eq 0 ] && return
    random 4
    ranks=$((r + 1 + r / 3))
}

# What asks for the checkpoint: --resume where there must be one.
choose_resume() {
    resume=--auto-resume
    random 2
    if [ "$r" -eq 0 ] && has_checkpoint "$run"; then resume=--resume; fi
}

# A run that is killed leaves its checkpoints sound, and the record of the last of them.
check_victim() {
    check_checkpoints "$run"
    [ ! -e "$run/run.json" ] || [ "$(field "$run" schema)" = ddpt.run.v1 ] || fail 'run.json is not whole'
    saved=$(last_step "$run")
    [ "${saved:-0}" -ge "${saved_before:-0}" ] || fail "step ${saved:-0} is the last one saved, it was $saved_before"
}

# A run that goes on does so from the newest checkpoint.
check_start() {
    [ -z "$saved_before" ] || ! says '^epoch ' || err_has "going on from .*step-0*$saved_before, step $saved_before of $steps"
}

# attempt WAY: 0 if a run was killed. A random moment can come too late, a failpoint not at all where little is left to do; then the
# run has ended as it should.
attempt() {
    choose_ranks
    choose_resume
    saved_before=$(last_step "$run")
    arm "$1"
    what="kill $done_kills, run $runs of chain $chain: $1, $victim of $ranks, $fail_point, $resume"
    runs=$((runs + 1))
    start "$ranks" "$ddpt" train --out "$run" $resume state.cfg
    [ -n "$fail_point" ] || strike
    await_end
    [ -n "$fail_point" ] || what="$what after $moment ms"
    echo "$what: status $got" >>"$run.history"
    check_start
    check_victim
    is_hit && return 0
    [ "$got" -eq 0 ] || fail "status $got although nobody was killed"
    check_chain
    return 1
}

# ---- a chain: a run that is killed several times and then left alone ----

begin_chain() {
    chain=$((chain + 1))
    run=run.$chain
    elastic=$((chain % 3 == 2))
    random 4
    lives=$((r + 1))
}

check_chain() {
    check_folder "$run" 2
    [ "$(last_step "$run")" = "$steps" ] || fail 'the last step is not saved'
    same_end whole "$run"
    [ "$failures" -gt 0 ] || rm -rf "$run" "$run.history"
    lives=0
}

end_chain() {
    fail_rank=
    fail_point=
    choose_ranks
    what="the last run of chain $chain"
    saved_before=$(last_step "$run")
    if [ -z "$saved_before" ]; then
        nothing=$(find "$run" 2>/dev/null | sort)
        expect 4 "$mpiexec" -n "$ranks" "$ddpt" train --out "$run" --resume state.cfg
        is_one_error
        [ "$(find "$run" 2>/dev/null | sort)" = "$nothing" ] || fail 'a run that did not begin has changed something'
    fi
    choose_resume
    expect 0 "$mpiexec" -n "$ranks" "$ddpt" train --out "$run" $resume state.cfg
    check_start
    check_chain
}

chain=0
runs=0
lives=0
done_kills=0
while [ "$done_kills" -lt "$kills" ] && [ "$failures" -eq 0 ]; do
    for way in $ways; do
        [ "$done_kills" -lt "$kills" ] && [ "$failures" -eq 0 ] || break
        tries=20
        while :; do
            [ "$lives" -gt 0 ] || begin_chain
            attempt "$way" && break
            tries=$((tries - 1))
            [ "$tries" -gt 0 ] || { fail 'nobody was killed in 20 attempts'; break; }
        done
        done_kills=$((done_kills + 1))
        lives=$((lives - 1))
        [ "$lives" -gt 0 ] || [ "$failures" -gt 0 ] || end_chain
    done
done
[ "$lives" -eq 0 ] || [ "$failures" -gt 0 ] || end_chain
[ "$failures" -eq 0 ] || cat "$run.history"
echo "$done_kills kills in $runs runs of $chain chains"
finish
