# job_test.sh: what the tests share that start runs and wait for what becomes of them. Sourced after command_test.sh.

# ---- waiting ----
# within TENTHS COMMAND...: until it succeeds; fails after so many tenths of a second.
within() {
    tries=$((2 * $1))
    shift
    while ! "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

# patiently COMMAND...: until it succeeds; fails after two minutes.
patiently() { within 1200 "$@"; }

# await COMMAND...: without it the rest of the test is about nothing.
await() {
    patiently "$@" && return
    fail "waits in vain for $*"
    finish
}

says() { grep -q -e "$1" err; }

is_gone() { ! kill -0 "$1" 2>/dev/null; }

# in_background COMMAND...: where Ctrl-C reaches it nevertheless.
in_background() {
    : >out
    : >err
    "$tools/train_start" "$@" >out 2>err </dev/null &
    job=$!
}

# ---- runs and their folders ----
# write_state_config SAMPLES TRAIN: state.cfg, a network with momentum, running statistics and dropout: with TRAIN it has every kind
# of state that a checkpoint has to hold.
write_state_config() {
    cat >state.cfg <<END
data = { format = "digits"; train_samples = $1; test_samples = 70; };
model = {
    input = [1, 28, 28];
    layers = (
        { type = "dense"; units = 64; },
        { type = "batch_norm"; activation = "relu"; },
        { type = "dropout"; rate = 0.2; },
        { type = "dense"; units = 10; }
    );
};
train = { batch = 60; optimizer = { type = "sgd"; lr = 0.05; momentum = 0.9; $2
END
}

# field DIR NAME: a value of run.json's result, else the first of that name, without quotes.
field() {
    awk -v name="$2" '
        $0 == "  \"result\": {" { result = 1 }
        $0 ~ "^ *\"" name "\": \"?[^\",]*\"?,?$" {
            gsub(/^[^:]*: "?|"?,?$/, "")
            if (result) { print; found = 1; exit }
            if (first == "") first = $0
        }
        /^  }/ { result = 0 }
        END { if (!found && first != "") print first }
    ' "$1/run.json"
}

# field_is DIR NAME VALUE
field_is() {
    [ "$(field "$1" "$2")" = "$3" ] || fail "$1/run.json: $2 is $(field "$1" "$2"), not $3"
}

# same_end DIR DIR: both runs ended with the same parameters and have the same history, to the bit.
same_end() {
    for name in status steps epochs train_loss test_loss test_accuracy param_digest; do
        field_is "$2" "$name" "$(field "$1" "$name")"
    done
    cut -d , -f 1-3 "$1/steps.csv" >steps.wanted
    cut -d , -f 1-3 "$2/steps.csv" | cmp -s steps.wanted - || fail "the losses of $1 and $2 differ"
}

# has_checkpoint DIR: one that is complete.
has_checkpoint() {
    set -- "$1"/ckpt/step-*/manifest.pb
    [ -e "$1" ]
}

# last_step DIR: of the newest checkpoint, without leading zeros; nothing if there is none.
last_step() {
    ls -d "$1"/ckpt/step-*/manifest.pb 2>/dev/null | sed -n 's/.*step-0*\([0-9][0-9]*\)\/manifest.pb/\1/p' | sort -n | tail -n 1
}

# Whatever has a manifest is sound, at every time.
check_checkpoints() {
    has_checkpoint "$1" || return 0
    "$ddpt" ckpt verify "$1" >verified 2>&1 || fail "$1: $(cat verified)"
}
