#!/bin/sh
# Numbers that run away end a run with status 7 on all ranks, and the record says so.
. "$(dirname "$0")/train_test.sh"

for way in '1 local' '1 mpi' '3 shm' '3 mpi'; do
    ranks=${way% *}
    for sync in allreduce sharded; do
        rm -rf run
        expect 7 "$mpiexec" -n "$ranks" "$ddpt" train --out run --set "train.comm=${way#* }" --set "train.sync=$sync" \
            --set train.optimizer.lr=1e6 --set train.optimizer.schedule.warmup_epochs=0 $small "$examples/digits.cfg"
        [ "$(grep -c 'error: ' err)" -eq 1 ] || fail 'not one error'
        err_has '^error: .*step [0-9]* .*rank [0-9]'
        # A loss that is not finite is no number of JSON or of steps.csv.
        check_record run
        field_is run status diverged
    done
done

# Only one rank's samples are too much: it is the one that is named. All images are 0 but the last, whose pixel overflows.
mkdir data
side='\000\000\000\001'
twelve='\000\000\000\014'
for part in train t10k; do
    { printf "\\000\\000\\010\\003$twelve$side$side"; head -c 11 /dev/zero; printf '\377'; } >data/$part-images-idx3-ubyte
    { printf "\\000\\000\\010\\001$twelve"; head -c 12 /dev/zero; } >data/$part-labels-idx1-ubyte
done
cat >one.cfg <<'END'
data = { format = "mnist"; path = "data"; mean = [0.0]; deviation = [1e-38]; };
model = { input = [1, 1, 1]; layers = ( { type = "dense"; units = 300; init = "he"; },
    { type = "dense"; units = 300; init = "he"; }, { type = "dense"; units = 10; init = "he"; } ); };
train = { batch = 12; shuffle = false; optimizer = { lr = 0.1; }; };
END
for comm in shm mpi; do
    rm -rf run
    expect 7 "$mpiexec" -n 3 "$ddpt" train --out run --set "train.comm=$comm" one.cfg
    err_has '^error: .*step 1 .*rank 2'
    field_is run status diverged
    field_is run steps 0
done

# The last update is the one that goes wrong: each layer multiplies by what one step has made of its weights.
cat >deep.cfg <<'END'
data = { format = "digits"; train_samples = 60; test_samples = 20; };
model = { input = [1, 28, 28]; layers = ( { type = "dense"; units = 10; }, { type = "dense"; units = 10; },
    { type = "dense"; units = 10; }, { type = "dense"; units = 10; }, { type = "dense"; units = 10; },
    { type = "dense"; units = 10; }, { type = "dense"; units = 10; }, { type = "dense"; units = 10; } ); };
train = { batch = 60; optimizer = { type = "adam"; lr = 1e6; }; };
END
expect 7 "$mpiexec" -n 2 "$ddpt" train --out last deep.cfg
err_has '^error: .*test loss .*step 1 '
field_is last status diverged
field_is last steps 1
finish
