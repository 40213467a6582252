#!/bin/sh
# ddpt doctor: it answers on any machine; what it concludes is test_doctor_findings.
. "$(dirname "$0")/command_test.sh"

expect 0 "$ddpt" doctor
out_has '^  ddpt  *[0-9]'
out_has '^  MPI  *[A-Z]'
out_has '^  GEMM 1024^3  *[0-9.]* GFLOP/s'
out_has '^  memory  *[0-9.]* GB/s'
out_has '^     0  '
grep -q -e '^nothing wrong found$' -e '^what is wrong$' out || fail 'no conclusion'

mkdir -p found/mnist
expect 0 env DDPT_DATA="$work/found" "$ddpt" doctor --json
out_has '"schema": "ddpt.doctor.v1"'
out_has '"can_train": true'
out_has '"sets": "mnist"'
expect 0 env DDPT_DATA="$work/nowhere" "$ddpt" doctor
out_has 'nowhere: no such folder'
out_has 'nowhere is not a folder'

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
