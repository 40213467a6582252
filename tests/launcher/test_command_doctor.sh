#!/bin/sh
# ddpt doctor: it answers on any machine; what it concludes is test_doctor_findings.
. "$(dirname "$0")/command_test.sh"

expect 0 "$ddpt" doctor
out_has '^  ddpt  *[0-9]'
out_has '^  MPI  *[A-Z]'
out_has '^  GEMM 1024^3  *[0-9.]* GFLOP/s'
out_has '^  memory  *[0-9.]* GB/s'
out_has '^     0  '
grep -q -e '^  none  *.*GPU' -e '^  back end  *[A-Z]' out || fail 'nothing about GPUs'
grep -q -e '^nothing wrong found$' -e '^what is wrong$' out || fail 'no conclusion'

mkdir -p found/mnist
expect 0 env DDPT_DATA="$work/found" "$ddpt" doctor --json
out_has '"schema": "ddpt.doctor.v1"'
out_has '"can_train": true'
out_has '"gpus": \['
out_has '"sets": "mnist"'
expect 0 env DDPT_DATA="$work/nowhere" "$ddpt" doctor
out_has 'nowhere: no such folder'
out_has 'nowhere is not a folder'

# Switches: a wrong one is a finding; bf16 is emulated where that is asked for, which is said once.
expect 0 env DDPT_GPU_OWN=no DDPT_HOST_BF16=emulate "$ddpt" doctor
out_has '^  - DDPT_GPU_OWN is "no"; it may be "0", "1", or not be set'
[ "$(grep -c 'bf16 is emulated' err)" -eq 1 ] || fail 'not said once that bf16 is emulated'

# GPUs of a back end that is made for this.
DDPT_GPU_PLUGIN=$4/some_gpus.so
export DDPT_GPU_PLUGIN
expect 0 env DDPT_TEST_GPUS=3 "$ddpt" doctor
out_has '^  0  *GPU of a test, 16.0 GiB (12.0 free), 7 multiprocessors, architecture 9.0, bus ffff:00:00.0; linked to 1$'
out_has '^  2  *GPU of a test, .*, bus ffff:02:00.0$'
out_has '^  back end  *CUDA 13.0, driver for up to 13.1, cuBLASLt 13.1$'
out_has '^  NCCL  *2.28.9$'
expect 0 env DDPT_TEST_GPUS=2 DDPT_TEST_NO_NCCL=1 "$ddpt" doctor
out_has '^  NCCL  *none: NCCL is not there: install it$'
out_has '^  - without NCCL gradients travel .*: install it$'
expect 0 env DDPT_TEST_GPUS=2 "$ddpt" doctor --json
for field in '"backend": "CUDA"' '"missing": null' '"name": "GPU of a test"' '"memory_bytes": 17179869184' \
    '"memory_free_bytes": 12884901888' '"processors": 7' '"architecture": "9.0"' '"driver": "13.1"' '"runtime": "13.0"' \
    '"bus": "ffff:01:00.0"' '"libraries": "cuBLASLt 13.1"' \
    '"nccl": "2.28.9"' '"nccl_missing": null'; do
    out_has "$field"
done
expect 0 "$ddpt" doctor --json
out_has '"missing": "no GPU can be used: this one is for tests"'
unset DDPT_GPU_PLUGIN

# A launcher that belongs to another MPI starts copies that are all rank 0 of 1.
expect 1 env OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=0 "$ddpt" doctor
out_has '^  - MPI cannot be used: .* 4 processes'
err_has '^error: '
expect 1 env OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=0 "$ddpt" doctor --json
out_has '"can_train": false'
expect 1 env OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=1 "$ddpt" doctor
[ ! -s out ] && [ ! -s err ] || fail 'more than one copy speaks'

# Help and summary need no MPI at all.
expect 0 env OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=0 "$ddpt" help
expect 0 env OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=0 "$ddpt" summary "$examples/digits.cfg"

expect 2 "$ddpt" doctor extra
is_one_error
finish
