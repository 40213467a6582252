# command_test.sh: what the tests of commands share. Sourced with the arguments DDPT EXAMPLES [MPIEXEC]: the program,
# the folder of example configs, the launcher.
set -u
ddpt=$1
examples=$2
mpiexec=${3:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/ddpt-commands-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
# A run under a launcher is not what is tested, unless a test starts one.
unset PMI_SIZE PMI_RANK PMIX_RANK OMPI_COMM_WORLD_SIZE OMPI_COMM_WORLD_RANK SLURM_PROCID SLURM_STEP_NUM_TASKS DDPT_LOG
failures=0

fail() {
    failures=$((failures + 1))
    echo "FAILED: $what: $*"
    sed 's/^/  stdout: /' "$work/out"
    sed 's/^/  stderr: /' "$work/err"
}

# expect STATUS COMMAND...: runs it; its output is looked at by the functions below.
expect() {
    wanted=$1
    shift
    what=$*
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    [ "$got" -eq "$wanted" ] || fail "status $got, not $wanted"
}

out_has() {
    grep -q -e "$1" "$work/out" || fail "'$1' is not on stdout"
}

err_has() {
    grep -q -e "$1" "$work/err" || fail "'$1' is not on stderr"
}

out_lacks() {
    if grep -q -e "$1" "$work/out"; then fail "'$1' is on stdout"; fi
}

# An error is one line on stderr and nothing on stdout.
is_one_error() {
    [ ! -s "$work/out" ] || fail "stdout is not empty"
    [ "$(grep -c . "$work/err")" -eq 1 ] || fail "stderr is not one line"
    err_has "^error: "
}

finish() {
    [ "$failures" -eq 0 ] || { echo "$failures failures"; exit 1; }
    echo "all passed"
    exit 0
}
