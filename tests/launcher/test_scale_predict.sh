#!/bin/sh
# What is predicted from 1, 2 and 4 workers holds for 8. Ranks that outnumber cores do not compute faster, but they can sleep side by
# side: in forward a rank sleeps for its share of 80 ms, and rank 0 for 4 ms more, which no other takes from it.
. "$(dirname "$0")/command_test.sh"
tools=$4

cat >sleeper.sh <<'END'
size=${PMI_SIZE:-${OMPI_COMM_WORLD_SIZE:-1}}
rank=${PMI_RANK:-${OMPI_COMM_WORLD_RANK:-0}}
serial=0
[ "$rank" -ne 0 ] || serial=4
DDPT_FAILPOINT="rank-$rank:forward:1:pause=$(awk "BEGIN { print 80 / $size + $serial }")"
export DDPT_FAILPOINT
exec "$@"
END
small="--set data.train_samples=512 --set data.test_samples=64 --set train.batch=32 --set model.layers.0.units=16"
expect 0 "$ddpt" scale "$examples/digits.cfg" $small --workers 1,2,4,8 --oversubscribe --steps 20 --repeats 3 --out sweep \
    --launcher "$mpiexec -n {n} sh sleeper.sh"
expect 0 "$tools/scale_check" predict sweep 8
cat out
finish
