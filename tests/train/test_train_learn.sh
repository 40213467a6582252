#!/bin/sh
# That training learns: the built-in digits to 95 % within 2 epochs, and every optimizer, schedule and loss brings the loss down.
. "$(dirname "$0")/train_test.sh"

# at_least DIR ACCURACY
at_least() {
    awk -v seen="$(field "$1" test_accuracy)" -v wanted="$2" 'BEGIN { exit !(seen >= wanted) }' ||
        fail "$1: test accuracy $(field "$1" test_accuracy), not $2"
}

train_into digits 2 --set train.epochs=2 --set data.test_samples=3000 "$examples/digits.cfg"
at_least digits 0.95

# falls DIR FACTOR: the mean loss of the last 5 steps is below FACTOR times that of the first 5.
falls() {
    awk -F, -v factor="$2" 'FNR > 1 { loss[FNR - 1] = $3; n = FNR - 1 }
        END { for (i = 1; i <= 5; i++) { a += loss[i]; b += loss[n + 1 - i] } exit !(n > 10 && b < factor * a) }
    ' "$1/steps.csv" || fail "$1: the loss does not fall"
}

learns() {
    name=$1
    shift
    train_into "$name" 2 --set train.epochs=6 $small "$@" "$examples/digits.cfg"
    falls "$name" 0.8
}

learns mse --set model.loss=mean_squared_error --set train.optimizer.lr=0.3
learns adam --set train.optimizer='{ type = "adam"; lr = 0.003; }'
learns adamw --set train.optimizer='{ type = "adamw"; lr = 0.003; clip_norm = 5.0; }'
learns nesterov --set train.optimizer.nesterov=true --set train.optimizer.weight_decay=0.001
learns constant --set train.optimizer='{ type = "sgd"; lr = 0.1; }'
learns step --set train.optimizer='{ lr = 0.1; momentum = 0.5; schedule = { type = "step"; every_epochs = 2.0; gamma = 0.5; }; }'

# rates DIR STEP=RATE...: the schedule as it was used.
rates() {
    dir=$1
    shift
    for pair in "$@"; do
        awk -F, -v step="${pair%=*}" -v wanted="${pair#*=}" '
            $1 == step { d = $4 - wanted; if (d < 0) d = -d; good = d <= 1e-6 * wanted } END { exit !good }
        ' "$dir/steps.csv" || fail "$dir: the learning rate of step ${pair%=*} is not ${pair#*=}"
    done
}
# 10 steps an epoch. digits.cfg: cosine over 6 epochs after 2 steps of warm-up.
rates constant 1=0.1 60=0.1
rates step 20=0.1 21=0.05 41=0.025
rates mse 1=0.15 2=0.3
finish
