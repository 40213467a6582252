#!/bin/sh
# A run that goes on from a checkpoint ends as the one that never stopped, to the bit, on any number of ranks. DDPT_TEST_LONG=1:
# every pair of rank counts and every place with every model.
. "$(dirname "$0")/train_test.sh"
long=${DDPT_TEST_LONG:-}

data='data = { format = "digits"; train_samples = 600; test_samples = 70; };'
# Dropout, momentum, a schedule with warm-up.
cat >sgd.cfg <<END
$data
model = { input = [1, 28, 28];
          layers = ( { type = "dense"; units = 48; activation = "relu"; },
                     { type = "dropout"; rate = 0.3; },
                     { type = "dense"; units = 10; } );
          loss = "softmax_cross_entropy"; };
train = { epochs = 3; batch = 48; seed = 3;
          optimizer = { type = "sgd"; lr = 0.1; momentum = 0.9; nesterov = true; weight_decay = 1e-4;
                        schedule = { type = "step"; warmup_epochs = 0.5; every_epochs = 1.0; gamma = 0.5; }; }; };
END
# Convolution, batch normalisation, Adam, clipping, another schedule.
cat >adam.cfg <<END
$data
model = { input = [1, 28, 28];
          layers = ( { type = "conv2d"; filters = 5; kernel = 3; stride = 2; },
                     { type = "batch_norm"; activation = "relu"; },
                     { type = "dropout"; rate = 0.2; },
                     { type = "flatten"; },
                     { type = "dense"; units = 10; } );
          loss = "softmax_cross_entropy"; };
train = { epochs = 3; batch = 48; seed = 4;
          optimizer = { type = "adamw"; lr = 0.005; clip_norm = 1.0; weight_decay = 0.01;
                        schedule = { type = "cosine"; }; }; };
END
# No state beyond the parameters.
sed 's/momentum = 0.9; nesterov = true; //' sgd.cfg >plain.cfg

# stopped CONFIG STEP RANKS ARGUMENTS...: the folder stopped becomes a run that ended after STEP.
stopped() {
    config=$1 step=$2 from=$3
    shift 3
    rm -rf stopped
    train_into stopped "$from" --set "train.max_steps=$step" "$@" "$config.cfg"
}

# goes_on RANKS ARGUMENTS...: a copy of that, to the end.
goes_on() {
    on=$1
    shift
    rm -rf part
    cp -r stopped part
    train_into part "$on" --resume "$@" "$config.cfg"
    err_has "going on from part/ckpt/step-0*$step, step $step of"
    same_end "whole.$config" part
    field_is part resumed_from_step "$step"
}

# resumed TO CONFIG STEP FROM ARGUMENTS...: stopped after STEP on FROM ranks, on to the end on TO.
resumed() {
    last=$1
    shift
    stopped "$@"
    shift 3
    goes_on "$last" "$@"
}

for config in sgd adam plain; do
    train_into "whole.$config" 3 "$config.cfg"
done
# 13 steps an epoch: within the second, at its end, after the first step, before the last.
for config in sgd adam ${long:+plain}; do
    for step in 1 17 26 38; do
        resumed 3 $config $step 3
    done
done
[ -n "$long" ] || resumed 3 plain 17 3
resumed 2 adam 20 2 --set train.comm=mpi --set train.sync=allreduce
resumed 3 sgd 20 2 --set train.comm=mpi --set train.sync=sharded
resumed 2 adam 20 3 --set train.sync=allreduce

# What any number of ranks wrote any number reads.
for config in sgd ${long:+adam}; do
    for from in 1 2 3 8; do
        stopped $config 19 $from
        for to in 1 2 3 8; do
            goes_on $to
        done
    done
done
if [ -z "$long" ]; then
    for pair in '1 3' '2 1' '3 2' '8 2'; do
        resumed "${pair#* }" adam 19 "${pair% *}"
    done
fi

# Again and again, with a change of every key that is free.
rm -rf part
train_into part 2 --set train.max_steps=5 --set train.checkpoint.every_steps=2 --set train.log_every=1 sgd.cfg
train_into part 1 --resume --set train.max_steps=15 --set train.eval_every=0 --set train.bucket_mb=0.01 sgd.cfg
train_into part 5 --resume=part --set train.max_steps=16 --set train.checkpoint.async=false sgd.cfg
train_into part 3 --resume part/ckpt --set train.max_steps=33 --set train.comm=mpi sgd.cfg
train_into part 3 --auto-resume --set train.threads=2 sgd.cfg
same_end whole.sgd part
# A run that is done is evaluated again, and goes on when it is given more epochs.
train_into part 2 --resume sgd.cfg
same_end whole.sgd part
train_into part 2 --resume --set train.epochs=4 sgd.cfg
train_into longer 2 --set train.epochs=4 sgd.cfg
same_end longer part

# Less is asked for than is done.
train_into part 2 --resume --set train.max_steps=3 sgd.cfg
err_has 'going on from part/.*, step 52: no step is left of the 3 asked for'

