#!/bin/sh
# Signals to ddpt launch reach its workers: a save and the end, an end at once, a pause.
. "$(dirname "$0")/launch_test.sh"

under_way() {
    rm -rf run
    start "$@" train --out run $endless state.cfg
    await has_checkpoint run
}

# ---- save and end ----
for signal in TERM HUP USR1 USR2; do
    under_way -n 3
    what="$what: $signal"
    kill -$signal "$job"
    ended 75 '^stopped on request after step [0-9]* of [0-9]*, which is saved'
    step=$(sed -n 's/^stopped on request after step \([0-9]*\) of .*/\1/p' err)
    field_is run status stopped
    [ "$(last_step run)" = "$step" ] || fail "the last checkpoint is of step $(last_step run), not $step"
    keeps_checkpoints run
done

# To all processes of the job at once, as a batch system does.
under_way -n 3
what="$what: TERM to all"
kill -TERM $(members)
ended 75 'stopped on request'

# At any moment of the start: the run ends after its first step.
has_guard() { [ -n "$(guard)" ]; }
for wait_for in has_guard 'says parameters'; do
    rm -rf run
    start -n 3 train --out run $endless state.cfg
    await $wait_for
    what="$what: TERM after $wait_for"
    kill -TERM "$job"
    ended 75 'stopped on request'
done

# nohup: SIGHUP means nothing.
rm -rf run
(trap '' HUP; DDPT_TEST_MARK=$mark exec "$ddpt" launch -n 2 train --out run $endless state.cfg >out 2>err </dev/null) &
job=$!
await has_checkpoint run
kill -HUP "$job"
step=$(last_step run)
goes_on() { [ "$(last_step run)" -gt "$step" ]; }
await goes_on
kill -TERM "$job"
ended 75 'stopped on request'

# ---- end at once ----
under_way -n 3
what="$what: INT"
kill -INT "$job"
ended 130 '^error: interrupted after step'
keeps_checkpoints run

# A worker that does not listen, and the second Ctrl-C.
for times in once twice; do
    under_way -n 3
    what="$what: INT $times, a worker is stopped"
    kill -STOP "$(a_worker)"
    kill -INT "$job"
    if [ $times = twice ]; then
        # Two signals that are pending together count as one.
        took_one() { ! grep -q '^ShdPnd:.*2$' "/proc/$job/status"; }
        await took_one
        kill -INT "$job"
    fi
    ended 130 '^error: interrupted'
done

# During the start.
rm -rf run
start -n 3 train --out run $endless state.cfg
await has_guard
kill -INT "$job"
ended 130 '^error: interrupted'

# A command that has nothing to save is ended by what asks for a save.
start -n 2 bench step --steps 1000000 state.cfg
are_two() { [ "$(members | wc -l)" -ge 5 ]; }
await are_two
what="$what: TERM"
kill -TERM "$job"
ended 130 'ended by SIGTERM, with nothing to save'

# ---- a pause ----
state_of() { sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status"; }
all_stopped() {
    for one in $job $(workers); do
        [ "$(state_of "$one")" = T ] || return 1
    done
}
under_way -n 3
what="$what: TSTP"
kill -TSTP "$job"
await all_stopped
kill -CONT "$job"
step=$(last_step run)
await goes_on
kill -TERM "$job"
ended 75 'stopped on request'
finish
