#!/bin/sh
# Everything that a user can get wrong, on 3 ranks: the same status everywhere, one line that says which file, line, key and
# value, and nothing half-written.
. "$(dirname "$0")/train_test.sh"

# Each rank's own status, which a launcher merges into one.
cat >each <<END
#!/bin/sh
"\$@"
status=\$?
echo \$status >>"$work/statuses"
exit \$status
END
chmod +x each

# bad STATUS PATTERN ARGUMENTS...: ddpt train with them fails like that.
bad() {
    wanted_status=$1
    pattern=$2
    shift 2
    : >statuses
    rm -rf run
    expect "$wanted_status" "$mpiexec" -n 3 "$work/each" "$ddpt" train --out run "$@"
    # Some launchers end the others when the first one fails, so that not every rank may come to write its status.
    [ -s statuses ] || fail 'no rank has a status'
    [ -z "$(grep -v -x "$wanted_status" statuses)" ] || fail "ranks end with $(tr '\n' ' ' <statuses)"
    [ "$(grep -c 'error: ' err)" -eq 1 ] || fail 'not one error'
    err_has "^error: .*$pattern"
    [ ! -s out ] || fail 'stdout is not empty'
    [ ! -e run ] || fail "run exists: $(ls -A run)"
}

# ---- the environment ----
export DDPT_GPU_GRAPHS=off
bad 2 'DDPT_GPU_GRAPHS is "off"; it may be "0", "1", or not be set$' "$examples/digits.cfg"
unset DDPT_GPU_GRAPHS

# ---- the command line ----
expect 2 mpirun 3 "$ddpt" nothing
[ "$(grep -c 'error: ' err)" -eq 1 ] || fail 'not one error'
expect 2 mpirun 3 "$ddpt" train
[ "$(grep -c 'error: ' err)" -eq 1 ] || fail 'not one error'
bad 2 "'--nothing'" --nothing "$examples/digits.cfg"
bad 2 'one too many' "$examples/digits.cfg" "$examples/mnist.cfg"
bad 2 'missing.cfg' missing.cfg

# ---- configs ----
mkdir folder.cfg
bad 2 'folder.cfg' folder.cfg
: >empty.cfg
bad 2 'empty.cfg' empty.cfg
printf 'data\000\001\002' >binary.cfg
bad 2 'binary.cfg' binary.cfg
head -c 200000 "$ddpt" >program.cfg
bad 2 'program.cfg' program.cfg
printf 'data = { format = "digits"\n' >open.cfg
bad 2 'open.cfg:' open.cfg