# Into another folder, from a step that is not the newest.
train_into old 2 --set train.checkpoint.every_steps=10 sgd.cfg
expect 0 "$mpiexec" -n 3 "$ddpt" train --out new --resume old/ckpt/step-00000030 sgd.cfg
field_is new param_digest "$(field whole.sgd param_digest)"
[ -e old/ckpt/step-00000039/manifest.pb ] || fail 'the old run has lost a checkpoint'
expect 0 "$ddpt" train --out done --resume old sgd.cfg
[ -e done/ckpt/step-00000039/manifest.pb ] || fail 'a run that was done elsewhere is not saved here'
# In its own folder the newer ones make way.
expect 0 "$mpiexec" -n 2 "$ddpt" train --resume old/ckpt/step-00000030/ --set train.max_steps=33 sgd.cfg
err_has 'warning: .*set aside 1 checkpoint that'
[ -e old/ckpt/step-00000033/manifest.pb ] || fail 'the run did not go on in its own folder'
[ -e old/ckpt/step-00000039.aside/manifest.pb ] || fail 'step 39 was not set aside'

# Without --out: the newest run of that name that has a checkpoint.
expect 0 "$ddpt" train --set train.max_steps=5 sgd.cfg
expect 0 "$ddpt" train --resume sgd.cfg
err_has 'going on from runs/sgd-'
field_is runs/sgd-* param_digest "$(field whole.sgd param_digest)"

# ---- other mathematics ----
rm -rf part
train_into part 2 --set train.max_steps=20 sgd.cfg
refused() {
    err=$1
    shift
    find part | sort >before
    expect 4 "$mpiexec" -n 2 "$ddpt" train --out part --resume "$@" sgd.cfg
    is_one_error
    err_has "$err"
    find part | sort | cmp -s before - || fail 'something changed on disk'
}
refused 'train.batch = 48 there, 24 here' --set train.batch=24
refused 'train.seed = 3 there, 9 here' --set train.seed=9
refused 'train.optimizer.lr = 0.1 there, 0.2 here.*--allow-config-change' --set train.optimizer.lr=0.2
refused 'model.layers.0.units = 48 there, 32 here' --set model.layers.0.units=32
refused 'train.batch = .*; train.optimizer.momentum = ' --set train.batch=24 --set train.optimizer.momentum=0.5
refused 'data.train_samples = 600 there' --set data.train_samples=500
refused 'model.loss = ' --set model.loss=mean_squared_error
# What is tested, and how a new model would begin, may change.
cp -r part tested
train_into tested 2 --resume --set data.test_samples=50 --set model.layers.0.init=glorot sgd.cfg
field_is tested param_digest "$(field whole.sgd param_digest)"
# Parameters that do not fit stay refused.
refused 'another graph: dense1/weight is 784 x 48 there, 784 x 32 here' --allow-config-change --set model.layers.0.units=32

allowed() {
    rm -rf changed
    cp -r part changed
    train_into changed "$@" --resume --allow-config-change sgd.cfg
}
allowed 2 --set train.optimizer.lr=0.05
field_is changed steps 39
# 20 steps of 48: 13 are an epoch, 7 * 48 = 336 samples of the next are 14 steps of 24 after 25.
allowed 3 --set train.batch=24
err_has 'step 20 of 56'
field_is changed steps 56
field_is changed epochs 3
# The count of steps differs from that of the epochs from then on, also when it is resumed once more.
train_into changed 2 --resume --set train.batch=24 --set train.epochs=4 sgd.cfg
field_is changed steps 81
allowed 1 --set train.batch=100
err_has 'step 20 of 29'
sed 's/type = "sgd"; lr = 0.1; momentum = 0.9; nesterov = true;/type = "adam"; lr = 0.001;/' sgd.cfg >adam2.cfg
expect 0 "$ddpt" train --out changed2 --resume part --allow-config-change adam2.cfg
err_has 'warning: .*no such optimizer state'
field_is changed2 steps 39

# ---- parameters alone ----
train_into begun 2 --init-from whole.sgd --set train.max_steps=1 --set train.seed=77 sgd.cfg
err_has 'parameters from whole.sgd/ckpt/step-00000039, step 39'
field_is begun steps 1
field_is begun resumed_from_step null
# The first loss is that of a trained network, not of a new one.
awk -F, 'NR == 2 { exit !($3 < 1.0) }' begun/steps.csv || fail "the loss began at $(sed -n 2p begun/steps.csv)"

# ---- a folder that is not this run's ----
rm -rf part
train_into part 2 --set train.max_steps=20 --set train.checkpoint.every_steps=8 sgd.cfg
expect 0 "$mpiexec" -n 2 "$ddpt" train --out part --set train.max_steps=2 sgd.cfg
err_has 'warning: .*set aside 3 checkpoints'
[ "$(echo part/ckpt/*)" = "part/ckpt/step-00000002 part/ckpt/step-00000008.aside part/ckpt/step-00000016.aside part/ckpt/step-00000020.aside" ] ||
    fail "ckpt holds $(ls part/ckpt)"

