#!/bin/sh
# ddpt bench without mpirun: that it runs and what it refuses. How fast is no test's business.
. "$(dirname "$0")/command_test.sh"
tools=$4

expect 0 "$ddpt" bench gemm --m 32 --n 48 --k 64
out_has '^  *32  *48  *64  *[0-9]'
expect 0 "$ddpt" bench gemm --m 32 --n 48 --k 64 --threads 2 --json
out_has '"schema": "ddpt.bench.gemm.v1"'
out_has '"threads": 2'
out_has '"openblas": [0-9]'
export DDPT_HOST_BF16=emulate
expect 0 "$ddpt" bench gemm --m 32 --n 48 --k 64
out_has '^  *M  *N  *K  *openblas  *onednn  *bf16$'
out_has '^  *32  *48  *64  .* [0-9.]*$'
expect 0 "$ddpt" bench gemm --m 32 --n 48 --k 64 --json
out_has '"gflops_bf16": [0-9]'
unset DDPT_HOST_BF16

emulated=$tools/libddpt_gpu_emulated.so
if [ -e "$emulated" ]; then
    expect 0 env DDPT_GPU_PLUGIN="$emulated" "$ddpt" bench gemm --device gpu --precision bf16 --m 32 --n 48 --k 64 --json
    out_has '"gpu": "emulated GPU"'
    out_has '"gpu": [0-9]'
    out_has '"precision": "bf16"'
    expect 0 env DDPT_GPU_PLUGIN="$emulated" "$ddpt" bench memory --device gpu
    out_has '^copy: [0-9.]* GB/s'
fi
expect 5 env DDPT_GPU_PLUGIN="$work/missing.so" "$ddpt" bench memory --device gpu
is_one_error
expect 0 "$ddpt" bench memory --json
out_has '"schema": "ddpt.bench.memory.v1"'
out_has '"how": "triad"'

expect 0 "$ddpt" bench allreduce --sizes 4,6K,1M
out_has 'comm local'
out_has '^ *4 B |'
out_has '^ *6 KiB |'
out_has '^ *1 MiB |'
expect 0 "$ddpt" bench allreduce --sizes 64 --json
out_has '"schema": "ddpt.bench.allreduce.v1"'
out_has '"nbytes": 64'
out_has '"bus_gbytes_per_second": 0.0' # nothing moves with one rank

small="--set data.train_samples=256 --set data.test_samples=64"
expect 0 "$ddpt" bench step --steps 20 $small "$examples/digits.cfg"
out_has '^digits: 101770 parameters, batch 128, 18 steps'
out_has '^samples/s  *[0-9]'
out_has '^phases, ms  data .* forward .* backward .* reduce .* update .* other '
out_has 'of the [0-9.]* that GEMM reaches'
[ -z "$(ls -d runs 2>/dev/null)" ] || fail 'made a run folder'
expect 0 "$ddpt" bench step --steps 4 --json $small --set train.threads=1 "$examples/digits.cfg"
out_has '"schema": "ddpt.bench.step.v1"'
out_has '"samples_per_second": [0-9]'
out_has '"mfu": [0-9]'
out_has '"threads_per_rank": 1'

expect 2 "$ddpt" bench
is_one_error
expect 2 "$ddpt" bench nothing
is_one_error
err_has "'nothing'"
expect 2 "$ddpt" bench gemm --m 3
is_one_error
expect 2 "$ddpt" bench gemm --precision bf16
err_has '^error: .*--precision bf16 needs --device gpu'
expect 2 "$ddpt" bench gemm --precision fp64
expect 2 "$ddpt" bench memory --device tpu
expect 2 "$ddpt" bench gemm 3
is_one_error
for size in 0 3 6 x 4, ,4 4Q 2G -4 99999999999999999999 ''; do
    expect 2 "$ddpt" bench allreduce --sizes "$size"
    is_one_error
done
expect 2 "$ddpt" bench allreduce --comm nccl
is_one_error
expect 2 "$ddpt" bench step
is_one_error
expect 2 "$ddpt" bench step --steps 1 "$examples/digits.cfg"
is_one_error
expect 2 "$ddpt" bench step missing.cfg
is_one_error
expect 5 "$ddpt" bench step --set train.device=gpu $small "$examples/digits.cfg"
is_one_error
# A rate that no network survives.
expect 7 "$ddpt" bench step --steps 50 --set train.optimizer.lr=1e6 $small "$examples/digits.cfg"
is_one_error
finish
