#!/bin/sh
# Whole runs on a GPU against the same runs on the host. Arguments: those of train_test.sh, then the plug-in: the emulator's, or
# that of a machine with one GPU. Where it was not built this says so and exits with 77.
. "$(dirname "$0")/gpu_test.sh"
plugin=$4
case $plugin in *emulated*) emulated=1 ;; *) emulated= ;; esac
if [ ! -e "$plugin" ]; then
    echo "$plugin was not built"
    exit 77
fi
DDPT_GPU_PLUGIN=$plugin
export DDPT_GPU_PLUGIN

for model in dense conv; do
    train_into "$model-cpu" 1 $cpu "$model.cfg"
    train_into "$model-gpu" 1 $gpu --set train.log_every=40 "$model.cfg"
    near "$model-cpu" "$model-gpu" 1e-3
    field_is "$model-gpu" steps 200
    comm_is "$model-gpu" local
    [ -z "$emulated" ] || field_is "$model-gpu" gpu 'emulated GPU'
done
near_number() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(d < 1e-3 && d > -1e-3) }'; }
near_number "$(field conv-cpu train_loss)" "$(field conv-gpu train_loss)" || fail 'the mean loss of the epoch is another'
near_number "$(field conv-cpu test_loss)" "$(field conv-gpu test_loss)" || fail 'the test loss is another'

# The emulator's tensor cores are slow; what comes now is not about products.
[ -z "$emulated" ] || export DDPT_GPU_OWN=0

# Ranks that share the GPU: only where they may, through host memory, with the losses of one.
expect 5 "$mpiexec" -n 2 "$ddpt" train $gpu --out shared conv.cfg
err_has '^error: ranks 0 and 1 of .* would share the GPU .*--share-gpus'
short="--set train.max_steps=40 --set train.log_every=1 --share-gpus"
for ranks in 2 3; do
    train_into "conv-$ranks" $ranks $gpu $short conv.cfg
    comm_is "conv-$ranks" staged
    tr -d ' \n' <"conv-$ranks/run.json" | grep -q "\"gpu_of_ranks\":\[{\"ranks\":\[0,$((ranks - 1))\]," || fail "conv-$ranks: not the GPU of each rank"
    near conv-cpu "conv-$ranks" 1e-4
done
DDPT_GPU_GRAPHS=0 train_into pieces 1 $gpu --set train.max_steps=40 dense.cfg
grep -q '"DDPT_GPU_GRAPHS": "0"' pieces/run.json || fail 'the record does not say that there were no graphs'
field_is pieces param_digest "$(train_into graphs 1 $gpu --set train.max_steps=40 dense.cfg; field graphs param_digest)"
train_into sharded 2 $gpu $short --set train.sync=sharded --set train.log_every=3 dense.cfg
near dense-cpu sharded 1e-4
train_into forced 1 $gpu $short --set train.comm=staged dense.cfg
near dense-cpu forced 1e-3
expect 2 "$ddpt" train $gpu --set train.comm=shm --out wrong dense.cfg
err_has '^error: comm = "shm" reduces in host memory'
expect 2 "$ddpt" train $cpu --set train.comm=staged --out wrong dense.cfg

# device = "auto": a GPU a rank, else the cpu for all.
train_into auto 1 --set train.max_steps=20 dense.cfg
field_is auto gpus 1
train_into auto-cpu 2 --set train.max_steps=20 dense.cfg
field_is auto-cpu gpus 0
err_has 'more ranks than GPUs'

train_into bf16 1 $gpu --set train.precision=bf16 --set train.log_every=20 --set train.max_steps=100 dense.cfg
awk -v loss="$(field bf16 train_loss)" 'BEGIN { exit !(loss < 1.8) }' || fail "bf16 trains from 2.3 to $(field bf16 train_loss) only"
train_into tf32 1 $gpu --set train.precision=tf32 --set train.max_steps=10 --set train.log_every=2 dense.cfg
near dense-cpu tf32 0.01