# One that was set aside is another run: it does not mix with what is there now.
expect 0 "$mpiexec" -n 2 "$ddpt" train --out part --resume part/ckpt/step-00000016.aside --set train.max_steps=18 sgd.cfg
[ "$(sed -n '2s/,.*//p' part/steps.csv)" = 17 ] || fail 'steps.csv kept lines of another run'
[ -e part/ckpt/step-00000002.aside/manifest.pb ] || fail 'step 2 was not set aside'
expect 0 "$mpiexec" -n 2 "$ddpt" train --out part --set train.max_steps=2 sgd.cfg
expect 0 "$mpiexec" -n 2 "$ddpt" train --out part --set train.max_steps=2 sgd.cfg
[ -e part/ckpt/step-00000002.aside-2/manifest.pb ] || fail 'a checkpoint that was set aside is gone'

# ---- data that are the same under another name, and others under the same ----
if [ -d "${DDPT_DATA:-}/mnist" ]; then
    mkdir here
    cp "$DDPT_DATA"/mnist/t10k-* here
    ln -s "$DDPT_DATA/mnist" there
    sed 's/format = "digits";/format = "mnist"; path = "there";/' sgd.cfg >mnist.cfg
    train_into moved 2 --set train.max_steps=5 mnist.cfg
    train_into moved 2 --resume --set train.max_steps=7 --set "data.path=$DDPT_DATA/mnist" mnist.cfg
    images=$(cd here && ls | grep images) labels=$(cd here && ls | grep labels)
    expect 4 "$ddpt" train --out moved --resume --set data.path=here \
        --set "data.train_files=[\"$images\",\"$labels\"]" --set "data.test_files=[\"$images\",\"$labels\"]" mnist.cfg
    is_one_error
    err_has 'data.path = "[^"]*/mnist" there, "here" here'
fi

# ---- nothing to go on from ----
bad() {
    err=$1
    shift
    expect 4 "$mpiexec" -n 3 "$ddpt" train "$@" sgd.cfg
    is_one_error
    err_has "$err"
}
mkdir -p empty/ckpt other
cp sgd.cfg other/file
bad 'error: .*nowhere' --out x --resume nowhere
bad 'error: .*empty' --out empty --resume
bad 'error: .*empty' --out x --resume empty
bad 'error: .*other' --out x --resume other
bad 'error: .*other/file' --out x --resume other/file
bad 'error: .*part/ckpt/step-00000099' --out x --resume part/ckpt/step-00000099
bad 'error: .*nowhere' --out x --init-from nowhere
[ ! -e x ] || fail 'a folder was made'
[ "$(ls -A empty)" = ckpt ] || fail 'something was written'
train_into empty 2 --auto-resume --set train.max_steps=2 sgd.cfg
train_into fresh 2 --auto-resume --set train.max_steps=2 sgd.cfg

# ---- damage ----
train_into sound 3 --set train.max_steps=30 --set train.checkpoint.every_steps=10 sgd.cfg
whole() {
    rm -rf part
    cp -r sound part
}
# falls_back NAME: step 30 is named, step 20 taken.
falls_back() {
    train_into part 2 --resume sgd.cfg
    err_has "warning: part/ckpt/step-00000030.*$1.*; going on from part/ckpt/step-00000020"
    same_end whole.sgd part
    [ -e part/ckpt/step-00000030.aside ] || fail 'the damaged checkpoint is gone'
    rm -rf part/ckpt/*.aside
}
flip() {
    printf '\377' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
newest=part/ckpt/step-00000030
whole; flip $newest/manifest.pb 200; falls_back manifest.pb
whole; : >$newest/manifest.pb; falls_back manifest.pb
whole; rm $newest/shard-0001.bin; falls_back 'shard-0001.bin is missing'
whole; mv $newest/shard-0000.bin t; mv $newest/shard-0002.bin $newest/shard-0000.bin; mv t $newest/shard-0002.bin; falls_back shard-000
whole; dd if=/dev/null of=$newest/shard-0002.bin bs=1 seek=4096 2>/dev/null; falls_back shard-0002.bin
whole; head -c 4 /dev/urandom >>$newest/shard-0002.bin; falls_back shard-0002.bin
whole; cp part/ckpt/step-00000020/manifest.pb $newest; falls_back manifest.pb
# Of another run at the same step, down to the shards.
train_into foreign 3 --set train.max_steps=30 --set train.seed=5 sgd.cfg
whole; cp foreign/ckpt/step-00000030/manifest.pb $newest; falls_back 'another configuration: train.seed = 5 there, 3 here'
# One that is insisted on has nothing to fall back to; nor have three that are all damaged.
whole
flip $newest/shard-0000.bin 9999
bad 'error: part/ckpt/step-00000030/shard-0000.bin is damaged' --resume $newest
for step in 10 20; do
    rm part/ckpt/step-000000$step/shard-0000.bin
done
bad 'error: .*shard-0000.bin is damaged.*nor can any of those before it' --out part --resume
bad 'error: .*shard-0000.bin is damaged' --out part --auto-resume
finish
