#!/bin/sh
# The folder that a run leaves: run.json, steps.csv, nothing else.
. "$(dirname "$0")/train_test.sh"

for every in 1 7; do
    train_into "every$every" 3 --set "train.log_every=$every" --set train.epochs=2 $small "$examples/digits.cfg"
    field_is "every$every" status done
    field_is "every$every" steps 20
    field_is "every$every" epochs 2
    field_is "every$every" world_size 3
done
# A part of an epoch is no epoch.
train_into part 2 --set train.max_steps=13 $small "$examples/digits.cfg"
field_is part epochs 1
field_is part steps 13
train_into alone 1 --set train.max_steps=1 $small "$examples/digits.cfg"
field_is alone steps 1
field_is alone lr 0.1
train_into long 2 --set train.log_every=1000 --set train.epochs=2 --set train.comm=mpi $small "$examples/digits.cfg"
field_is long epochs 2

# Without a launcher, and over what a run before has left.
expect 0 "$ddpt" train --out alone --set train.max_steps=3 $small "$examples/digits.cfg"
check_record alone
field_is alone steps 3

# Where it lies: an absolute folder, one below folders that do not exist, the config's own, and the default one.
train_into "$work/deep/down/run" 2 --set train.max_steps=2 $small "$examples/digits.cfg"
expect 0 "$ddpt" train --set out=named --set train.max_steps=2 $small "$examples/digits.cfg"
check_record named
expect 0 "$ddpt" train --set out=named --out other --set train.max_steps=2 $small "$examples/digits.cfg"
check_record other
# Runs of the same second each have a folder.
for i in 1 2 3; do
    "$ddpt" train --set train.max_steps=2 $small "$examples/digits.cfg" >"out.$i" 2>&1 </dev/null &
done
what='three runs at once'
wait
[ "$(ls runs | grep -c '^digits-[0-9]\{8\}-[0-9]\{6\}')" -eq 3 ] || fail "runs holds $(ls runs)"
for run in runs/*; do
    check_record "$run"
done

# What a person reads does not go to stdout.
expect 0 "$mpiexec" -n 2 "$ddpt" train --out quiet --set train.max_steps=2 $small "$examples/digits.cfg"
[ ! -s out ] || fail 'stdout is not empty'
err_has 'done: 2 steps'
finish
