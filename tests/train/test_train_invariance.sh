#!/bin/sh
# The number of ranks, the way they communicate and the form of synchronisation do not change what is trained: losses agree within
# 1e-5 over the first 20 steps. DDPT_TEST_LONG=1: more rank counts and 200 steps, within 1e-3.
. "$(dirname "$0")/train_test.sh"
long=${DDPT_TEST_LONG:-}

# ---- many ways of sharing, in one process a number of ranks ----
# agree FILE STEPS TOLERANCE [WAYS]: every way of FILE has the losses of the first way of 1 rank.
agree() {
    awk -v steps="$2" -v tolerance="$3" -v ways="${4-.}" '
        function off(a, b) { return a > b ? a - b : b - a }
        NR == FNR { if (!(($1, $4) in wanted)) wanted[$1, $4] = $5; next }
        ($4 == "test" || $4 ~ /^[0-9]+$/ && $4 <= steps) && $1 " " $2 ~ ways {
            n++
            w = wanted[$1, $4]
            # After as many steps as make the tolerance a large one, the test loss has moved as much.
            if (!(off($5, w) <= tolerance * (w < 0 ? -w : w))) {
                print $1, $2, $3 ": step " $4 ": " $5 " not " w
                bad++
            }
        }
        END { if (!n) print "nothing to compare"; exit bad > 0 || !n }
    ' ranks1 "$1" >difference || fail "$1: $(head -n 3 difference)"
}

# same_digests FILE PATTERN: all ways whose "MODEL COMM SYNC" matches end with equal parameters.
same_digests() {
    [ "$(grep "^$2 digest" "$1" | cut -d ' ' -f 5 | sort -u | wc -l)" -eq 1 ] || fail "$1: $2: digests differ"
}

steps=20
for ranks in 1 2 3 5 8; do
    expect 0 "$mpiexec" -n "$ranks" "$tools/train_matrix" "$steps" all
    cp out "ranks$ranks"
    [ "$(grep -c ' digest ' "ranks$ranks")" -eq 16 ] || fail 'not 16 runs'
    agree "ranks$ranks" 20 1e-5
    # The owner of some rows computes from all samples of all ranks, in shared memory or gathered: to the bit the same.
    for model in dense mse; do
        same_digests "ranks$ranks" "$model .* .*"
    done
    # All-reduce or each a part: the same sums where ranks share memory.
    for model in conv mixed; do
        [ "$ranks" -eq 1 ] || same_digests "ranks$ranks" "$model shm .*"
    done
done
for ranks in 2 3 5 8; do
    for model in dense conv mixed mse; do
        grep -h "^$model .* digest" ranks1 "ranks$ranks" | grep -v ' mpi ' | cut -d ' ' -f 5 | sort -u >digests
        [ "$(wc -l <digests)" -eq 1 ] || echo "note: $model on $ranks ranks differs from 1 rank in the last bits"
    done
done

# Threads and the library for products are no part of the mathematics either.
for set in train.threads=2 train.gemm=openblas; do
    expect 0 "$mpiexec" -n 3 "$tools/train_matrix" "$steps" all "$set"
    cp out "$set"
    agree "$set" 20 1e-5
done

if [ -n "$long" ]; then
    for ranks in 1 2 3 5 8; do
        expect 0 "$mpiexec" -n "$ranks" "$tools/train_matrix" 200 all
        cp out "ranks$ranks"
        agree "ranks$ranks" 20 1e-5
        # Where gradients are reduced as floats, relu's and max pooling's turning points show them within 200 steps.
        agree "ranks$ranks" 200 1e-3 '(dense|mse) |shm|local'
        agree "ranks$ranks" 200 1e-2
    done
fi

# ---- the program, on real data ----
if [ -e "${DDPT_DATA:-}/mnist/train-images-idx3-ubyte.gz" ] || [ -e "${DDPT_DATA:-}/mnist/train-images-idx3-ubyte" ]; then
    train_into mnist1 1 --set train.max_steps=200 "$examples/mnist.cfg"
    for way in '3 shm sharded' '8 shm allreduce' '2 mpi allreduce' ${long:+'2 shm sharded' '3 mpi sharded' '5 shm sharded' '8 mpi allreduce'}; do
        set -- $way
        train_into mnist "$1" --set train.max_steps=200 --set "train.comm=$2" --set "train.sync=$3" "$examples/mnist.cfg"
        same_losses 20 1e-5 mnist1 mnist
        same_losses 200 1e-3 mnist1 mnist
    done
    steps=${long:+200}
    steps=${steps:-20}
    few="--set data.train_samples=6000 --set data.test_samples=100 --set train.epochs=100"
    train_into cnn1 1 $few --set "train.max_steps=$steps" "$examples/mnist-cnn.cfg"
    for way in '2 shm sharded' '3 mpi allreduce' ${long:+'8 shm sharded' '8 mpi allreduce'}; do
        set -- $way
        train_into cnn "$1" $few --set "train.max_steps=$steps" --set "train.comm=$2" --set "train.sync=$3" "$examples/mnist-cnn.cfg"
        same_losses 20 1e-5 cnn1 cnn
        same_losses "$steps" 1e-3 cnn1 cnn
    done
else
    echo 'skipped: real MNIST (not under $DDPT_DATA)'
fi
finish
