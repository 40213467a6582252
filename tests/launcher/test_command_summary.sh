#!/bin/sh
# ddpt summary: numbers from closed forms, and what it refuses.
. "$(dirname "$0")/command_test.sh"
tools=$4

expect 0 "$ddpt" summary "$examples/digits.cfg"
out_has '^input  *input  *1x28x28  *0  *0$'
out_has '^dense1  dense  *128  *100480  *200704  + relu$' # 784 * 128 + 128, 2 * 784 * 128
out_has '^dense2  dense  *10  *1290  *2560$'
out_has '^total  *101770  *203264$'
out_has 'FLOPs of a training sample  409088 ' # 203264 + 2 * 200704 - 200704 + 2 * 2560
out_lacks '^layer.*inputs'

expect 0 "$ddpt" summary "$examples/mnist-cnn.cfg"
out_has '^conv2d2  *conv2d  *64x24x24  *18496 ' # 3 * 3 * 32 * 64 + 64
out_has '^dropout1 .* in place$'
out_has '^flatten1 .* no copy$'
out_has '^total  *1199882 '

expect 0 "$ddpt" summary "$examples/mnist-20m.cfg"
out_has '^total  *20037642 '

expect 0 "$ddpt" summary "$examples/cifar10.cfg"
out_has '^layer  *type  *inputs  *output'
out_has '^sum  *add  *down, res2  *64x8x8 '
out_has '^total  *168746 '

# Memory: two state tensors for adam, which two ranks of a node share in halves; one batch in halves.
cat >tiny.cfg <<'END'
data = { format = "synthetic"; };
model = { input = [64]; layers = ( { type = "dense"; units = 256; bias = false; } ); };
train = { device = "cpu"; batch = 32; optimizer = { type = "adam"; }; };
END
expect 0 "$ddpt" summary --json tiny.cfg
out_has '"schema": "ddpt.summary.v1"'
out_has '"parameters": 16384,'
out_has '"parameters": 65536,'
out_has '"optimizer_state": 131072'
out_has '"batch_per_rank": 32'
out_has '"sync": "allreduce"'
expect 0 "$ddpt" summary --json --ranks 2 tiny.cfg
out_has '"optimizer_state": 65536'
out_has '"batch_per_rank": 16'
out_has '"sync": "sharded"'
out_has '"parameter_copies_a_node": 1'
expect 0 "$ddpt" summary --json -n 2 --set train.sync=allreduce tiny.cfg
out_has '"optimizer_state": 131072'
out_has '"parameter_copies_a_node": 2'
expect 0 "$ddpt" summary -n 3 --set train.batch=31 --set train.optimizer.type=sgd tiny.cfg
out_has 'memory of a rank, on the cpu, 3 ranks on one node, 11 samples each'
out_has '^  optimizer state  *0.0 KiB'

# On GPUs: own parameters on each, no operands, and what is at work of a batch; in bf16 2 bytes an element.
expect 0 "$ddpt" summary --json -n 2 --set train.device=gpu tiny.cfg
for field in '"device": "gpu"' '"sync": "allreduce"' '"parameter_copies_a_node": 2' '"operands": 0' '"parameters_bf16": 0' \
    '"input_batches": 4288' '"gradients": 65536'; do # 16 * (64 * 4 + 4 + 8)
    out_has "$field"
done
activations=$(sed -n 's/.*"activations": \([0-9]*\),/\1/p' out)
expect 0 "$ddpt" summary --json -n 2 --set train.device=gpu --set train.precision=bf16 tiny.cfg
out_has '"input_batches": 2240'
out_has '"parameters_bf16": 32768'
[ "$(sed -n 's/.*"activations": \([0-9]*\),/\1/p' out)" -eq $((activations / 2)) ] || fail 'activations in bf16 are not half'
expect 0 "$ddpt" summary --set train.device=gpu tiny.cfg
out_has 'memory of a rank, on a GPU, 1 rank on one node'

# device = "auto": what train would take, and why.
# takes GPUS RANKS OPTIONS
takes() {
    expect 0 env DDPT_GPU_PLUGIN="$tools/some_gpus.so" DDPT_TEST_GPUS="$1" "$ddpt" summary --set train.device=auto $3 -n "$2" tiny.cfg
    [ ! -s err ] || fail 'says something on stderr'
}
takes 2 2 ''
out_has '^train.device = "auto" takes GPUs here: GPU of a test$'
out_has '^memory of a rank, on a GPU, 2 ranks'
takes 2 3 ''
out_has '^train.device = "auto" takes the cpu here: there are more ranks than GPUs (2)$'
out_has '^memory of a rank, on the cpu, 3 ranks'
takes 2 3 --share-gpus
out_has '^memory of a rank, on a GPU, 3 ranks'
takes 0 1 --json
out_has '"device": "cpu"'
out_has '"device_note": "no GPU can be used: this one is for tests"'
takes 1 1 '--json --set train.device=cpu'
out_has '"device": "cpu"'
out_has '"device_note": null'

# Bad input.
expect 2 "$ddpt" summary
is_one_error
expect 2 "$ddpt" summary tiny.cfg tiny.cfg
is_one_error
expect 2 "$ddpt" summary missing.cfg
is_one_error
err_has 'missing.cfg'
expect 2 "$ddpt" summary -n 33 tiny.cfg
is_one_error
err_has 'train.batch = 32'
for ranks in 0 -1 x 2x ''; do
    expect 2 "$ddpt" summary --ranks "$ranks" tiny.cfg
    is_one_error
done
expect 2 "$ddpt" summary --ranks
is_one_error
expect 2 "$ddpt" summary --set train.bach=64 tiny.cfg
is_one_error
err_has 'batch'
expect 2 "$ddpt" summary --set model.layers.0.units=0 tiny.cfg
is_one_error
printf 'data = { format = "synthetic"; };\nmodel = { input = [4]; layers = (\n%s\n); };\n' \
    '{ type = "conv2d"; filters = 2; kernel = 3; }' >bad.cfg
expect 2 "$ddpt" summary bad.cfg
is_one_error
err_has 'bad.cfg:3'
finish
