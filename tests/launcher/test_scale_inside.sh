#!/bin/sh
# ddpt scale inside an MPI job: its ranks take turns.
. "$(dirname "$0")/command_test.sh"
tools=$4
small="--set data.train_samples=512 --set data.test_samples=64"

facts() {
    expect 0 "$tools/scale_check" facts "$1"
    [ -s "$1/report.html" ] || fail "$1 has no report.html"
}

count_is() {
    n=$(grep -c -e "$2" "$work/$3")
    [ "$n" -eq "$1" ] || fail "'$2' is in $3 $n times, not $1"
}

expect 0 "$mpiexec" -n 3 "$ddpt" scale "$examples/digits.cfg" $small --steps 20 --repeats 2 --out strong
count_is 1 '^report: strong/report.html$' err
count_is 6 ' workers*, trial [12] of 2: ' err
facts strong
for n in 1 2 3; do
    count_is 2 "^$n workers, repeat [01]: batch 128, [0-9]* threads, 20 steps\$" out
done

# Over MPI, as between nodes; weak; ranks that never work.
expect 0 "$mpiexec" -n 4 "$ddpt" scale "$examples/digits.cfg" $small --steps 20 --repeats 1 --out weak --weak --workers 3,1 --set train.comm=mpi --json
mv out json
cmp json weak/scaling.json || fail 'stdout is not scaling.json'
facts weak
out_has '^digits weak,'
count_is 1 '^1 workers, repeat 0: batch 128,' out
count_is 1 '^3 workers, repeat 0: batch 384,' out

expect 0 "$mpiexec" -n 1 "$ddpt" scale "$examples/digits.cfg" $small --steps 20 --repeats 1 --out one
facts one

# An MPI's own words about the end of a job may stand beside our one line.
failed() {
    wanted=$1
    shift
    expect "$wanted" "$mpiexec" -n 3 "$ddpt" scale "$examples/digits.cfg" $small --steps 20 --repeats 1 "$@"
    count_is 1 '^error: ' err
    [ -z "$(ls -A runs 2>/dev/null)" ] || fail "runs holds $(ls -A runs)"
}
failed 2 --workers 4
err_has 'names 4, but this MPI job has 3 ranks'
failed 2 --launcher 'srun -n {n}'
failed 2 --set train.batch=2
err_has 'train.batch = 2 .* 3 workers'
failed 2 --set no.such.key=1
failed 2 --weak --set train.batch=200
err_has '3 workers: .*train.batch = 600 is more than the 512 training samples'
failed 7 --workers 2 --set train.optimizer.lr=1e6
err_has '2 workers: the loss is not finite'
failed 2 --trials-only trial.json --workers 2
err_has 'started 3 ranks where --workers says 2'
finish
