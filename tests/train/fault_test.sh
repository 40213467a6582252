# fault_test.sh: what the tests share that kill, stop and hinder runs. Sourced as train_test.sh, which it sources.
. "$(dirname "$0")/train_test.sh"
. "$shared/ranks_test.sh"

# Between the launcher and each rank: notes the rank's process and its exit status, and arms fail_point in rank fail_rank alone, beside
# what is armed in all. Its notes are called rank.<rank>.pid and .status, or what rank_files says in place of "rank".
fail_rank=
fail_point=
rank_files=rank
export fail_rank fail_point rank_files
write_each '[ "$rank" != "$fail_rank" ] || export DDPT_FAILPOINT="$fail_point${DDPT_FAILPOINT:+,$DDPT_FAILPOINT}"' \
    "exec '$tools'/train_watch '$work'/\$rank_files.\$rank \"\$@\""

# A schedule and a short last batch too.
write_state_config 310 '
    schedule = { type = "cosine"; warmup_epochs = 0.5; }; };
    epochs = 37; eval_every = 7; checkpoint = { every_steps = 7; keep = 2; }; };'

job_gone() { is_gone "$job"; }

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
