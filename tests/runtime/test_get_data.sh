#!/bin/sh
# examples/get-data.sh on files made here: a copy of the script gets their checksums in the place of the published ones.
set -eu
script=$(cd "$(dirname "$0")/../../examples" && pwd)/get-data.sh
work=$(mktemp -d)
server=''
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
cd "$work"
unset DDPT_DATA
no_proxy=127.0.0.1
export no_proxy
checks=0

ok() { checks=$((checks + 1)); }
wrong() {
    echo "FAILED: $*" >&2
    sed 's/^/    /' log >&2
    exit 1
}

# run STATUS ARGUMENTS: the script under test ends with STATUS; what it says is in `log`.
run() {
    want=$1
    shift
    got=0
    sh ./get-data.sh "$@" >log 2>&1 || got=$?
    [ $got -eq "$want" ] || wrong "get-data.sh $*: exit status $got, $want expected"
    ok
}
says() {
    grep -qF -- "$1" log || wrong "no \"$1\" in the output"
    ok
}
same() {
    cmp -s "$1" "$2" || wrong "$1 differs from $2"
    ok
}
absent() {
    for f in "$@"; do [ ! -e "$f" ] || wrong "$f is there"; done
    ok
}

names="train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte"
batches="data_batch_1.bin data_batch_2.bin data_batch_3.bin data_batch_4.bin data_batch_5.bin test_batch.bin"
mkdir raw gz tar tar/cifar-10-batches-bin
cp "$script" get-data.sh
# publish SET FILE: FILE counts as published.
publish() {
    sum=$(sha256sum "$2" | cut -d ' ' -f 1)
    sed "s/^$1 content [0-9a-f]* $(basename "$2")\$/$1 content $sum $(basename "$2")/" get-data.sh >edited
    mv edited get-data.sh
}
for n in $names; do
    head -c 300000 /dev/urandom >"raw/$n"
    gzip -c "raw/$n" >"gz/$n.gz"
    publish mnist "raw/$n"
done
for n in $batches; do
    head -c 30730 /dev/urandom >"tar/cifar-10-batches-bin/$n"
    publish cifar10 "tar/cifar-10-batches-bin/$n"
done
tar -czf gz/cifar-10-binary.tar.gz -C tar cifar-10-batches-bin

# ---- usage ----
run 2
run 2 imagenet
says "unknown argument: imagenet"
run 2 mnist --to
run 3 mnist --from no-such-folder
says "neither a URL nor a folder"
absent data

# ---- folders ----
run 0 mnist --from gz
says "data/mnist has mnist, verified"
for n in $names; do same "raw/$n" "data/mnist/$n"; done
mkdir "a folder"
run 0 mnist --from raw --to "a folder/mnist"
for n in $names; do same "raw/$n" "a folder/mnist/$n"; done
cp -R gz "gz too"
DDPT_DATA=$work/root
export DDPT_DATA
run 0 mnist --from "gz too"
unset DDPT_DATA
same raw/t10k-images-idx3-ubyte root/mnist/t10k-images-idx3-ubyte

# Again: nothing is fetched, and a file that was damaged is replaced.
run 0 mnist --from raw
says "already, verified"
echo damage >>data/mnist/t10k-labels-idx1-ubyte
run 0 mnist --from gz
same raw/t10k-labels-idx1-ubyte data/mnist/t10k-labels-idx1-ubyte

run 0 cifar10 --from gz
for n in $batches; do same "tar/cifar-10-batches-bin/$n" "data/cifar10/$n"; done
run 0 cifar10 --from tar/cifar-10-batches-bin --to c
for n in $batches; do same "tar/cifar-10-batches-bin/$n" "c/$n"; done

# ---- damaged content ----
mkdir bad
cp gz/*.gz bad
head -c 1000 /dev/urandom | gzip -c >bad/train-images-idx3-ubyte.gz
run 3 mnist --from bad --to d
says "train-images-idx3-ubyte from bad is damaged or not the published file: its checksum is"
says "could not get: train-images-idx3-ubyte"
absent d/train-images-idx3-ubyte d/.train-images-idx3-ubyte.new
same raw/t10k-images-idx3-ubyte d/t10k-images-idx3-ubyte
head -c 200000 gz/train-images-idx3-ubyte.gz >bad/train-images-idx3-ubyte.gz
run 3 mnist --from bad --to d
says "cannot be unpacked"
absent d/train-images-idx3-ubyte d/.train-images-idx3-ubyte.new
head -c 100000 gz/cifar-10-binary.tar.gz >bad/cifar-10-binary.tar.gz
run 3 cifar10 --from bad --to e
says "cifar-10-binary.tar.gz from bad is damaged"
absent e/data_batch_1.bin e/.new
run 3 fashion --from gz --to f # other sums than these files have
says "train-images-idx3-ubyte.gz from gz is damaged or not the published file"
absent f/train-images-idx3-ubyte

# ---- a server ----
if ! command -v python3 >/dev/null || ! command -v curl >/dev/null; then
    echo "passed $checks checks; skipped: downloads (python3 or curl is not there)"
    exit 0
fi
# Serves the current folder; where `plain` is absent it can begin in the middle (python's own server cannot).
cat >server.py <<'END'
import http.server, os
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        path, rng = self.translate_path(self.path), self.headers.get("Range")
        if not rng or os.path.exists("plain") or not os.path.isfile(path):
            return super().do_GET()
        begin, size = int(rng.split("=")[1].split("-")[0]), os.path.getsize(path)
        if begin >= size:
            return self.send_error(416)
        self.send_response(206)
        self.send_header("Content-Range", "bytes %d-%d/%d" % (begin, size - 1, size))
        self.send_header("Content-Length", str(size - begin))
        self.end_headers()
        with open(path, "rb") as f:
            f.seek(begin)
            self.wfile.write(f.read())
http_server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
with open("port.new", "w") as f:
    f.write(str(http_server.server_port))
os.rename("port.new", "port")
http_server.serve_forever()
END
python3 server.py 2>requests &
server=$!
tries=0
while [ ! -s port ] && [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
[ -s port ] || wrong "the test's server does not start"
url=http://127.0.0.1:$(cat port)

run 0 mnist --from "$url/gz" --to u
for n in $names; do same "raw/$n" "u/$n"; done
absent u/*.part
run 0 cifar10 --from "$url/gz/" --to v
for n in $batches; do same "tar/cifar-10-batches-bin/$n" "v/$n"; done

# It goes on with what is there; a part of something else, or a server that cannot, makes it begin again.
mkdir w
head -c 200000 gz/train-images-idx3-ubyte.gz >w/train-images-idx3-ubyte.gz.part
head -c 1000 /dev/urandom >w/train-labels-idx1-ubyte.gz.part
cp gz/t10k-images-idx3-ubyte.gz w/t10k-images-idx3-ubyte.gz.part
run 0 mnist --from "$url/gz" --to w
for n in $names; do same "raw/$n" "w/$n"; done
absent w/*.part
grep -q '/gz/train-images-idx3-ubyte.gz HTTP/1.1" 206' requests || wrong "the download did not go on in the middle"
touch plain
mkdir x
head -c 200000 gz/train-images-idx3-ubyte.gz >x/train-images-idx3-ubyte.gz.part
run 0 mnist --from "$url/gz" --to x
for n in $names; do same "raw/$n" "x/$n"; done

run 3 mnist --from "$url/nothing" --to y
says "could not get: train-images-idx3-ubyte"
run 3 mnist --from "$url/bad" --to y
absent y/train-images-idx3-ubyte y/train-images-idx3-ubyte.gz.part
echo "passed $checks checks"
