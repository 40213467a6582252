#!/bin/sh
# ddpt scale outside an MPI job: it starts one for each trial. What it writes, what it refuses, and whose failures it repeats.
. "$(dirname "$0")/command_test.sh"
tools=$4
small="--set data.train_samples=512 --set data.test_samples=64"

# facts DIR: the report in DIR is sound; its facts are the next output.
facts() {
    expect 0 "$tools/scale_check" facts "$1"
    [ -s "$1/report.html" ] || fail "$1 has no report.html"
    [ -s "$1/scaling.csv" ] || fail "$1 has no scaling.csv"
    set -- "$1" "$1"/trial-*.json
    [ ! -e "$2" ] || fail "there is still $2"
}

count_is() {
    n=$(grep -c -e "$2" "$work/out")
    [ "$n" -eq "$1" ] || fail "'$2' is on stdout $n times, not $1"
}

# ---- reports ----
expect 0 "$ddpt" scale "$examples/digits.cfg" $small --workers 1,2 --steps 30 --repeats 2 --out strong
err_has '^1 worker, trial 1 of 2: [0-9.]* ms a step; about [0-9]* s left$'
err_has '^2 workers, trial [12] of 2: [0-9.]* ms a step'
err_has '^report: strong/report.html$'
[ ! -s out ] || fail 'stdout is not empty'
facts strong
out_has '^digits strong, 407080 gradient bytes, .*ddpt scale .*--out strong$'
count_is 2 '^1 workers, repeat [01]: batch 128, [0-9]* threads, 30 steps$'
count_is 2 '^2 workers, repeat [01]: batch 128, [0-9]* threads, 30 steps$'

# Weak scaling; the folder's own name; as many steps as take some seconds, which the bounds of the choice keep short here.
expect 0 "$ddpt" scale "$examples/digits.cfg" $small --workers 2,1 --steps 20 --repeats 1 --weak --json
cp out json
err_has '^report: runs/scale-digits-[0-9]*-[0-9]*/report.html$'
cmp json runs/scale-digits-*/scaling.json || fail 'stdout is not scaling.json'
grep -q 'train.batch of the configuration is the batch of one worker' runs/scale-digits-*/report.html || fail 'the page does not say whose batch it is'
facts runs/scale-digits-*
out_has '^digits weak,'
count_is 1 '^1 workers, repeat 0: batch 128,'
count_is 1 '^2 workers, repeat 0: batch 256,'
rm -r runs

# One number of workers, threads as the config says.
expect 0 "$ddpt" scale "$examples/digits.cfg" $small --workers 1 --steps 20 --repeats 1 --set train.threads=2 --out one
facts one
out_has '^1 workers, repeat 0: batch 128, 2 threads, 20 steps$'

# What steps a trial counts if nobody says: 2000 at most.
expect 0 "$ddpt" scale "$examples/digits.cfg" $small --workers 1 --repeats 1 --out chosen
facts chosen
steps=$(sed -n 's/^1 workers.* \([0-9]*\) steps$/\1/p' out)
[ "${steps:-0}" -ge 20 ] && [ "$steps" -le 2000 ] || fail "chose $steps steps"

# A point that is known well enough gets no more trials: steps of one length, since they sleep.
cat >nap.sh <<'END'
DDPT_FAILPOINT=rank-0:forward:1:pause=80 exec "$@"
END
expect 0 "$ddpt" scale "$examples/digits.cfg" $small --workers 1 --steps 8 --repeats 9 --out early --launcher 'env N={n} sh nap.sh'
facts early
n=$(grep -c '^1 workers' out)
[ "$n" -ge 2 ] && [ "$n" -lt 9 ] || fail "took $n trials"

# ---- a launcher of the user's ----
cat >launcher.sh <<END
# launcher.sh N PROGRAM ARGUMENTS...
echo "\$1" >>launched
n=\$1
shift
exec "$mpiexec" -n "\$n" "\$@"
END
expect 0 "$ddpt" scale "$examples/digits.cfg" $small --workers 1,2 --steps 20 --repeats 1 --out own --launcher "sh '$work/launcher.sh' {n}"
facts own
[ "$(head -n 1 launched)" = 2 ] || fail 'the warm-up is not at the largest number of workers'
[ "$(sort launched | tr '\n' ' ')" = '1 2 2 ' ] || fail "launched $(cat launched)"

# ---- refusals, before anything is measured ----
refused() {
    expect 2 "$ddpt" scale "$@" --out no-folder
    is_one_error
    [ ! -e no-folder ] || fail 'made a folder'
}
refused
refused missing.cfg
refused "$examples/digits.cfg" --workers 1,129
err_has 'train.batch = 128 .* 129 workers'
refused "$examples/digits.cfg" --workers 0
refused "$examples/digits.cfg" --set no.such.key=1
refused "$examples/digits.cfg" --launcher 'srun -n 4'
refused "$examples/digits.cfg" --weak --strong

# ---- failures of a job ----
failed() {
    wanted=$1
    shift
    expect "$wanted" "$ddpt" scale "$examples/digits.cfg" $small --steps 20 --repeats 1 "$@"
    [ "$(tail -n 1 err | grep -c '^error: ')" -eq 1 ] || fail 'stderr does not end with an error'
    [ ! -e runs ] || fail "there is runs, with $(ls -A runs)"
}
failed 2 --workers 1 --launcher 'no-such-launcher {n}'
err_has 'cannot start no-such-launcher'
failed 1 --workers 1 --launcher 'false {n}'
err_has '1 worker: false ended with status 1'
failed 1 --workers 1 --launcher "sh -c 'echo the queue is closed >&2; exit 9' {n}"
err_has '^the queue is closed$'
err_has 'ended with status 9'
failed 1 --workers 1 --launcher 'true {n}'
err_has 'did not write'
failed 2 --workers 2 --launcher 'env N={n}'
err_has 'started 1 rank where --workers says 2'
failed 7 --workers 1,2 --set train.optimizer.lr=1e6
err_has '2 workers: the loss is not finite .* lower train.optimizer.lr'
failed 2 --weak --workers 1,6
err_has '6 workers: .*train.batch = 768 is more than the 512 training samples'
failed 5 --workers 1 --set train.device=gpu
# What was there stays, what was made goes.
mkdir mine
for out in mine mine/deep/down/; do
    failed 1 --workers 1 --launcher 'false {n}' --out "$out"
done
[ -z "$(ls -A mine)" ] || fail "mine holds $(ls -A mine)"

# What was measured before a failure is reported.
cat >third.sh <<END
# third.sh N PROGRAM ARGUMENTS...: the third job fails.
echo >>jobs
[ "\$(wc -l <jobs)" -lt 3 ] || { echo 'error: out of luck' >&2; exit 3; }
n=\$1
shift
exec "$mpiexec" -n "\$n" "\$@"
END
expect 3 "$ddpt" scale "$examples/digits.cfg" $small --workers 1,2 --steps 20 --repeats 1 --out part --launcher 'sh third.sh {n}'
err_has '^error: out of luck$'
err_has '^report: part/report.html$'
grep -q 'The sweep ended early.*out of luck' part/report.html || fail 'the page does not say that the sweep ended early'
facts part
count_is 1 ' workers, repeat'
finish
