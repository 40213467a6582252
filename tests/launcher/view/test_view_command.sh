#!/bin/sh
# ddpt top on real runs: where it finds them, what it prints, what it says when nobody answers; the page of a coordinator.
. "$(dirname "$0")/../command_test.sh"
export LC_ALL=C.UTF-8 DDPT_STATE="$work/state"
unset COLUMNS http_proxy HTTP_PROXY

# Until the command succeeds; the bound is only there so that a failure ends.
poll() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 400 ] || { fail "$* does not come true"; return 1; }
        sleep 0.1
    done
}

# start NAME ARGUMENTS...: a run of 2 ranks that lasts until it is ended
start() {
    name=$1
    shift
    "$mpiexec" -n 2 "$ddpt" train --out "$name" --set train.epochs=1000000 --set data.train_samples=2000 \
        --set data.test_samples=100 "$@" "$examples/digits.cfg" </dev/null >"$name.out" 2>"$name.err" &
    pids="$pids $!"
}
pids=
end_all() {
    for pid in $pids; do kill -s INT "$pid" 2>/dev/null; done
    for pid in $pids; do wait "$pid"; done
    pids=
}
trap 'end_all; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# ---- nothing to show ----
expect 0 "$ddpt" top --help
out_has '^usage: ddpt top '
for arguments in '--nothing' 'a b' '--once --json' 'nowhere' 'tcp://127.0.0.1:1' 'tcp://' ''; do
    expect 2 "$ddpt" top $arguments
    is_one_error
done
err_has 'runs/\*/coordinator.json'
mkdir -p runs/old runs/new
echo '{}' >runs/old/coordinator.json
expect 2 "$ddpt" top
is_one_error
err_has 'runs/old/coordinator.json'
rm -r runs

# ---- a run by itself ----
mkdir runs
start runs/first
poll test -f runs/first/coordinator.json
heard() { "$ddpt" top --json runs/first | grep -q '"samples_per_second": [1-9]'; }
poll heard
for place in '' runs/first runs/first/ runs/first/coordinator.json; do
    expect 0 "$ddpt" top --once $place
    out_has '^ digits  .*  running$'
    out_has '^ step [0-9,]* of [0-9,]*  *epoch '
    out_has '^      0 *[0-9.]* m*s  [DFBwRUoCE]*'
    out_has '^      1 '
    out_lacks 'q quit'
    [ ! -s err ] || fail "stderr is not empty"
done
# Not a terminal: once.
expect 0 "$ddpt" top
out_has '^ digits  .*  running$'
expect 0 "$ddpt" top --json runs/first
out_has '"schema": "ddpt.state.v1"'
out_has '"state": "running"'
out_has '"rank": 1,'
COLUMNS=100 "$ddpt" top --once >wide || fail "with COLUMNS: status $?"
[ "$(wc -L <wide)" -eq 99 ] || fail "not as wide as COLUMNS: $(wc -L <wide)"
expect 1 sh -c '"$1" top --once >/dev/full' sh "$ddpt"
err_has '^error: '
# From afar, with the file alone; who has another's key is refused.
cp runs/first/coordinator.json copy.json
expect 0 "$ddpt" top --once copy.json
out_has '^ digits '
sed 's|"member_secret": ".*"|"member_secret": "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"|' copy.json >forged.json
expect 1 "$ddpt" top --once forged.json
is_one_error
end_all
grep -q '^error: interrupted' runs/first.err || fail "the run did not end as told: $(tail -3 runs/first.err)"
expect 2 "$ddpt" top --once runs/first
is_one_error
expect 1 "$ddpt" top --once copy.json
is_one_error
err_has 'no answer'

# ---- two runs, one coordinator, its page ----
"$ddpt" coordinator --bind 'tcp://127.0.0.1:*' --http 0 >coordinator.out 2>coordinator.err &
pids="$!"
poll grep -q 'page: ' coordinator.err
address=$(sed -n 's/.*listening at \(tcp:[^ ]*\).*/\1/p' coordinator.err)
url=$(sed -n 's/.*page: *\(http:[^ ]*\).*/\1/p' coordinator.err)
expect 0 "$ddpt" top --once "$address"
out_has 'knows no run'
start one --coordinator "$address"
start two --coordinator "$address" --set train.batch=64
both() { [ "$("$ddpt" top --json "$address" | grep -c '"samples_per_second": [1-9]')" -eq 2 ]; }
poll both
expect 0 "$ddpt" top --once "$address"
[ "$(grep -c '^ step [1-9]' out)" -eq 2 ] || fail "not two runs"
for name in one two; do
    expect 0 "$ddpt" top --once "$name"
    [ "$(grep -c '^ step ' out)" -eq 1 ] || fail "not one run in full"
    grep '^ digits  ' out | grep -q -w "$name" || fail "another run than $name"
    out_has '^ digits: running after step '
done
if command -v curl >/dev/null 2>&1; then
    expect 0 curl -sf "${url}state.json"
    out_has '"schema":"ddpt.state.v1"'
    expect 0 curl -sf "${url}metrics"
    out_has '^ddpt_coordinator_runs 2$'
    out_has '^ddpt_rank_steps_total{.*rank="1".*} [1-9]'
    [ "$(grep -c '^ddpt_rank_steps_total' out)" -eq 4 ] || fail "not 4 ranks"
    expect 0 curl -sf "$url"
    out_has '<title>ddpt</title>'
else
    echo "the page was not asked for: there is no curl"
fi
end_all
finish
