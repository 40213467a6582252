#!/bin/sh
# A client in another language, written from telemetry.proto and coordinator.json alone, watches a real training of two
# ranks. $PYTHON, else the first python3 that has pyzmq and protobuf.
here=$(cd "$(dirname -- "$0")" && pwd -P)
root=$(cd "$here/../../.." && pwd -P)
. "$here/../command_test.sh"

skip() {
    echo "skipped: $*"
    exit 77
}

python=
for candidate in ${PYTHON:-python3 /usr/bin/python3}; do
    if "$candidate" -c 'import zmq, google.protobuf; assert zmq.has("curve")' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || skip 'no python3 with pyzmq and protobuf (Debian and Ubuntu: python3-zmq, python3-protobuf)'
command -v protoc >/dev/null || skip 'no protoc (Debian and Ubuntu: protobuf-compiler)'
protoc --python_out=. -I"$root/launcher" telemetry.proto || { echo 'FAILED: protoc refuses telemetry.proto'; exit 1; }
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$work
export PYTHONDONTWRITEBYTECODE PYTHONPATH
"$python" -c 'import telemetry_pb2' 2>err || skip "protoc and the protobuf of $python do not fit: $(tail -n 1 err)"

job=
trap '[ -z "$job" ] || kill -KILL "$job" 2>/dev/null; rm -rf "$work"' EXIT
"$mpiexec" -n 2 "$ddpt" train --out run --set train.epochs=100000 --set train.checkpoint.every_steps=0 \
    "$examples/digits.cfg" >train.log 2>&1 </dev/null &
job=$!

tries=1200
while [ ! -e run/coordinator.json ]; do
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ] || ! kill -0 "$job" 2>/dev/null; then
        what='ddpt train'
        cp train.log err
        fail 'no run/coordinator.json'
        finish
    fi
    sleep 0.05
done
expect 0 "$python" "$here/telemetry_client.py" run/coordinator.json
out_has '^run .* on 2 ranks: step '
cat out

kill -INT "$job"
wait "$job"
job=
what='after the run'
[ ! -e run/coordinator.json ] || fail 'coordinator.json is still there'
finish
