#!/bin/sh
# test_install.sh BUILD-FOLDER PROGRAM.c: installs to a temporary prefix, then builds and runs a program with nothing but
# what pkg-config says about ddpt. Environment: CC, CFLAGS, CMAKE.
set -eu
build=$1 program=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
prefix=$folder/prefix

fail()
{
    printf 'test_install: %s\n' "$*" >&2
    exit 1
}

"$CMAKE" --install "$build" --prefix "$prefix" >"$folder/log" 2>&1 || { cat "$folder/log"; fail "cmake --install failed"; }

"$prefix/bin/ddpt" --version | grep -q '^ddpt [0-9]' || fail "the installed ddpt does not say its version"
[ -f "$prefix/share/ddpt/examples/digits.cfg" ] || fail "examples/digits.cfg was not installed"
headers=$(ls "$prefix/include")
[ "$headers" = ddpt.h ] || fail "expected ddpt.h alone in include, found: $headers"

pc=$(find "$prefix" -name ddpt.pc)
[ -n "$pc" ] || fail "ddpt.pc was not installed"
export PKG_CONFIG_PATH="${pc%/*}"
libdir=$(pkg-config --variable=libdir ddpt)

# ASan adds a symbol of its own for each that is visible.
exported=$(nm -D --defined-only "$libdir/libddpt.so" | awk '{ print $3 }' | grep -v '^__odr_asan' | sed 's/@.*//' | sort | tr '\n' ' ')
expected='ddpt_error ddpt_run_close ddpt_run_open ddpt_run_resume ddpt_run_train ddpt_version '
[ "$exported" = "$expected" ] || fail "libddpt.so exports: $exported; expected: $expected"

# The old standard and -Werror show what the header asks of other people's programs.
# shellcheck disable=SC2046,SC2086 # flags
$CC -std=c99 -Wall -Wextra -Wpedantic -Werror ${CFLAGS:-} $(pkg-config --cflags ddpt) -o "$folder/embed" "$program" \
    $(pkg-config --libs ddpt) || fail "a program does not build with: $(pkg-config --cflags --libs ddpt)"
export LD_LIBRARY_PATH="$libdir"
digits=$prefix/share/ddpt/examples/digits.cfg
whole=$("$folder/embed" "$digits" "$folder/run") || fail "the embedding program failed with $?"
# Three steps, and on from there: the same network.
"$folder/embed" "$digits" "$folder/part" train.max_steps=3 >/dev/null 2>&1 || [ $? -eq 98 ] || fail "the first part failed"
part=$("$folder/embed" "$digits" "$folder/rest" train.seed=1 "$folder/part") || fail "the resumed program failed with $?"
[ "${whole##* }" = "${part##* }" ] || fail "resumed: $part, at once: $whole"
status=0
"$folder/embed" "$digits" "$folder/none" train.seed=1 "$folder/nowhere" 2>"$folder/message" || status=$?
[ $status -eq 4 ] || fail "a checkpoint that is not there: status $status, not 4"
[ -s "$folder/run/run.json" ] || fail "the run left no run.json"
[ -s "$folder/run/steps.csv" ] || fail "the run left no steps.csv"

status=0
"$folder/embed" "$digits" "$folder/wrong" train.batches=5 2>"$folder/message" || status=$?
[ "$status" -eq 2 ] || fail "an unknown key: expected DDPT_USAGE, 2, got $status"
grep -q 'train\.batch' "$folder/message" || fail "an unknown key: not named in: $(cat "$folder/message")"
[ ! -e "$folder/wrong" ] || fail "an unknown key: the run's folder was made all the same"
