#!/bin/sh
# ddpt eval: the numbers that training found, on any number of ranks; and what it refuses.
. "$(dirname "$0")/command_test.sh"

small="--set data.train_samples=600 --set data.test_samples=70 --set train.batch=60 --set train.epochs=2"
# result NAME: of run.json
result() { sed -n '/^  "result": {/,/^  }/s/^ *"'"$1"'": \([^,]*\),\{0,1\}$/\1/p' run/run.json; }
# number NAME: of the JSON on stdout
number() { sed -n 's/^ *"'"$1"'": \([^,]*\),\{0,1\}$/\1/p' out; }

expect 0 "$mpiexec" -n 2 "$ddpt" train --out run $small --set train.checkpoint.every_steps=10 "$examples/digits.cfg"
find run -type f -exec cksum {} + | sort >before

for ranks in 1 3; do
    for path in run run/ run/ckpt run/ckpt/step-00000020 run/ckpt/step-00000020/; do
        expect 0 "$mpiexec" -n "$ranks" "$ddpt" eval --json --ckpt "$path" $small "$examples/digits.cfg"
        out_has '"schema": "ddpt.eval.v1"'
        out_has '"checkpoint": "run/ckpt/step-00000020"'
        out_has '"step": 20,'
        out_has '"samples": 70,'
        # The ranks' sums may be rounded in another order.
        awk -v a="$(number test_loss)" -v b="$(result test_loss)" \
            'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a > 0 && d <= 1e-6 * b) }' ||
            fail "test loss $(number test_loss), not $(result test_loss)"
        awk -v a="$(number test_accuracy)" -v b="$(result test_accuracy)" \
            'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a > 0 && d <= 1e-8) }' ||
            fail "test accuracy $(number test_accuracy), not $(result test_accuracy)"
    done
done
expect 0 "$mpiexec" -n 3 "$ddpt" eval $small "$examples/digits.cfg" --ckpt run/ckpt/step-00000010
out_has '^run/ckpt/step-00000010 (step 10): test loss [0-9.]*, accuracy [0-9.]* % (70 samples)$'
[ "$(grep -c . out)" -eq 1 ] || fail 'not one line'
# What does not shape the model may differ, the test set too.
expect 0 "$ddpt" eval --ckpt run $small --set data.test_samples=33 --set train.seed=5 --set train.batch=7 \
    --set train.optimizer.lr=3 "$examples/digits.cfg"
out_has '(33 samples)$'

# A damaged one is named, and the one before it taken; unless it was asked for itself.
cp -R run bad
printf '\377\377' | dd of=bad/ckpt/step-00000020/shard-0001.bin bs=1 seek=9000 conv=notrunc 2>/dev/null
expect 0 "$ddpt" eval --ckpt bad $small "$examples/digits.cfg"
err_has '^warning: bad/ckpt/step-00000020/shard-0001.bin is damaged'
out_has '^bad/ckpt/step-00000010 (step 10): '
expect 4 "$ddpt" eval --ckpt bad/ckpt/step-00000020 $small "$examples/digits.cfg"
is_one_error
printf '\010\002' | dd of=bad/ckpt/step-00000010/manifest.pb bs=1 conv=notrunc 2>/dev/null
expect 4 "$ddpt" eval --ckpt bad $small "$examples/digits.cfg"
is_one_error
expect 4 "$ddpt" eval --ckpt bad/ckpt/step-00000010 $small "$examples/digits.cfg"
is_one_error
err_has 'newer ddpt'

# Another model.
for set in model.layers.0.units=64 'model.layers.0.name=first' 'model.layers.0.bias=false'; do
    expect 4 "$ddpt" eval --ckpt run $small --set "$set" "$examples/digits.cfg"
    is_one_error
    err_has 'run/ckpt/step-00000020 '
done

mkdir empty
for path in nowhere empty "$examples/digits.cfg" run/run.json ''; do
    expect 4 "$ddpt" eval --ckpt "$path" $small "$examples/digits.cfg"
    is_one_error
done
expect 4 "$mpiexec" -n 3 "$ddpt" eval --ckpt nowhere $small "$examples/digits.cfg"
[ "$(grep -c '^error: ' err)" -eq 1 ] || fail 'not one error'
expect 2 "$ddpt" eval "$examples/digits.cfg"
is_one_error
err_has '--ckpt DIR'
for arguments in '--ckpt run' '--ckpt' "--ckpt run $examples/digits.cfg $examples/digits.cfg" \
    "--ckpt run --nothing $examples/digits.cfg" '--ckpt run missing.cfg'; do
    expect 2 "$ddpt" eval $arguments
    is_one_error
done
expect 5 "$ddpt" eval --ckpt run --set train.device=gpu "$examples/digits.cfg"
is_one_error

find run -type f -exec cksum {} + | sort | cmp -s before - || fail 'something was changed on disk'
finish
