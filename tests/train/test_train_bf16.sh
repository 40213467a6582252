#!/bin/sh
# Precision bf16 on the cpu: it learns what fp32 learns, the number of ranks, threads and ways to share do not show in a bit of it, and
# checkpoints go on and are evaluated. Emulated everywhere, and by the processor's own instructions where it has them.
. "$(dirname "$0")/train_test.sh"

bf16="--set train.precision=bf16"

# ---- without the instructions ----
expect 5 env DDPT_ISA=generic "$mpiexec" -n 2 "$ddpt" train --out none $bf16 $small "$examples/digits.cfg"
is_one_error
err_has 'bf16.*AVX512_BF16.*fp32'
[ ! -e none ] || fail 'left a run folder'
expect 2 env DDPT_HOST_BF16=yes "$mpiexec" -n 2 "$ddpt" train --out none $bf16 $small "$examples/digits.cfg"
is_one_error
err_has 'DDPT_HOST_BF16 is "yes"'
expect 5 "$mpiexec" -n 2 "$ddpt" train --out none --set train.precision=tf32 $small "$examples/digits.cfg"
is_one_error
err_has 'tf32'

# ---- with them, or emulated ----
# digest RANKS MODEL: of all ways to share MODEL on RANKS ranks, which must be one.
digest() {
    grep "^$2 .* digest" "ranks$1" | cut -d ' ' -f 5 | sort -u >digests
    [ "$(wc -l <digests)" -eq 1 ] || fail "$mode: $2 on $1 ranks has $(wc -l <digests) digests"
    cat digests
}

cat >net.cfg <<END
data = { format = "digits"; train_samples = 600; test_samples = 70; };
model = { input = [1, 28, 28];
          layers = ( { type = "conv2d"; filters = 5; kernel = 3; stride = 2; },
                     { type = "batch_norm"; activation = "relu"; },
                     { type = "dropout"; rate = 0.2; },
                     { type = "flatten"; },
                     { type = "dense"; units = 32; activation = "gelu"; },
                     { type = "dense"; units = 10; } );
          loss = "softmax_cross_entropy"; };
train = { epochs = 2; batch = 48; seed = 4; precision = "bf16"; checkpoint = { every_steps = 7; };
          optimizer = { type = "adamw"; lr = 0.005; clip_norm = 1.0; weight_decay = 0.01; }; };
END

check_mode() {
    mode=$1
    for ranks in 1 2 3; do
        expect 0 "$mpiexec" -n "$ranks" "$tools/train_matrix" 20 dense train.precision=bf16
        cp out "ranks$ranks"
        [ "$(digest "$ranks" dense)" = "$(digest 1 dense)" ] || fail "$mode: $ranks ranks train other parameters than one"
    done
    expect 0 "$tools/train_matrix" 20 dense train.precision=bf16 train.threads=2
    cp out ranks0
    [ "$(digest 0 dense)" = "$(digest 1 dense)" ] || fail "$mode: 2 threads train other parameters than one"
    expect 0 "$tools/train_matrix" 20 dense
    cp out ranks0
    [ "$(digest 0 dense)" != "$(digest 1 dense)" ] || fail "$mode: bf16 trains what fp32 does"

    # Convolution's sums are rounded to float once, so that ranks show in the last bits at most.
    rm -rf whole part
    train_into whole 3 net.cfg
    train_into one 1 net.cfg
    same_losses "$(field whole steps)" 1e-3 whole one
    train_into part 2 --set train.max_steps=11 net.cfg
    train_into part 2 --resume net.cfg
    train_into again 2 net.cfg
    for name in param_digest train_loss test_loss test_accuracy; do
        field_is part "$name" "$(field again "$name")"
    done
    field_is part precision bf16
    expect 0 "$mpiexec" -n 3 "$ddpt" eval --json --ckpt part net.cfg
    out_has "\"test_accuracy\": $(field part test_accuracy | cut -c 1-9)"

    train_into digits 2 $bf16 --set train.epochs=2 --set data.test_samples=3000 "$examples/digits.cfg"
    awk -v seen="$(field digits test_accuracy)" 'BEGIN { exit !(seen >= 0.95) }' ||
        fail "$mode: test accuracy $(field digits test_accuracy), not 0.95"
}

export DDPT_HOST_BF16=emulate
check_mode emulated
grep -q '"blas": ".*GEMM: bf16 emulated"' digits/run.json || fail 'the record does not say that bf16 was emulated'
grep -q '"DDPT_HOST_BF16": "emulate"' digits/run.json || fail 'the record does not say by which switch'
unset DDPT_HOST_BF16
if grep -qw avx512_bf16 /proc/cpuinfo; then
    check_mode native
    grep -q '"blas": ".*GEMM: AVX512_BF16"' digits/run.json || fail 'the record does not say what computed bf16'
else
    echo 'skipped: bf16 by instructions (this cpu has no AVX512_BF16)'
fi
finish
