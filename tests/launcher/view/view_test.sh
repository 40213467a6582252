# view_test.sh: what the tests of the views share. Sourced with the argument SERVE, the program view_serve.
set -u
serve=$(realpath "$1")
export LC_ALL=C.UTF-8
unset TMUX NO_COLOR COLUMNS LINES http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
work=$(mktemp -d "${TMPDIR:-/tmp}/ddpt-view-XXXXXX") || exit 1
page_pid=
failures=0

# stop_page: the page's program ends with its stdin.
stop_page() {
    [ -n "$page_pid" ] || return 0
    exec 9>&-
    wait "$page_pid" || fail "view_serve ended with status $?"
    page_pid=
}

# A test's own clean-up comes first.
clean_up() { :; }
trap 'clean_up; stop_page; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# need PROGRAM...: the first that is here, in $program; a test that finds none is skipped.
need() {
    for program; do
        command -v "$program" >/dev/null 2>&1 && return 0
    done
    echo "skipped: there is no $*"
    exit 77
}

fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
}

# poll COMMAND...: until it succeeds; the bound is only there so that a failure ends.
poll() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt 400 ] || return 1
        sleep 0.1
    done
}

# start_page FIXTURE [COUNT]: sets $url.
start_page() {
    rm -f "$work/stdin" "$work/url"
    mkfifo "$work/stdin"
    "$serve" http "$@" <"$work/stdin" >"$work/url" &
    page_pid=$!
    exec 9>"$work/stdin"
    poll test -s "$work/url" || { fail "view_serve does not start"; exit 1; }
    url=$(cat "$work/url")
}

finish() {
    [ "$failures" -eq 0 ] || { echo "$failures failures"; exit 1; }
    echo "all passed"
    exit 0
}
