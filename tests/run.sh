#!/bin/sh
# run.sh: sets up as examples/quickstart.sh does (and installs what tests need), builds, runs the tests. Its last line is ctest's
# count. An empty selection is a failure.
#
#     sh tests/run.sh                 everything, release build
#     sh tests/run.sh -L unit         only tests with this label; all arguments but the first go to ctest
#     sh tests/run.sh --asan -L ops   AddressSanitizer and UBSan
#
# Real data is looked up in $DDPT_DATA; tests that need it are skipped where it is absent. examples/setup.sh names the
# other environment variables.
set -eu
cd "$(dirname -- "$0")/.."
root=$(pwd -P)
cd "$root"
# shellcheck source=examples/setup.sh
. "$root/examples/setup.sh"

preset=release build=build
case ${1:-} in
--asan) preset=asan build=build-asan; shift ;;
--debug) preset=debug build=build-debug; shift ;;
esac

setup_begin "ddpt tests in $root"
setup_wishes=$setup_wishes$setup_test_wishes
setup_install "$setup_needs$setup_test_needs"
setup_mpi
setup_build "$preset" "$build" -DDDPT_TESTS=ON

setup_say "testing: ctest --preset $preset $*"
status=0
ctest --preset "$preset" --parallel "$(($(setup_cores) + 4))" --no-tests=error --no-label-summary \
    --output-log "$build/tests.log" "$@" </dev/null || status=$?
# The count again, since ctest goes on with lists of what failed and what was skipped.
grep '% tests passed' "$build/tests.log" || setup_say "no tests ran"
exit "$status"
