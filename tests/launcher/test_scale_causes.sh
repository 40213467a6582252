#!/bin/sh
# A serial part that is planted is found: rank 0 sleeps in a phase of every step, whatever the number of workers.
. "$(dirname "$0")/command_test.sh"
tools=$4

# Steps of well under a millisecond, so that the sleep is what there is to find.
small="--set data.train_samples=512 --set data.test_samples=64 --set train.batch=32 --set model.layers.0.units=16"

# finds PHASE MS: so does the report in the folder PHASE.
finds() {
    expect 0 "$tools/scale_check" cause "$1" "$1" 0 "$2"
    cat out
    grep -q "$1" "$1/report.html" || fail "the page does not name $1"
}

# Nearly all of a step is serial.
while read -r phase ms; do
    DDPT_FAILPOINT="rank-0:$phase:1:pause=$ms"
    export DDPT_FAILPOINT
    expect 0 "$ddpt" scale "$examples/digits.cfg" $small --workers 1,2,3 --oversubscribe --steps 40 --repeats 2 --out "$phase"
    unset DDPT_FAILPOINT
    finds "$phase" "$ms"
done <<END
forward 5
update 4
END

# A tenth of it: in backward every rank sleeps for its share of 40 ms.
cat >sleeper.sh <<'END'
size=${PMI_SIZE:-${OMPI_COMM_WORLD_SIZE:-1}}
rank=${PMI_RANK:-${OMPI_COMM_WORLD_RANK:-0}}
DDPT_FAILPOINT="rank-$rank:backward:1:pause=$(awk "BEGIN { print 40 / $size }"),rank-0:data:1:pause=5"
export DDPT_FAILPOINT
exec "$@"
END
expect 0 "$ddpt" scale "$examples/digits.cfg" $small --workers 1,2,4 --oversubscribe --steps 20 --repeats 2 --out data \
    --launcher "$mpiexec -n {n} sh sleeper.sh"
finds data 5
finish
