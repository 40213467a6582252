# fault_test.sh: what the tests share that kill, stop and hinder runs. Sourced as train_test.sh, which it sources.
. "$(dirname "$0")/train_test.sh"

# Between the launcher and each rank: notes the rank's process and its exit status, and arms fail_point in rank fail_rank alone.
# Its notes are called rank.<rank>.pid and .status, or what rank_files says in place of "rank".
fail_rank=
fail_point=
rank_files=rank
export fail_rank fail_point rank_files
cat >each <<END
#!/bin/sh
rank=\${PMI_RANK:-\${OMPI_COMM_WORLD_RANK:-0}}
[ "\$rank" != "\$fail_rank" ] || export DDPT_FAILPOINT="\$fail_point"
exec "$tools/train_watch" "$work/\$rank_files.\$rank" "\$@"
END
chmod +x each

# Every kind of state that a checkpoint has to hold: momentum, running statistics, dropout, a schedule, a short last batch.
cat >state.cfg <<END
data = { format = "digits"; train_samples = 310; test_samples = 70; };
model = {
    input = [1, 28, 28];
    layers = (
        { type = "dense"; units = 64; },
        { type = "batch_norm"; activation = "relu"; },
        { type = "dropout"; rate = 0.2; },
        { type = "dense"; units = 10; }
    );
};
train = {
    epochs = 37;
    batch = 60;
    eval_every = 7;
    optimizer = {
        type = "sgd"; lr = 0.05; momentum = 0.9;
        schedule = { type = "cosine"; warmup_epochs = 0.5; };
    };
    checkpoint = { every_steps = 7; keep = 2; };
};
END

# Nothing that a test started outlives it.
kill_all() {
    for file in "$work"/rank.*.pid; do
        [ ! -e "$file" ] || kill -KILL "$(cat "$file")" 2>/dev/null
    done
}
trap 'kill_all; rm -rf "$work"' EXIT

# start RANKS COMMAND...: in the background; 0 ranks: without a launcher.
start() {
    ranks=$1
    shift
    rm -f rank.*
    : >out
    : >err
    if [ "$ranks" -eq 0 ]; then
        ranks=1
        "$tools/train_start" "$work/each" "$@" >out 2>err </dev/null &
    else
        "$tools/train_start" "$mpiexec" -n "$ranks" "$work/each" "$@" >out 2>err </dev/null &
    fi
    job=$!
}

# patiently COMMAND...: until it succeeds; fails after a minute.
patiently() {
    tries=1200
    while ! "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

all_there() {
    [ "$(ls rank.*.pid 2>/dev/null | wc -l)" -eq "$ranks" ]
}

all_gone() {
    for file in rank.*.pid; do
        [ -e "$file" ] || continue
        if kill -0 "$(cat "$file")" 2>/dev/null; then return 1; fi
    done
}

job_gone() {
    ! kill -0 "$job" 2>/dev/null
}

# Waits for the launcher and its ranks; `got` becomes its status.
await_end() {
    patiently job_gone || { fail 'the run does not end'; kill -KILL "$job"; }
    patiently all_gone || { fail 'ranks outlive the launcher'; kill_all; }
    rm -f rank.*.pid
    wait "$job"
    got=$?
}

# rank_status RANK: how it ended; nothing if that is not known.
rank_status() {
    [ ! -e "rank.$1.status" ] || cat "rank.$1.status"
}

says() {
    grep -q -e "$1" err
}

# has_checkpoint DIR: one that is complete.
has_checkpoint() {
    set -- "$1"/ckpt/step-*/manifest.pb
    [ -e "$1" ]
}

# Whatever has a manifest is sound, at every time.
check_checkpoints() {
    has_checkpoint "$1" || return 0
    "$ddpt" ckpt verify "$1" >verified 2>&1 || fail "$1: $(cat verified)"
}

# check_folder DIR KEEP: a run that has ended in good order left its record, at most KEEP sound checkpoints, nothing half-made.
check_folder() {
    "$tools/train_record" "$1/run.json" "$1/steps.csv" >record 2>&1 || fail "$1: $(cat record)"
    others=$(ls -A "$1" | grep -v -x -e run.json -e steps.csv -e ckpt)
    [ -z "$others" ] || fail "$1 also holds $others"
    others=$(ls -A "$1/ckpt" | grep -v -x 'step-[0-9]\{8,\}')
    [ -z "$others" ] || fail "$1/ckpt also holds $others"
    [ "$(ls "$1/ckpt" | wc -l)" -le "$2" ] || fail "$1/ckpt holds more than $2: $(ls "$1/ckpt")"
    [ -n "$(ls "$1/ckpt")" ] || return 0
    others=$(ls -A "$1"/ckpt/step-* | grep -v -e "^$1/ckpt/step-[0-9]*:\$" -e '^shard-[0-9]*\.bin$' -e '^manifest\.pb$' -e '^$')
    [ -z "$others" ] || fail "a checkpoint in $1 also holds $others"
    for half in "$1"/ckpt/step-*; do
        [ -e "$half/manifest.pb" ] || fail "$half is half a checkpoint"
    done
    check_checkpoints "$1"
}

# last_step DIR: of the newest checkpoint, without leading zeros; nothing if there is none.
last_step() {
    ls -d "$1"/ckpt/step-*/manifest.pb 2>/dev/null | sed -n 's/.*step-0*\([0-9][0-9]*\)\/manifest.pb/\1/p' | sort -n | tail -n 1
}

# same_end DIR DIR: both runs ended with the same parameters and have the same history.
same_end() {
    for name in status steps epochs train_loss test_loss test_accuracy param_digest; do
        field_is "$2" "$name" "$(field "$1" "$name")"
    done
    same_losses "$(field "$1" steps)" 0 "$1" "$2"
}
