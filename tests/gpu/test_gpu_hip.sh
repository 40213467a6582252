#!/bin/sh
# test_gpu_hip.sh SOURCE MPI_COMPILER: the GPU back end compiles and links for AMD. Without hipcc this says so and exits with 77.
set -eu
if ! command -v hipcc >/dev/null; then
    echo 'skipped: there is no hipcc'
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake -S "$1" -B "$work" -DDDPT_GPU=hip -DDDPT_TESTS=OFF -DCMAKE_BUILD_TYPE=Debug -DMPI_C_COMPILER="$2" >"$work/log" 2>&1 &&
    cmake --build "$work" --target ddpt_gpu --parallel 2 >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
[ -s "$work/libddpt_gpu.so" ] || { echo 'there is no libddpt_gpu.so'; exit 1; }
echo 'compiled and linked'
