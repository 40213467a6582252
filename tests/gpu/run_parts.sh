# run_parts.sh: the parts of run.sh, part_NAME each, which add rows to its table: check, figure, wanted, verdict. Sourced by it.

set -- "$tests" "$ddpt" "$root/examples" "$mpiexec"
. "$here/../train/gpu_test.sh"
STEPS=200

# check NAME FIGURE WANTED: a row about the commands since the row before, failed if one of them did.
check()
{
    verdict=pass
    [ "$failures" -eq 0 ] || verdict=fail
    failures=0
    row "$1" "$2" "$3" "$verdict"
}

# why_not REASON: of a check that was skipped.
why_not() { if [ -n "$emulated" ]; then echo 'an emulated GPU'; else echo "$1"; fi; }

# at_least A B, below A B: of numbers.
at_least() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a ~ /^[0-9.]/ && a + 0 >= b + 0) }'; }
below() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a ~ /^[0-9.]/ && a + 0 < b + 0) }'; }

# ---- ops and sanitizer ----

test_names()
{
    if [ -n "$emulated" ]; then
        (cd "$tests" && ls) | sed -n 's/^test_gpu_//p' | grep -v -x -e comm -e run -e emulator
    elif [ -x "$tests/test_device" ]; then
        "$tests/test_device" --list
    fi
}

# A program that hangs on the GPU must not take the time of the others.
bounded='timeout 540'

# run_tests TAG PREFIX...: all of them beside one another, each behind the prefix; $out/TAG-NAME.{log,status}.
run_tests()
{
    tag=$1
    shift
    for test in $(test_names); do
        program="$tests/test_device $test"
        if [ -n "$emulated" ]; then program=$tests/test_gpu_$test; fi
        echo "$out/$tag-$test $* $program"
    done | xargs -P "$(($(nproc) / 2 + 1))" -L 1 sh -c 'log=$0; "$@" >"$log.log" 2>&1 </dev/null; echo $? >"$log.status"'
}

# largest_error PRECISION
largest_error()
{
    for test in $(test_names); do cat "$out/ops-$test.log"; done | sed -n "s/^largest error in $1: //p" | sort -g | tail -n 1
}

part_ops()
{
    if [ -z "$(test_names)" ]; then
        row 'ops' 'no test programs: build with -DDDPT_GPU_TESTS=ON' '-' fail
        return
    fi
    # shellcheck disable=SC2086 # a command
    run_tests ops $bounded
    for test in $(test_names); do
        status=$(cat "$out/ops-$test.status")
        [ "$status" -eq 0 ] || { failures=1; grep -a -e '\[  ERROR' -e FAILED -e skipped "$out/ops-$test.log"; }
        check "ops: $test" "status $status$(sed -n 's/^\[  PASSED  \] \(.*\)\./, \1 passed/p' "$out/ops-$test.log")" 'status 0'
    done
    for bound in fp32:1e-5 tf32:2e-3 bf16:1.5e-2; do
        error=$(largest_error "${bound%:*}")
        below "${error:-none}" "${bound#*:}" || failures=1
        check "ops: largest error in ${bound%:*}" "${error:-none}" "< ${bound#*:}"
    done
}

# Into $unfit, why compute-sanitizer cannot be used; nothing where it can. Sandboxes keep it away from a GPU that works.
find_sanitizer()
{
    unfit=
    sanitizer=$(command -v compute-sanitizer || ls "${CUDA_HOME:-/usr/local/cuda}"/bin/compute-sanitizer 2>/dev/null)
    if [ -n "$emulated" ] || [ -z "$sanitizer" ]; then
        unfit=$(why_not 'no compute-sanitizer here')
        return
    fi
    $bounded "$sanitizer" "$tests/test_device" "$(test_names | head -n 1)" >"$out/sanitizer.log" 2>&1 </dev/null
    if grep -a -q 'Device not supported' "$out/sanitizer.log"; then unfit='compute-sanitizer does not support this device'; fi
}

