#!/bin/sh
# ddpt ckpt: what it says of checkpoints that are sound, that differ, that are damaged, and of what is none.
. "$(dirname "$0")/command_test.sh"

# 10 steps of 101770 parameters and as much momentum: 814160 bytes. Some ranks make several shards.
train() {
    expect 0 "$mpiexec" "$@" --set data.train_samples=600 --set data.test_samples=70 --set train.batch=60 \
        --set train.epochs=1 --set train.checkpoint.every_steps=4 --set train.checkpoint.keep=9 "$examples/digits.cfg"
}
train -n 1 "$ddpt" train --out one
train -n 3 "$ddpt" train --out three
state() { find one three -type f -exec cksum {} + | sort; }
state >before

# ---- ls ----
expect 0 "$ddpt" ckpt ls three
[ "$(grep -c . out)" -eq 4 ] || fail 'not 4 lines'
out_has '^ *step  *epoch  *age  *size  *loss  *ranks  verified$'
out_has '^ *4  *1  *[0-9]* \(s\|min\)  *814 kB  *[0-9.]*  *3  yes$'
out_has '^ *10  *1  *[0-9]* \(s\|min\)  *814 kB  *[0-9.]*  *3  yes$'
cp out listed
for path in three/ three/ckpt three/ckpt// ./three; do
    expect 0 "$ddpt" ckpt ls "$path"
    sed 's/[0-9]* \(s\|min\) / /' out >out.ageless
    sed 's/[0-9]* \(s\|min\) / /' listed | cmp -s - out.ageless || fail 'differs from ls three'
done
for path in three/ckpt/step-00000008 three/ckpt/step-00000008/; do
    expect 0 "$ddpt" ckpt ls "$path"
    [ "$(grep -c . out)" -eq 2 ] || fail 'not 2 lines'
    out_has '^ *8 .*yes$'
done
expect 0 "$ddpt" ckpt ls --no-verify one
out_has '^ *8  .* 1  -$'
expect 0 "$ddpt" ckpt ls --json one
out_has '^\[$'
[ "$(grep -c '"verified": true' out)" -eq 3 ] || fail 'not 3 verified'
out_has '"path": "one/ckpt/step-00000004"'
out_has '"step": 10,'
out_has '"epoch": 1,'
out_has '"saved_at": "20[0-9-]*T[0-9:]*Z"'
out_has '"bytes": 814160,'
out_has '"loss": [0-9.]*,'
out_has '"world_size": 1,'
out_has '"problem": null'
expect 0 "$ddpt" ckpt ls --json --no-verify one
[ "$(grep -c '"verified": null' out)" -eq 3 ] || fail 'not 3 unverified'

# ---- show ----
expect 0 "$ddpt" ckpt show three
out_has '^checkpoint  *three/ckpt/step-00000010$'
out_has '^saved  .* by ddpt [0-9.]* on 3 ranks$'
out_has '^position  *step 10; epoch 1, step 10 of 10 in it$'
out_has '^batch  *60 samples of 600$'
out_has '^loss  *[0-9.]* of the step, [0-9.]* of the epoch so far, accuracy [0-9.]* %$'
out_has '^seed  *1$'
out_has '^optimizer  *sgd: lr 0.1, '
out_has '^digests  *configuration [0-9a-f]\{16\}, graph [0-9a-f]\{16\}, data [0-9a-f]\{16\}$'
out_has '^state  *814 kB in 3 shards, 8 tensors$'
out_has '^dense1/weight  *parameter  *784x128  *f32  *401408  *[1-9]$'
out_has '^dense2/bias/momentum  *optimizer state  *10  *f32  *40  *[1-9]$'
expect 0 "$ddpt" ckpt show three/ckpt/step-00000004/
out_has '^position  *step 4; epoch 1, step 4 of 10 in it$'
expect 0 "$ddpt" ckpt show --json three
out_has '"schema": "ddpt.ckpt.show.v1"'
out_has '"step": 10,'
out_has '"step_in_epoch": 10,'
out_has '"name": "dense1/weight",'
out_has '"role": "optimizer state",'
out_has '"train_samples": 600,'

