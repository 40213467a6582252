#!/bin/sh
# quickstart.sh: from a fresh checkout to a trained network: installs what is missing (Debian and Ubuntu; elsewhere it names
# the packages), builds, and trains examples/digits.cfg on a few MPI ranks. May be run again at any time.
#
#     sh examples/quickstart.sh
#
# setup.sh, beside this file, says which environment variables it reads.
set -eu
cd "$(dirname -- "$0")/.."
root=$(pwd -P)
cd "$root"
# shellcheck source=examples/setup.sh
. "$root/examples/setup.sh"

setup_begin "ddpt quickstart in $root"
setup_install "$setup_needs"
setup_mpi
setup_build release build -DDDPT_TESTS=OFF

ranks=$(setup_cores)
[ "$ranks" -ge 2 ] || ranks=2
[ "$ranks" -le 4 ] || ranks=4
out=runs/quickstart-$(date +%Y%m%d-%H%M%S)
mpirun=$(setup_mpi_command)

setup_say "training: $mpirun -n $ranks build/ddpt train examples/digits.cfg --out $out"
# shellcheck disable=SC2086 # the launcher and its options
$mpirun -n "$ranks" build/ddpt train examples/digits.cfg --out "$out" </dev/null ||
    setup_stop "training failed (above)"

cat <<END || :

It works. In $root there are now
    build/ddpt                                    the program
    $out/run.json      the record of this run: configuration, result, speed, machine
    $out/steps.csv     loss, learning rate and time of every step
    $out/ckpt          the trained network, as a checkpoint

To try next:
    $mpirun -n 2 build/ddpt train examples/digits.cfg --set train.epochs=10 --set train.batch=256
    sh examples/get-data.sh mnist && $mpirun -n $ranks build/ddpt train examples/mnist.cfg
    build/ddpt eval examples/digits.cfg --ckpt $out
    $mpirun -n 2 build/ddpt train examples/digits.cfg --set train.epochs=6 --out $out --resume
    build/ddpt summary examples/mnist-cnn.cfg       layers, shapes, parameters, memory
    build/ddpt train --help-config                  every key of a configuration
    build/ddpt doctor                               what ddpt found on this machine
    sh tests/run.sh                                 the tests
END