part_sanitizer()
{
    find_sanitizer
    for tool in $(echo "$tools_wanted" | tr ',' ' '); do
        if [ -n "$unfit" ]; then
            row "compute-sanitizer $tool" "$unfit" 'no errors' skipped
            continue
        fi
        # shellcheck disable=SC2086 # options
        run_tests "$tool" $bounded "$sanitizer" --tool "$tool" --error-exitcode 86 ${DDPT_SANITIZER_OPTIONS:-}
        clean=0 programs=0
        for test in $(test_names); do
            programs=$((programs + 1))
            if [ "$(cat "$out/$tool-$test.status")" -eq 0 ] && grep -a -q 'SUMMARY: 0' "$out/$tool-$test.log"; then
                clean=$((clean + 1))
            else
                failures=1
                echo "$tool $test: status $(cat "$out/$tool-$test.status")"
                grep -a '^=========' "$out/$tool-$test.log" | head -n 20
                if grep -a -q -E '^=+ +at .*(cutlass|gemm|gemv|nvjet|xmma)' "$out/$tool-$test.log"; then
                    # a known issue of cuBLAS with all versions to CUDA 13.4: its copies that fill up with zeros look too long
                    echo "some are in kernels of cuBLAS, where reads may be reported in error; to leave those kernels out:"
                    echo "  DDPT_SANITIZER_OPTIONS='--kernel-name-exclude regex=cutlass|gemm|gemv|nvjet|xmma'"
                fi
            fi
        done
        [ "$programs" -gt 0 ] || failures=1
        check "compute-sanitizer $tool" "$clean of $programs programs clean" 'all'
    done
}

# ---- train and ranks ----

# The networks that are compared: name, what they are trained with.
if [ -n "$emulated" ]; then
    networks_here='dense conv' STEPS=50
    config_of() { echo "$work/$1.cfg"; }
else
    networks_here='mnist mnist-cnn'
    config_of() { echo "$examples/$1.cfg"; }
fi

has_data()
{
    for network in $networks_here; do
        "$ddpt" bench step --steps 2 --set train.device=cpu "$(config_of "$network")" >"$work/out" 2>"$work/err" && continue
        row "$1" "$(head -n 1 "$work/err")" '-' skipped
        return 1
    done
}

# smooth NETWORK: what its losses are compared with. relu and the largest of a window amplify the last bit of a sum: after 200 steps
# of mnist.cfg two instruction sets of the same CPU are 0.04 apart, of mnist-cnn.cfg 0.2; without them 2e-7 and 5e-5.
smooth()
{
    case $1 in
    mnist) layers='0 2' ;;
    mnist-cnn) layers='0 1 5'; echo --set model.layers.2.type=avg_pool2d ;;
    *) layers='' ;;
    esac
    for layer in $layers; do echo --set model.layers.$layer.activation=gelu; done
}

# first_steps DIR RANKS NETWORK ARGUMENTS...: of a run, each with its line, once. short: of the smooth network.
first_steps()
{
    dir=$1 ranks=$2 network=$3
    shift 3
    [ ! -e "$dir" ] || return 0
    train_into "$dir" "$ranks" --set train.max_steps=$STEPS --set train.log_every=1 "$@" "$(config_of "$network")"
}

# shellcheck disable=SC2046 # options
short() { first_steps "$@" $(smooth "$3"); }

part_train()
{
    has_data 'examples' || return
    for network in $networks_here; do
        short "$network-cpu" 1 "$network" $cpu
        short "$network-gpu" 1 "$network" $gpu
        near "$network-cpu" "$network-gpu" 1e-3
        field_is "$network-gpu" steps $STEPS
        check "$network: losses of GPU and host, $STEPS steps" "$apart" '<= 1e-3'
        [ -n "$emulated" ] || as_it_is "$network"
    done
    if [ -n "$emulated" ]; then
        accuracy dense fp32 0.2 --set train.epochs=1
        return
    fi
    # Seeds differ by 0.1 %, and so do the orders of sums: the CPU's are 98.47 to 98.62, and 99.18 to 99.21.
    for precision in fp32 tf32 bf16; do
        accuracy mnist $precision 0.984
        accuracy mnist-cnn $precision 0.991
    done
}

# as_it_is NETWORK: how far apart the losses are that rounding leads apart.
as_it_is()
{
    first_steps "$1-cpu-relu" 1 "$1" $cpu
    first_steps "$1-graphs" 1 "$1" $gpu
    near "$1-cpu-relu" "$1-graphs" 1e9
    row "$1: the same with relu" "$apart" '-' shown
}

# accuracy NETWORK PRECISION LEAST ARGUMENTS...: of the whole training.
accuracy()
{
    trained=$1-$2 least=$3
    train_args="$gpu --set train.precision=$2 --set train.log_every=50"
    trained_config=$(config_of "$1")
    shift 3
    # shellcheck disable=SC2086 # options
    train_into "$trained" 1 $train_args "$@" "$trained_config"
    reached=$(field "$trained" test_accuracy)
    at_least "$reached" "$least" || fail "test accuracy $reached"
    check "$trained: test accuracy" "$reached" ">= $least"
}

