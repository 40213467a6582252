# fuzz.sh: what the fuzzing scripts share; each sets the following and reads this file with its own arguments.
#
#     root       of the project
#     here       its folder, with TARGET.c and TARGET.corpus
#     target     the name
#     proto      the definition of the messages, from the root of the project
#     folders    of headers, from there
#     sources    from there, beside TARGET.c and what protoc-c makes
#     packages   for pkg-config
#     seconds    where DDPT_FUZZ_SECONDS does not say
#
# Starts from TARGET.corpus, one input a line in base64. With --update what was found on the way is added to it, as far as it
# reaches code that nothing else reaches. A finding ends the run with status 1 and is printed in base64. Where clang (or
# $CLANG) lacks libFuzzer this says so and exits with 77.
# shellcheck shell=sh disable=SC2154
corpus=$here/$target.corpus
clang=${CLANG:-clang}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

flags="-g -O1 -std=c17 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all"
echo 'int LLVMFuzzerTestOneInput(const char *d, long n); int LLVMFuzzerTestOneInput(const char *d, long n) { return d && n < 0; }' \
    >"$work/probe.c"
# shellcheck disable=SC2086
if ! command -v protoc-c >/dev/null || ! "$clang" $flags "$work/probe.c" -o "$work/probe" 2>/dev/null; then
    echo "skipped: $clang has no libFuzzer, or protoc-c is missing"
    exit 77
fi

# shellcheck disable=SC2046,SC2086
(
    cd "$root"
    protoc-c --c_out="$work" -I"$(dirname -- "$proto")" "$proto"
    "$clang" $flags -I"$work" $(printf -- '-I%s ' $folders) "$here/$target.c" "$work/$(basename -- "$proto" .proto).pb-c.c" \
        $sources $(pkg-config --cflags --libs $packages) -lm -o "$work/fuzz"
)

mkdir "$work/corpus" "$work/smallest"
number=0
while read -r line; do
    number=$((number + 1))
    echo "$line" | base64 -d >"$work/corpus/$number"
done <"$corpus"
echo "$number inputs to start from"

status=0
"$work/fuzz" "$work/corpus" -max_total_time="${DDPT_FUZZ_SECONDS:-$seconds}" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$work/" >"$work/log" 2>&1 || status=$?
if [ "$status" -ne 0 ]; then
    grep -v '^#' "$work/log"
    exit 1
fi
grep -e 'DONE' -e '^Done' -e '^stat::' "$work/log"

[ "${1:-}" = --update ] || exit 0
"$work/fuzz" -merge=1 "$work/smallest" "$work/corpus" >"$work/log" 2>&1
for input in "$work/smallest"/*; do
    base64 -w0 "$input"
    echo
done | sort >"$corpus"
wc -l "$corpus"