# config LAYERS [TRAIN [DATA]]
config() {
    cat >t.cfg <<END
data = { ${3-format = \"synthetic\"; train_samples = 64; test_samples = 16; classes = 3;} };
model = { input = [2, 6, 5];
layers = ($1
); };
train = { batch = 16; ${2-} };
END
}
head='{ type = "dense"; units = 3; }'
config "$head" 'epoch = 3;'
bad 2 't.cfg:5: .*epoch.*epochs' t.cfg
config '{ type = "dense"; units = "many"; }'
bad 2 't.cfg:3: .*units' t.cfg
config '{ type = "dense"; units = -3; }'
bad 2 't.cfg:3: .*units.*-3' t.cfg
config '{ type = "dense"; units = 1000000000; },
'"$head"
bad 2 't.cfg:3: .*too large' t.cfg
config '{ type = "dense"; units = 100000000; }, { type = "dense"; units = 100000000; },
'"$head"
bad 2 't.cfg:3: .*' t.cfg
config '{ type = "conv2d"; filters = 2; kernel = 7; },
'"$head"
bad 2 't.cfg:3: .*' t.cfg
config '{ name = "a"; type = "dense"; units = 4; },
{ name = "b"; type = "dense"; units = 5; },
{ type = "add"; inputs = ["a", "b"]; },
'"$head"
bad 2 't.cfg:5: ' t.cfg
config '{ name = "a"; type = "dense"; units = 4; inputs = ["b"]; },
{ name = "b"; type = "dense"; units = 4; inputs = ["a"]; },
'"$head"
bad 2 't.cfg:[0-9]*: .*' t.cfg
config '{ type = "dense"; units = 4; inputs = ["imput"]; },
'"$head"
bad 2 't.cfg:3: .*imput.*input' t.cfg
config '{ type = "dense"; units = 4; }'
bad 2 't.cfg:3: .*' t.cfg
config "$head" 'optimizer = { lr = -1.0; };'
bad 2 't.cfg:5: .*lr.*-1' t.cfg
config "$head"
bad 2 'batch = 2 .*ranks, 3' --set train.batch=2 t.cfg
bad 2 'batch = 65 .*64 training samples' --set train.batch=65 t.cfg
bad 2 'train.batch' --set train.batch=0 t.cfg
bad 2 'train.batch' --set train.batch=many t.cfg
bad 2 'train.botch.*batch' --set train.botch=4 t.cfg
bad 2 'local.*3' --set train.comm=local t.cfg
bad 5 'tf32' --set train.precision=tf32 t.cfg
bad 5 'nccl' --set train.comm=nccl t.cfg

# A model that a larger machine could hold: 8e9 parameters a rank, and more samples than there is memory for.
config '{ type = "dense"; units = 60000; },
{ type = "dense"; units = 60000; },
{ type = "dense"; units = 60000; },
'"$head"
bad 1 't.cfg.* GiB .*memory' --set train.batch=60 t.cfg
config "$head" '' 'format = "synthetic"; train_samples = 4000000000; classes = 3;'
bad 2 'samples' t.cfg

# ---- data ----
# idx FILE MAGIC COUNT NBYTES [SIDE]: an idx file of that header with zeros behind it; octal escapes.
idx() {
    { printf "$2$3"; [ $# -lt 5 ] || printf "$5$5"; head -c "$4" /dev/zero; } >"$1"
}
images='\000\000\010\003'
labels='\000\000\010\001'
side='\000\000\000\004'
forty='\000\000\000\050'
good_data() {
    rm -rf data
    mkdir data
    for part in train t10k; do
        idx data/$part-images-idx3-ubyte "$images" "$forty" 640 "$side"
        idx data/$part-labels-idx1-ubyte "$labels" "$forty" 40
    done
}
cat >data.cfg <<'END'
data = { format = "mnist"; path = "data"; };
model = { input = [1, 4, 4]; layers = ( { type = "dense"; units = 10; } ); };
train = { batch = 16; };
END
good_data
rm -rf run
expect 0 mpirun 3 "$ddpt" train --out run data.cfg
rm -rf data
bad 3 'data' data.cfg
good_data
rm data/t10k-labels-idx1-ubyte
bad 3 't10k-labels-idx1-ubyte' data.cfg
good_data
idx data/train-images-idx3-ubyte "$images" "$forty" 639 "$side"
bad 3 'train-images-idx3-ubyte' data.cfg
idx data/train-images-idx3-ubyte "$images" "$forty" 641 "$side"
bad 3 'train-images-idx3-ubyte' data.cfg
: >data/train-images-idx3-ubyte
bad 3 'train-images-idx3-ubyte' data.cfg
printf '\000\000\010' >data/train-images-idx3-ubyte
bad 3 'train-images-idx3-ubyte' data.cfg
idx data/train-images-idx3-ubyte '\000\000\011\003' "$forty" 640 "$side"
bad 3 'train-images-idx3-ubyte' data.cfg
idx data/train-images-idx3-ubyte "$images" '\377\377\377\377' 640 "$side"
bad 3 'train-images-idx3-ubyte' data.cfg
idx data/train-images-idx3-ubyte "$images" "$forty" 1000 '\000\000\000\005'
bad 2 'input' data.cfg
good_data
idx data/train-labels-idx1-ubyte "$labels" '\000\000\000\047' 39
bad 3 'labels-idx1-ubyte.*39' data.cfg
idx data/train-labels-idx1-ubyte "$labels" "$forty" 39
printf '\012' >>data/train-labels-idx1-ubyte
bad 3 'labels-idx1-ubyte.*10' data.cfg
good_data
gzip -n data/train-images-idx3-ubyte
cp data/train-images-idx3-ubyte.gz whole.gz
size=$(wc -c <whole.gz)
for part in $((size / 2)) $((size - 1)) $((size - 9)) 12 1; do
    head -c "$part" whole.gz >data/train-images-idx3-ubyte.gz
    bad 3 'train-images-idx3-ubyte.gz' data.cfg
done
{ head -c $((size - 8)) whole.gz; printf '\001\002\003\004'; tail -c 4 whole.gz; } >data/train-images-idx3-ubyte.gz
bad 3 'train-images-idx3-ubyte.gz' data.cfg
mkdir cifar
cat >cifar.cfg <<'END'
data = { format = "cifar10"; path = "cifar"; train_files = ["a.bin"]; test_files = ["a.bin"]; };
model = { input = [3, 32, 32]; layers = ( { type = "dense"; units = 10; } ); };
train = { batch = 4; };
END
head -c 30729 /dev/zero >cifar/a.bin
bad 3 'a.bin' cifar.cfg
{ head -c 27657 /dev/zero; printf '\012'; head -c 3072 /dev/zero; } >cifar/a.bin
bad 3 'a.bin.*10' cifar.cfg

# ---- where the record goes ----
# bad_out FOLDER PATTERN: status 1 and nothing new.
bad_out() {
    expect 1 mpirun 3 "$ddpt" train $small --out "$1" "$examples/digits.cfg"
    [ "$(grep -c 'error: ' err)" -eq 1 ] || fail 'not one error'
    err_has "^error: .*$2"
}
echo mine >file
bad_out file 'file'
bad_out file/below 'file'
[ "$(cat file)" = mine ] || fail 'the file in the way has changed'
bad_out /proc/nothing/run '/proc/nothing'
bad_out "$(printf '%05000d' 0)" 'long\|name'
mkdir taken
mkdir taken/run.json
expect 1 mpirun 3 "$ddpt" train $small --out taken "$examples/digits.cfg"
[ "$(grep -c 'error: ' err)" -eq 1 ] || fail 'not one error'
err_has '^error: .*taken/run.json'
[ -z "$(ls -A taken/run.json)" ] && [ ! -e taken/run.json.partial ] && [ ! -e taken/steps.csv.partial ] ||
    fail "half-written: $(ls -A taken)"

# A full disk: a file system of 64 KiB that nobody else sees. Once full before the run, once filled by it.
if unshare -m sh -c 'mount -t tmpfs -o size=64k none "$1"' - "$work/taken" 2>/dev/null; then
    cat >full.sh <<'END'
mount -t tmpfs -o size=64k none disk || exit 99
[ -z "$1" ] || head -c "$1" /dev/zero >disk/filler
shift
"$@"
status=$?
ls -A disk/run >left 2>/dev/null
exit $status
END
    mkdir disk
    for filler in '' 60000 65536; do
        : >left
        expect 1 unshare -m sh full.sh "$filler" "$mpiexec" -n 3 "$ddpt" train --set data.train_samples=3000 \
            --set data.test_samples=70 --set train.batch=6 --set train.epochs=2 --out disk/run "$examples/digits.cfg"
        [ "$(grep -c 'error: ' err)" -eq 1 ] || fail 'not one error'
        err_has '^error: .*disk/run'
        if grep -q partial left; then fail "half-written: $(tr '\n' ' ' <left)"; fi
    done
else
    echo 'skipped: a full disk (needs the right to mount)'
fi

# ---- N copies of rank 0 of 1 ----
expect 1 env PMI_SIZE=4 PMI_RANK=0 "$ddpt" train $small --out run "$examples/digits.cfg"
[ "$(grep -c '^error: ' err)" -eq 1 ] || fail 'not one error'
err_has '^error: .*4 processes'
[ ! -e run/run.json ] || fail 'run exists'
finish
