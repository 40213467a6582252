#!/bin/sh
# ddpt launch that nobody disturbs: what it computes, whose cores, whose lines; and what it refuses.
. "$(dirname "$0")/launch_test.sh"
small="--set data.train_samples=1280 --set data.test_samples=100"

# launched STATUS ARGUMENTS...
launched() {
    wanted=$1
    shift
    DDPT_TEST_MARK=$mark expect "$wanted" "$ddpt" launch "$@"
    await none_left
}

# ---- the same as mpiexec starts ----
expect 0 "$mpiexec" -n 4 "$ddpt" train --out plain $small "$examples/digits.cfg"
launched 0 -n 4 train --out four $small "$examples/digits.cfg"
field_is four world_size 4
same_end plain four
[ ! -s out ] || fail 'stdout is not empty'
launched 0 -n 1 train --out one $small "$examples/digits.cfg"
same_end plain one
launched 0 train --out default $small "$examples/digits.cfg"
n=$(field default world_size)
[ "$n" -ge 1 ] && [ "$n" -le "$(nproc)" ] || fail "$n workers on $(nproc) processors"
same_end plain default

what='a launch without stdin, stdout, stderr'
"$ddpt" launch -n 2 train --out closed $small "$examples/digits.cfg" <&- >&- 2>&- || fail "status $?"
same_end plain closed

# What else runs as a job; stdout is the command's.
launched 0 -n 2 eval $small "$examples/digits.cfg" --ckpt four --json
out_has '"test_accuracy"'
launched 0 -n 3 bench allreduce --sizes 4,4K --json
out_has '"nbytes": 4096'
launched 0 -n 2 scale $small --steps 20 --repeats 1 --out scale "$examples/digits.cfg"

