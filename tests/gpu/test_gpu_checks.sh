#!/bin/sh
# run.sh itself: what passes, fails, is skipped and refused shows in its table and status. Arguments: the build folder, MPIEXEC. The
# emulator plays the GPU; without it this says so and exits with 77.
set -u
build=$1
cd "$(dirname "$0")/../.." || exit 1
run='sh tests/gpu/run.sh' # as README calls it
work=$(mktemp -d "${TMPDIR:-/tmp}/ddpt-checks-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
export DDPT_MPIEXEC="$2" DDPT_GPU_PLUGIN="$build/tests/libddpt_gpu_emulated.so" DDPT_BUILD="$build"
export DDPT_GPU_OWN=0 # the emulator's tensor cores are slow, and this is about run.sh
[ -e "$DDPT_GPU_PLUGIN" ] || { echo "$DDPT_GPU_PLUGIN was not built"; exit 77; }
failures=0

# expect STATUS COMMAND...
expect()
{
    wanted=$1
    shift
    "$@" >"$work/log" 2>&1
    got=$?
    [ $got -eq "$wanted" ] || { failures=$((failures + 1)); echo "FAILED: $*: status $got, not $wanted"; cat "$work/log"; }
}

has_row()
{
    grep -q -e "$1" "$work/out/rows" || { failures=$((failures + 1)); echo "FAILED: no row $1"; cat "$work/out/rows"; }
}

# program NAME STATUS ERROR: a test that ends so, and says that its largest error in every precision is ERROR.
program()
{
    {
        echo '#!/bin/sh'
        for precision in fp32 tf32 bf16; do echo "echo 'largest error in $precision: $3'"; done
        echo "exit $2"
    } >"$work/build/tests/test_gpu_$1"
    chmod +x "$work/build/tests/test_gpu_$1"
}

expect 0 $run -o "$work/out" train ranks sanitizer speed
has_row '^dense: losses of GPU and host, .*|pass$'
has_row '^4 ranks on one GPU, .*|pass$'
has_row '^speed|.*|skipped$'

mkdir -p "$work/build/tests"
ln -s "$build/ddpt" "$build/CMakeCache.txt" "$work/build"
DDPT_BUILD=$work/build
program good 0 3e-7
program better 0 1e-7
expect 0 $run -o "$work/out" ops
has_row '^ops: good|.*|pass$'
has_row '^ops: largest error in bf16|3e-7|.*|pass$'
program bad 3 3e-7
expect 1 $run -o "$work/out" ops
has_row '^ops: bad|status 3|.*|fail$'
has_row '^ops: good|.*|pass$'
program bad 0 1.1e-2
expect 1 $run -o "$work/out" ops
has_row '^ops: largest error in fp32|1.1e-2|.*|fail$'
has_row '^ops: largest error in bf16|1.1e-2|.*|pass$'
rm "$work"/build/tests/*
expect 1 $run -o "$work/out" ops

expect 2 $run -o "$work/out" opps
DDPT_GPU_PLUGIN=$work/nothing.so
expect 1 $run -o "$work/out" ops
has_row '^the GPU can be used|.*|fail$'

[ $failures -eq 0 ] || { echo "$failures failures"; exit 1; }
echo "all passed"