# The configuration comes back as a file that trains to the same state.
expect 0 "$ddpt" ckpt show --config three
cp out again.cfg
expect 0 "$ddpt" train --out again again.cfg
expect 0 "$ddpt" ckpt diff again three
for example in cifar10 mnist-cnn; do
    expect 0 "$ddpt" summary --json "$examples/$example.cfg"
    sed -n '/"layers"/,$p' out >wanted
    # Only the data set is another: one that needs no files.
    sed '/^data *=/s/.*/data = { format = "synthetic"; train_samples = 8; test_samples = 4; classes = 10; };/' \
        "$examples/$example.cfg" >"$example.cfg"
    expect 0 "$ddpt" train --out "$example" --set train.batch=8 --set train.epochs=1 "$example.cfg"
    expect 0 "$ddpt" ckpt show --config "$example"
    cp out "$example.cfg"
    expect 0 "$ddpt" summary --json --set train.batch=128 "$example.cfg"
    sed -n '/"layers"/,$p' out | cmp -s wanted - || fail "another model than $example.cfg"
done

# ---- verify ----
expect 0 "$ddpt" ckpt verify three one/ckpt/step-00000004
[ "$(grep -c '^ok  ' out)" -eq 4 ] || fail 'not 4 times ok'
out_has '^ok  *one/ckpt/step-00000004 (814 kB)$'

# ---- diff ----
# The number of ranks shows in how the tensors are cut, not in what they hold.
expect 0 "$ddpt" ckpt diff one three
out_has '^A  one/ckpt/step-00000010 (step 10)$'
out_has '^all 8 tensors are equal to the bit (203540 elements)$'
out_lacks '^configuration'
expect 1 "$ddpt" ckpt diff one three/ckpt/step-00000004
[ ! -s err ] || fail 'stderr is not empty'
out_has '^  step = 10 in A, 4 in B$'
out_has '^dense1/bias  *128  *128  *[0-9.]*e-[0-9]*$'
out_has '^8 of 8 tensors differ$'
expect 1 "$ddpt" ckpt diff --json one three/ckpt/step-00000004
out_has '"schema": "ddpt.ckpt.diff.v1"'
out_has '"tensors_equal": false'
out_has '"differing": 128,'
out_has '"step = 10 in A, 4 in B"'
expect 0 "$ddpt" ckpt diff --json one three
out_has '"tensors_equal": true'
sed 's/type = "sgd"; lr = 0.1; momentum = 0.9;/type = "adam"; lr = 0.01;/' "$examples/digits.cfg" >adam.cfg
expect 0 "$ddpt" train --out other --set data.train_samples=600 --set data.test_samples=70 --set train.batch=50 \
    --set train.epochs=1 --set model.layers.0.units=64 --set train.checkpoint.every_steps=4 adam.cfg
expect 1 "$ddpt" ckpt diff one other
out_has '^  train.batch = 60 in A, 50 in B$'
out_has '^  model.layers.0.units = 128 in A, 64 in B$'
out_has '^  train.checkpoint.keep = 9 in A, 3 in B$'
out_has '^  type = sgd in A, adam in B$'
out_has '^  momentum only in A (0.9)$'
out_has '^  beta2 only in B (0.999)$'
out_has '^dense1/weight  *parameter 784x128 f32 in A, parameter 784x64 f32 in B$'
out_has '^dense1/weight/momentum  *only in A (optimizer state)$'
out_has '^dense1/weight/moment2  *only in B (optimizer state)$'

