#!/bin/sh
# The options of ddpt train that have to do with checkpoints: which words they take, which exclude each other, and how a
# run that is told to stop ends. What a resumed run computes is another test's business.
. "$(dirname "$0")/command_test.sh"

sed 's/epochs = 3;/epochs = 1; checkpoint = { every_steps = 5; keep = 9; };/; s/batch = 128/batch = 60/
     s/format = "digits";/format = "digits"; train_samples = 600; test_samples = 70;/' "$examples/digits.cfg" >x.cfg

# left_off: a run that was stopped at step 5.
left_off() {
    rm -rf run
    cp -R stopped run
}
# ends_at STEPS [DIR]
ends_at() {
    grep -q "\"steps\": $1," "${2-run}/run.json" || fail "${2-run} did not end at step $1"
}
expect 0 "$ddpt" train --out stopped --set train.max_steps=5 x.cfg
ends_at 5 stopped
expect 0 "$ddpt" train --out whole x.cfg
ends_at 10 whole

# In which order does not matter, as long as it is clear which word is which.
for arguments in '--out run --resume x.cfg' '--out run x.cfg --resume' '--resume --out run x.cfg' \
    'x.cfg --out run --resume' '--resume run x.cfg' 'x.cfg --resume run' '--resume=run x.cfg' 'x.cfg --resume=run' \
    '--resume run/ckpt x.cfg' '--resume run/ckpt/step-00000005 x.cfg' 'x.cfg --resume run/ckpt/step-00000005/' \
    '--resume run -- x.cfg' '--resume run --set train.log_every=2 x.cfg' '--auto-resume --out run x.cfg' \
    '--set out=run --resume x.cfg'; do
    left_off
    expect 0 "$ddpt" train $arguments
    ends_at 10
    expect 0 "$ddpt" ckpt diff run whole
done

# --auto-resume starts where there is nothing to go on from, --resume does not.
rm -rf run
expect 4 "$ddpt" train --out run --resume x.cfg
is_one_error
[ ! -e run ] || fail 'made a run folder'
expect 0 "$ddpt" train --out run --auto-resume x.cfg
expect 0 "$ddpt" ckpt diff run whole

# Keys that shape the mathematics.
left_off
expect 4 "$ddpt" train --resume run --set train.optimizer.lr=0.05 --set train.epochs=2 x.cfg
is_one_error
err_has 'train.optimizer.lr = 0.1 there, 0.05 here'
if grep -q epochs err; then fail 'names a key that may change'; fi
expect 0 "$ddpt" train --resume run --allow-config-change --set train.optimizer.lr=0.05 x.cfg
ends_at 10
left_off
expect 0 "$ddpt" train --resume run --set train.epochs=2 --set train.log_every=3 x.cfg
ends_at 20

# A new run with the parameters of another.
expect 0 "$ddpt" train --out fresh --init-from stopped --set train.seed=7 x.cfg
ends_at 10 fresh
expect 0 "$ddpt" train --out still --init-from stopped/ckpt/step-00000005 --set train.optimizer.lr=0 x.cfg
expect 1 "$ddpt" ckpt diff still stopped
out_lacks '^dense[12]/[a-z]*  ' # only the optimizer's state differs
expect 0 "$ddpt" train --out either --init-from stopped --auto-resume --set train.optimizer.lr=0 x.cfg
expect 0 "$ddpt" ckpt diff either still

# A run that is told to save and stop has not failed: what it says is no error.
what='a run that gets SIGTERM'
"$ddpt" train --out told --set train.epochs=1000000 x.cfg >out 2>err </dev/null &
pid=$!
tries=300
until [ -n "$(ls told/ckpt/step-*/manifest.pb 2>/dev/null)" ] || [ "$tries" -eq 0 ]; do
    tries=$((tries - 1))
    sleep 0.1
done
kill -TERM "$pid"
wait "$pid"
got=$?
[ "$got" -eq 75 ] || fail "status $got, not 75"
err_has '^stopped '
if grep -q '^error: ' err; then fail 'is an error'; fi
expect 0 "$ddpt" ckpt verify told

# Usage.
for arguments in '--resume --auto-resume x.cfg' '--resume run --auto-resume x.cfg' '--init-from run --resume x.cfg' \
    '--allow-config-change x.cfg' '--init-from run --allow-config-change x.cfg' '--resume' '--resume run y.cfg x.cfg' \
    'run x.cfg --resume' 'run --resume --out run x.cfg' '--init-from' '--auto-resume=run x.cfg'; do
    expect 2 "$ddpt" train $arguments
    is_one_error
done
for path in nowhere x.cfg run/run.json; do
    for option in --resume= --init-from=; do
        expect 4 "$ddpt" train "$option$path" x.cfg
        is_one_error
    done
done
[ ! -e runs ] || fail 'made a run folder'
finish