part_ranks()
{
    jobs_of_tests
    has_data 'ranks' || return
    first=${networks_here%% *}
    short "$first-gpu" 1 "$first" $gpu
    if [ -n "$emulated" ]; then
        row '1 rank with NCCL: losses of 1 rank' 'an emulated GPU' '<= 1e-5' skipped
    else
        for sync in allreduce sharded; do
            short "$first-nccl-$sync" 1 "$first" $gpu --set train.comm=nccl --set train.sync=$sync
            comm_is "$first-nccl-$sync" nccl
            near "$first-gpu" "$first-nccl-$sync" 1e-5
            check "1 rank with NCCL, $sync: losses of 1 rank" "$apart" '<= 1e-5'
        done
    fi
    for ranks in 2 4; do
        short "$first-$ranks" $ranks "$first" $gpu --share-gpus
        comm_is "$first-$ranks" staged
        near "$first-gpu" "$first-$ranks" 1e-3
        check "$ranks ranks on one GPU, staged: losses of 1 rank" "$apart" '<= 1e-3'
    done
    for network in $networks_here; do
        graphs "$network"
        crossing "$network"
    done
}

graphs()
{
    first_steps "$1-graphs" 1 "$1" $gpu
    export DDPT_GPU_GRAPHS=0
    first_steps "$1-pieces" 1 "$1" $gpu
    unset DDPT_GPU_GRAPHS
    near "$1-graphs" "$1-pieces" 0
    field_is "$1-pieces" param_digest "$(field "$1-graphs" param_digest)"
    check "$1: graphs and none, $STEPS steps" "$(field "$1-pieces" param_digest)" "$(field "$1-graphs" param_digest)"
}

# A checkpoint of either device goes on on the other.
crossing()
{
    short "$1-cpu" 1 "$1" $cpu
    for way in cpu:gpu gpu:cpu; do
        short "$1-$way" 1 "$1" --set "train.device=${way%:*}" --set train.max_steps=$((STEPS / 2))
        # shellcheck disable=SC2046 # options
        train_into "$1-$way" 1 --set "train.device=${way#*:}" --set train.max_steps=$STEPS --set train.log_every=1 --resume \
            $(smooth "$1") "$(config_of "$1")"
        [ "$(tail -n 1 "$1-$way/steps.csv" | cut -d, -f1)" = $STEPS ] || fail "$1-$way: the last line is not of the last step"
        near "$1-cpu" "$1-$way" 1e-3
        check "$1: checkpoint from ${way%:*} to ${way#*:}" "$apart" '<= 1e-3'
    done
}

# job NAME COMMAND...: a test that exists as a program of its own.
job()
{
    name=$1
    log=$out/$(echo "$name" | tr -c 'a-z0-9_\n' '-').log
    shift
    $bounded "$@" >"$log" 2>&1 </dev/null
    status=$?
    [ $status -eq 0 ] || { failures=1; tail -n 20 "$log"; }
    check "$name" "status $status" 'status 0'
}

jobs_of_tests()
{
    if [ -n "$emulated" ]; then
        row 'test_gpu_run, test_gpu_graphs, test_gpu_comm, test_train_gpu' 'tests of their own with an emulated GPU' '-' skipped
        return
    fi
    DDPT_SHARE_GPUS=1
    export DDPT_SHARE_GPUS
    for ranks in 1 2; do
        job "test_gpu_run, $ranks ranks" "$mpiexec" -n $ranks "$tests/test_gpu_run" "$plugin"
        job "test_gpu_graphs, $ranks ranks" "$mpiexec" -n $ranks "$tests/test_gpu_graphs" "$plugin"
    done
    for ranks in 1 2 3 4; do job "test_device_comm, $ranks ranks" "$mpiexec" -n $ranks "$tests/test_device_comm"; done
    unset DDPT_SHARE_GPUS
    job 'test_train_gpu' sh "$root/tests/train/test_train_gpu.sh" "$tests" "$ddpt" "$examples" "$mpiexec" "$plugin"
}

# ---- speed ----

part_speed()
{
    if [ -n "$emulated" ] || ! command -v python3 >/dev/null; then
        row 'speed' "$(why_not 'no python3 here')" '-' skipped
        return
    fi
    env LD_LIBRARY_PATH="$outside" DDPT_LIBRARY_PATH="$LD_LIBRARY_PATH" python3 "$root/tests/bench/gpu_against_pytorch.py" \
        --build "$build" ${networks:+--networks "$networks"} --rows "$rows" --log "$out/pytorch.log" >"$out/speed.json" ||
        row 'speed' "status $?" 'status 0' fail
}
