#!/bin/sh
# against_pytorch.sh [BUILD]: training rates of ddpt beside those of PyTorch on the same networks: MNIST, global batch 128, SGD with
# momentum, images a second. The recorded figures are PyTorch 1.13 (Debian 12, gloo) on 2 cores of an AMD Zen 4 server; where
# python3 can import torch, it is run here too, right after ddpt on each network, and that is the comparison that counts.
#
# MNIST is looked for as ddpt does ($DDPT_DATA); without it random images of the same shape serve.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
ddpt=${1:-$root/build}/ddpt
launcher=${MPIEXEC:-$(command -v mpiexec.mpich || command -v mpiexec)}
[ -x "$ddpt" ] || { echo "$ddpt is not there: build first (cmake --preset release && cmake --build build)" >&2; exit 1; }

data="--set data.train_samples=20000 --set data.test_samples=1000"
if ! "$ddpt" bench step --steps 2 "$here/mnist-mlp-128.cfg" >/dev/null 2>&1; then
    echo "MNIST was not found: random images instead"
    data="--set data={format=synthetic;classes=10;train_samples=20000;test_samples=1000}"
fi

# rate RANKS THREADS STEPS CONFIG: images a second; threads 0: as ddpt chooses
rate() {
    # shellcheck disable=SC2086  # $data is a list of options
    "$launcher" -n "$1" "$ddpt" bench step --json --steps "$3" --set train.batch=128 --set train.threads="$2" $data "$4" </dev/null |
        sed -n 's/.*"samples_per_second": \([0-9.]*\).*/\1/p' | head -n 1 | awk '{ printf "%.0f\n", $1 }'
}

pytorch() {
    if python3 -c 'import torch' 2>/dev/null; then
        python3 "$here/pytorch_rate.py" "$1" "$2" 2>/dev/null </dev/null || echo -
    else
        echo -
    fi
}

printf '%-34s %28s   %30s   %8s %9s\n' '' 'ddpt' 'PyTorch 1.13, recorded' 'here' 'best over'
printf '%-34s %8s %9s %9s   %9s %9s %10s   %8s %9s\n' 'network' '1 thread' 'all cores' '2 ranks' '1 thread' '2 threads' \
    '2 procs' 'PyTorch' 'PyTorch'
# name, config, steps, PyTorch: 1 process 1 thread, 1 process 2 threads, DDP 2 processes (best of the recorded range)
while IFS='|' read -r name config steps one two ddp; do
    a=$(rate 1 1 "$steps" "$config")
    b=$(rate 1 0 "$steps" "$config")
    c=$(rate 2 1 "$steps" "$config")
    d=$(pytorch "$name" "$steps")
    best=$(printf '%s\n' "$a" "$b" "$c" | sort -n | tail -n 1)
    theirs=$(printf '%s\n' "$one" "$two" "$ddp" "$d" | grep -v - | sort -n | tail -n 1)
    printf '%-34s %8s %9s %9s   %9s %9s %10s   %8s %8sx\n' "$name" "$a" "$b" "$c" "$one" "$two" "$ddp" "$d" \
        "$(echo "$best $theirs" | awk '{ printf "%.2f", $1 / $2 }')"
done <<ROWS
784-4096-4096-10 with dropout|$root/examples/mnist-20m.cfg|40|466|540|400
784-512-512-10 with dropout|$root/examples/mnist.cfg|600|15000|7500|11000
784-128-10|$here/mnist-mlp-128.cfg|2000|128000|45000|33000
conv 32-64, pool, dense 128|$root/examples/mnist-cnn.cfg|40|580|850|1124
ROWS