# ---- damage ----
mkdir bad
cp -R three/ckpt bad/
bad=bad/ckpt
flip() { printf '\377' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }
flip $bad/step-00000004/shard-0001.bin 5000
head -c 300 three/ckpt/step-00000008/manifest.pb >$bad/step-00000008/manifest.pb
expect 0 "$ddpt" ckpt ls bad
out_has '^ *4  *1 .* 3  DAMAGED$'
out_has '^ *8  *-  *-  *-  *-  *-  DAMAGED$'
out_has '^ *10 .* 3  yes$'
out_has '^bad/ckpt/step-00000004/shard-0001.bin is damaged: '
out_has '^bad/ckpt/step-00000008/manifest.pb is damaged: '
expect 0 "$ddpt" ckpt ls --no-verify bad
out_has '^ *4 .* 3  -$'
out_has '^ *8 .* DAMAGED$'
expect 0 "$ddpt" ckpt ls --json bad
[ "$(grep -c '"verified": false' out)" -eq 2 ] || fail 'not 2 damaged'
out_has '"problem": "bad/ckpt/step-00000004/shard-0001.bin is damaged'
out_has '"world_size": null'
expect 4 "$ddpt" ckpt verify bad one nowhere
out_has '^DAMAGED  bad/ckpt/step-00000004/shard-0001.bin'
out_has '^DAMAGED  bad/ckpt/step-00000008/manifest.pb'
out_has '^ok  *bad/ckpt/step-00000010'
out_has '^ok  *one/ckpt/step-00000010'
out_has '^NONE  *nowhere '
err_has '^error: 2 of 6 checkpoints are damaged$'
expect 4 "$ddpt" ckpt verify one nowhere
err_has '^error: 1 of 2 folders hold no checkpoint$'
expect 4 "$ddpt" ckpt diff bad/ckpt/step-00000004 three/ckpt/step-00000004
is_one_error
err_has 'bad/ckpt/step-00000004/shard-0001.bin'
expect 4 "$ddpt" ckpt diff three/ckpt/step-00000004 bad/ckpt/step-00000004
is_one_error
err_has 'bad/ckpt/step-00000004/shard-0001.bin'
expect 4 "$ddpt" ckpt show bad/ckpt/step-00000008
is_one_error
rm $bad/step-00000010/shard-0002.bin
expect 4 "$ddpt" ckpt verify $bad/step-00000010
out_has 'step-00000010/shard-0002.bin'
err_has '^error: 1 of 1 checkpoint is damaged$'
expect 0 "$ddpt" ckpt show bad # the shards are not looked at

# A manifest of a later version begins with another number.
mkdir -p later/step-00000004
cp three/ckpt/step-00000004/* later/step-00000004/
printf '\010\002' | dd of=later/step-00000004/manifest.pb bs=1 conv=notrunc 2>/dev/null
expect 4 "$ddpt" ckpt show later
is_one_error
err_has 'newer ddpt'
expect 0 "$ddpt" ckpt ls later
out_has 'newer ddpt'

# ---- no checkpoint ----
mkdir empty empty-run empty-run/ckpt unfinished unfinished/step-00000004
: >file
ln -s loop loop
for path in nowhere empty empty-run unfinished unfinished/step-00000004 file one/ckpt/step-00000010/manifest.pb \
    one/run.json loop ''; do
    for subcommand in ls show verify 'diff one'; do
        expect 4 "$ddpt" ckpt $subcommand "$path"
        is_one_error
    done
done
expect 4 "$ddpt" ckpt diff nowhere one
is_one_error

# No permission; root has it everywhere, and becomes nobody for this, who must be able to run the program.
mkdir closed
cp -R three/ckpt closed/
nobody=
if [ "$(id -u)" -eq 0 ]; then
    chmod 755 "$work"
    nobody='setpriv --reuid=65534 --regid=65534 --clear-groups'
fi
if $nobody "$ddpt" --version >out 2>err; then
    chmod 000 closed/ckpt/step-00000008/shard-0000.bin closed/ckpt/step-00000010/manifest.pb
    expect 0 $nobody "$ddpt" ckpt ls closed
    out_has '^ *4 .* yes$'
    out_has 'step-00000008/shard-0000.bin.*Permission denied'
    out_has 'step-00000010/manifest.pb.*Permission denied'
    chmod 000 closed/ckpt
    for subcommand in ls show verify 'diff one'; do
        expect 4 $nobody "$ddpt" ckpt $subcommand closed
        is_one_error
        err_has 'Permission denied'
    done
    chmod 755 closed/ckpt
fi

# ---- usage ----
for arguments in '' 'list one' ls 'ls one three' show 'show one three' verify diff 'diff one' 'diff one one one' \
    '--json ls one' 'ls --nothing one' 'show --config --json one' 'verify --json one' 'diff --no-verify one one'; do
    expect 2 "$ddpt" ckpt $arguments
    is_one_error
done
for subcommand in '' ls show verify diff; do
    expect 0 "$ddpt" ckpt $subcommand --help
    out_has '^usage: ddpt ckpt ls'
done

# Several copies under a launcher: one speaks.
expect 0 "$mpiexec" -n 3 "$ddpt" ckpt ls one
[ "$(grep -c . out)" -eq 4 ] || fail 'not 4 lines'

state | cmp -s before - || fail 'something was changed on disk'
finish
