#!/bin/sh
# The commands on several ranks: one of them speaks, all end alike.
. "$(dirname "$0")/command_test.sh"

once() {
    n=$(grep -c -e "$1" "$work/out")
    [ "$n" -eq 1 ] || fail "'$1' is on stdout $n times"
}

expect 0 "$mpiexec" -n 3 "$ddpt" summary "$examples/digits.cfg"
once '^total'
expect 0 "$mpiexec" -n 3 "$ddpt" doctor
once '^  ddpt '
out_has 'started by .*: 3 ranks'
out_has '^     2  '
expect 0 "$mpiexec" -n 2 "$ddpt" bench gemm --m 16 --n 16 --k 16
once '^  *16  *16  *16 '
for comm in auto shm mpi; do
    expect 0 "$mpiexec" -n 3 "$ddpt" bench allreduce --comm "$comm" --sizes 4,100K,1M
    once '^ *100 KiB |'
done
small="--set data.train_samples=256 --set data.test_samples=64"
for sync in allreduce sharded; do
    expect 0 "$mpiexec" -n 3 "$ddpt" bench step --steps 10 --json $small --set "train.sync=$sync" "$examples/digits.cfg"
    once '"samples_per_second"'
    out_has "\"sync\": \"$sync\""
    out_has '"world_size": 3'
done

# An MPI's own words about the end of a job may stand beside our one line.
expect 2 "$mpiexec" -n 3 "$ddpt" bench allreduce --comm local
[ "$(grep -c '^error: ' err)" -eq 1 ] || fail 'not one error'
expect 2 "$mpiexec" -n 3 "$ddpt" bench step --set train.batch=2 $small "$examples/digits.cfg"
[ "$(grep -c '^error: ' err)" -eq 1 ] || fail 'not one error'
err_has 'train.batch = 2'
expect 2 "$mpiexec" -n 3 "$ddpt" nothing
[ "$(grep -c '^error: ' err)" -eq 1 ] || fail 'not one error'

# A rank that fails by itself is the one that speaks, and no other waits for it, in its trial or for the end of that.
lost='^\[1\] error: .*rank 1 is lost, and with it the job: no batch for step '
short="$small --set train.stall_timeout=0 $examples/digits.cfg"
for command in "bench step --steps 40" "scale --workers 2 --repeats 1 --steps 40 --out scaled"; do
    expect 6 env DDPT_FAILPOINT=rank-1:data:20:fail "$mpiexec" -n 3 "$ddpt" $command $short
    err_has "$lost"
    [ "$(grep -c 'error:' err)" -eq 1 ] || fail 'not one error'
done
finish
