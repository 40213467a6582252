#!/bin/sh
# ddpt coordinator: where it listens, whom it lets in, how it ends; a run that joins it, and outlives it.
. "$(dirname "$0")/../command_test.sh"
DDPT_STATE=$work/state
export DDPT_STATE
coordinator=
job=
trap '[ -z "$coordinator" ] || kill -KILL "$coordinator" 2>/dev/null; [ -z "$job" ] || kill -KILL "$job" 2>/dev/null
      rm -rf "$work"' EXIT

# patiently COMMAND...: until it succeeds; fails after a minute.
patiently() {
    tries=1200
    while ! "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { fail "waits in vain for $*"; finish; }
        sleep 0.05
    done
}

said() { grep -q -e "$1" said; }

# start OPTION...: in the background; its address is then in $address.
start() {
    what="ddpt coordinator $*"
    : >out
    : >err
    : >said
    "$ddpt" coordinator "$@" >said.out 2>said </dev/null &
    coordinator=$!
    patiently said '^to look: '
    address=$(sed -n 's/^coordinator listening at //p' said)
    cp said err
}

# stop SIGNAL [STATUS]
stop() {
    kill -"$1" "$coordinator"
    wait "$coordinator"
    got=$?
    coordinator=
    [ "$got" -eq "${2:-0}" ] || fail "status $got after SIG$1"
    [ ! -s said.out ] || fail 'stdout is not empty'
}

# ---- usage ----
for wrong in '--bind' '--nothing' 'operand' '--bind tcp://127.0.0.1' '--bind nonsense' '--http x' '--http-bind 127.0.0.1'; do
    # shellcheck disable=SC2086
    expect 2 "$ddpt" coordinator $wrong
    is_one_error
done

# ---- it says where it is, and how to join ----
start --bind 'tcp://127.0.0.1:*'
said "^to join:  ddpt train --coordinator $address CONFIG\$" || fail 'how to join'
key=$(sed -n 's/^its key (keep it secret): //p' said)
[ "$(stat -c %a "$key" "$key.server" | sort -u)" = 600 ] || fail "$key: mode"
[ "$(stat -c %a "$DDPT_STATE")" = 700 ] || fail "$DDPT_STATE: mode"
expect 1 "$ddpt" coordinator --bind "$address"
is_one_error
err_has "$address"

# ---- a run joins it, and does not care when it goes and comes back ----
"$ddpt" train --out run --coordinator "$address" --set train.epochs=100000 --set train.checkpoint.every_steps=0 \
    "$examples/digits.cfg" >train.log 2>&1 </dev/null &
job=$!
step_of() { "$ddpt" top --json "$address" 2>/dev/null | sed -n 's/^ *"step": \([0-9]*\),*$/\1/p' | head -n 1; }
gets_beyond() { seen=$(step_of) && [ -n "$seen" ] && [ "$seen" -gt "$1" ]; }
patiently gets_beyond 0
before=$seen
cp "$key" key.before
kill -KILL "$coordinator"
wait "$coordinator" 2>/dev/null
coordinator=
kill -0 "$job" || fail 'the run has gone with the coordinator'
start --bind "$address"
cmp -s "$key" key.before || fail 'another key after a restart'
patiently gets_beyond "$before"
patiently gets_beyond "$seen"
kill -0 "$job" || fail 'the run has gone'
kill -INT "$job"
wait "$job"
job=
is_stopped() { "$ddpt" top --json "$address" 2>/dev/null | grep -q '"state": "stopped"'; }
patiently is_stopped
stop TERM

# ---- a key file of its own; a Unix socket; the page ----
start --bind "ipc://@ddpt-test-$$" --key-file own.json --http 0
[ -e own.json ] || fail 'no own.json'
expect 0 "$ddpt" top --json own.json
grep -q 'to look:  ddpt top .*own.json$' said || fail 'does not say that its key file is what to look with'
stop INT

# ---- what lies at a path stays, unless it is a socket that nobody listens at ----
echo precious >thesis.txt
expect 2 "$ddpt" coordinator --bind "ipc://$work/thesis.txt" --key-file new.json
is_one_error
[ "$(cat thesis.txt)" = precious ] || fail 'the file at the path is gone'
start --bind "ipc://$work/socket" --key-file own.json
expect 1 "$ddpt" coordinator --bind "ipc://$work/socket" --key-file new.json
is_one_error
expect 0 "$ddpt" top --json own.json
stop KILL 137
start --bind "ipc://$work/socket" --key-file own.json
expect 0 "$ddpt" top --json own.json
stop INT
expect 2 "$ddpt" coordinator --bind ipc://relative --key-file new.json
is_one_error
expect 2 "$ddpt" coordinator --bind 'tcp://127.0.0.1:*' --key-file said
is_one_error
finish