# A checkpoint of either goes on on the other, here in the middle of an epoch.
for way in cpu:gpu gpu:cpu; do
    from=${way%:*} to=${way#*:}
    train_into "$way" 1 --set "train.device=$from" --set train.max_steps=35 conv.cfg
    train_into "$way" 1 --set "train.device=$to" --set train.max_steps=60 --resume conv.cfg
    near conv-cpu "$way" 1e-3
    [ "$(tail -n 1 "$way/steps.csv" | cut -d, -f1)" = 60 ] || fail "$way: the last line is not of the last step"
done
expect 0 "$ddpt" eval --set train.device=gpu conv.cfg --ckpt conv-cpu
expect 5 "$mpiexec" -n 2 "$ddpt" eval --set train.device=gpu conv.cfg --ckpt conv-cpu
expect 0 "$mpiexec" -n 2 "$ddpt" eval --share-gpus --set train.device=gpu conv.cfg --ckpt conv-cpu
expect 0 "$mpiexec" -n 2 "$ddpt" bench step --share-gpus --steps 10 $gpu conv.cfg
out_has "(staged, allreduce), 1 GPU ($(field conv-gpu gpu)), fp32, "
out_has '^step, ms  *min [0-9.]*  mean [0-9.]* (means of 1 block of steps, too few for percentiles)$'

# How far it scales: steps are timed in blocks, and so is the collective, on the device.
expect 0 "$ddpt" scale --share-gpus $gpu --workers 1,2 --oversubscribe --repeats 1 --steps 40 --out scaled dense.cfg
grep -q '"allreduce": \[{"bytes"' scaled/scaling.json || fail 'no collective was timed on the GPU'

# A rank that stands still in the middle of a step, or is killed, ends the run within the bound.
expect 6 env DDPT_FAILPOINT=rank-1:data:30:pause=60000 "$mpiexec" -n 3 "$ddpt" train $gpu --share-gpus --no-coordinator \
    --set train.stall_timeout=2 --out stalled dense.cfg
err_has 'waited 2.0 s for the other ranks\|rank 1 did not arrive'
began=$(date +%s)
DDPT_FAILPOINT=rank-1:data:30 "$mpiexec" -n 3 "$ddpt" train $gpu --share-gpus --out killed dense.cfg >out 2>err &&
    fail 'a run that lost a rank ends well'
[ $(($(date +%s) - began)) -lt 20 ] || fail 'the end of a run that lost a rank took 20 s'

# A GPU that fails in the middle is a lost rank, named by that rank and no other, whichever it is, and rank 0 writes so into
# the record: it hears of it from the coordinator or from that rank. Only the emulator's fails when it is told to.
[ -n "$emulated" ] || finish
is_lost() {
    err_has "^\[$1\] error: rank $1 is lost, .* its GPU (emulated GPU, .*) has failed: .*an illegal memory access"
    [ "$(grep -c 'error:' err)" -eq 1 ] || fail 'more than one error'
    field_is fallen status failed
    grep -q "\"reason\": \"rank $1 is lost, .* its GPU .* has failed: .*an illegal memory access" fallen/run.json ||
        fail 'the record does not say why'
}
fallen="$ddpt train $gpu --share-gpus --out fallen dense.cfg"
faulty="env DDPT_EMULATED_FAULT=100 $fallen"
alone="--no-coordinator --set train.stall_timeout=0"
expect 6 "$mpiexec" -n 1 $faulty : -n 1 $fallen
is_lost 0
rm -rf fallen
expect 6 "$mpiexec" -n 1 $fallen : -n 1 $faulty
is_lost 1
rm -rf fallen
expect 6 "$mpiexec" -n 1 $fallen $alone : -n 1 $faulty $alone : -n 1 $fallen $alone
is_lost 1
# Under ddpt launch it is the one that is named.
cat >faulty-mpiexec <<END
#!/bin/sh
shift 2
exec "$mpiexec" -n 1 "\$@" : -n 1 env DDPT_EMULATED_FAULT=100 "\$@"
END
chmod +x faulty-mpiexec
expect 6 env DDPT_MPIEXEC="$work/faulty-mpiexec" "$ddpt" launch -n 2 train $gpu --share-gpus --out launched dense.cfg
err_has '^error: worker 1 (pid [0-9]*): rank 1 is lost, .* its GPU .* has failed'
field_is launched status failed
expect 6 env DDPT_EMULATED_FAULT=2 "$ddpt" eval $gpu conv.cfg --ckpt conv-cpu
err_has '^error: rank 0 is lost, .* has failed'
finish