# ---- cores ----
# cores_of WORKER: of all its threads.
cores_of() {
    sed -n 's/^Cpus_allowed_list:\t*//p' /proc/"$1"/task/*/status | sort -u
}
# each_core WORKER: numbers, one a line.
each_core() {
    cores_of "$1" | tr ',' '\n' | while IFS=- read -r first last; do seq "$first" "${last:-$first}"; done
}
if [ "$n" -ge 2 ]; then
    start -n 2 train --out bound $endless state.cfg
    await has_checkpoint bound
    set -- $(workers)
    [ $# -eq 2 ] || fail "$# workers"
    for worker in "$@"; do
        [ "$(cores_of "$worker" | wc -l)" -eq 1 ] || fail "the threads of $worker may use $(cores_of "$worker")"
    done
    { each_core "$1"; each_core "$2"; } | sort >cores
    [ -z "$(uniq -d cores)" ] || fail "both workers have core $(uniq -d cores)"
    kill -TERM "$job"
    ended 75 ''
    [ "$(field bound threads_per_rank)" -eq $((n / 2)) ] || fail "$(field bound threads_per_rank) threads on $n cores"
    start -n 2 --bind none train --out free $endless state.cfg
    await has_checkpoint free
    for worker in $(workers); do
        [ "$(cores_of "$worker")" = "$(cores_of self)" ] || fail "$worker may use $(cores_of "$worker")"
    done
    kill -TERM "$job"
    ended 75 ''
else
    echo 'the division of cores is not tested: there is one'
fi
launched 0 -n $((n + 1)) train --out more $small "$examples/digits.cfg"
err_has "^$((n + 1)) workers share $n cores*, so none is bound"
same_end plain more

# ---- prefix ----
DDPT_LOG=debug launched 0 -n 2 --prefix train --out prefixed $small "$examples/digits.cfg"
! grep -v '^\[[01]\] ' err | grep -v '^2 workers share' >bare || fail "a line without a rank: $(cat bare)"
! grep '^\[[01]\] \[[01]\] ' err >twice || fail "a rank comes twice: $(cat twice)"
err_has '^\[0\] done: '
launched 0 -n 2 --prefix bench allreduce --sizes 4,4K --json
[ "$(grep -c . out)" -gt 3 ] || fail 'nothing on stdout'
! grep -v '^\[0\] ' out >bare || fail "a line without a rank: $(cat bare)"

# ---- output that nobody takes does not end a job ----
# What mpiexec is not asked to write it cannot fail to write.
for option in '' --prefix; do
    what="launch $option to a reader that leaves"
    { DDPT_TEST_MARK=$mark "$ddpt" launch -n 2 $option train --out "left$option" $small "$examples/digits.cfg" 2>&1
        echo $? >status; } | head -n 1 >out
    [ "$(cat status)" = 0 ] || fail "status $(cat status)"
    same_end plain "left$option"
done
what='launch to a full disk'
DDPT_TEST_MARK=$mark "$ddpt" launch -n 2 train --out full $small "$examples/digits.cfg" >/dev/full 2>&1 || fail "status $?"
same_end plain full
what='a result to a full disk'
"$ddpt" launch -n 2 eval $small "$examples/digits.cfg" --ckpt four --json >/dev/full 2>err
got=$?
[ "$got" -eq 1 ] || fail "status $got"
tail -n 1 err | grep -q '^error: cannot write to stdout: ' || fail 'does not say why'

# ---- failures that all workers share: one line, as without a launcher, the last one ----
fails() {
    wanted=$1
    text=$2
    shift 2
    launched "$wanted" "$@"
    tail -n 1 err | grep -q -e "^error: $text" || fail "the last line is not '$text'"
    [ "$(grep -c 'error: ' err)" -eq 1 ] || fail 'not one error'
}
fails 2 'cannot read the config missing.cfg' -n 2 train missing.cfg
fails 2 'ddpt train needs a config file' -n 2 train
fails 2 '.*train.batch = 1 is the global batch' -n 2 train --set train.batch=1 state.cfg
fails 3 '' -n 2 train --set 'data.format=mnist' --set 'data.path=nowhere' state.cfg
fails 4 '' -n 2 train --resume --out nowhere state.cfg
fails 7 'the loss is not finite' -n 2 train --set train.optimizer.lr=1e6 "$examples/digits.cfg"
fails 7 'the loss is not finite' -n 2 --restarts 3 --prefix train --set train.optimizer.lr=1e6 "$examples/digits.cfg"
! says 'restart' || fail 'started again'

# ---- refusals, before anything starts ----
refused() {
    wanted=$1
    shift
    launched "$wanted" "$@"
    is_one_error
}
refused 2
refused 2 -n 0 train state.cfg
refused 2 -n 2 --no-such-option train state.cfg
refused 2 --bind tight train state.cfg
refused 2 --restarts 1 eval state.cfg --ckpt four
refused 2 doctor
refused 2 launch train state.cfg
refused 2 --gpus 1,1 train state.cfg
for choice in all 1 0,1; do
    DDPT_GPU_PLUGIN=/no/such/file.so refused 5 --gpus $choice -n 2 train state.cfg
    err_has "gpus = '$choice'"
done
launched 0 --gpus none -n 2 train --out none $small "$examples/digits.cfg"
PMI_SIZE=3 refused 2 -n 2 train state.cfg
err_has 'it was started by hydra'
launched 0 --help
out_has '^usage: ddpt launch '

# ---- mpiexec ----
DDPT_MPIEXEC=/no/such/mpiexec refused 1 -n 2 train state.cfg
err_has 'no mpiexec .*/no/such/mpiexec'
for program in true false; do
    DDPT_MPIEXEC=$(command -v $program) refused 1 -n 2 train state.cfg
    err_has 'ended with status [01], and no worker had begun'
done
# ---- GPUs of a back end that has none, as an mpiexec sees them that only writes them down: workers, and who is visible ----
printf '#!/bin/sh\necho "$2 ${CUDA_VISIBLE_DEVICES-unset}" >seen\n' >look
chmod +x look
sees() {
    sight=$1
    shift
    DDPT_MPIEXEC=$work/look DDPT_GPU_PLUGIN=$tools/some_gpus.so launched 1 "$@" train state.cfg
    [ "$(cat seen)" = "$sight" ] || fail "sees $(cat seen), not $sight"
}
DDPT_TEST_GPUS=3 sees '3 0,1,2'
DDPT_TEST_GPUS=3 sees '3 0,1,2' --gpus all
DDPT_TEST_GPUS=3 sees '2 0,1' --gpus 2
DDPT_TEST_GPUS=3 sees '2 2,0' --gpus 2,0
DDPT_TEST_GPUS=3 sees '4 1' --gpus 1, -n 4
DDPT_TEST_GPUS=2 CUDA_VISIBLE_DEVICES=5,7 sees '1 7' --gpus 1,
DDPT_TEST_GPUS=3 sees '2 unset' -n 2
DDPT_TEST_GPUS=3 sees '2 -1' -n 2 --gpus none
sees "$n unset"
DDPT_TEST_GPUS=crash sees "$n unset"
DDPT_TEST_GPUS=crash DDPT_GPU_PLUGIN=$tools/some_gpus.so refused 5 --gpus all train state.cfg
err_has "gpus = 'all': the process that looked for GPUs ended with signal 9"
DDPT_TEST_GPUS=2 DDPT_GPU_PLUGIN=$tools/some_gpus.so refused 5 --gpus 3 train state.cfg
err_has "gpus = '3': there are 2 GPUs"

printf '#!/bin/sh\nexec "%s" "$@"\n' "$mpiexec" >another-mpiexec
chmod +x another-mpiexec
DDPT_MPIEXEC=$work/another-mpiexec launched 0 -n 2 train --out another $small "$examples/digits.cfg"
finish
