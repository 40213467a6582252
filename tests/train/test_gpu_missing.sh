#!/bin/sh
# train.device = "gpu" where something is missing: status 5 and one line that says what, and what to do. Arguments: those of
# command_test.sh, then the kind of the back end that was built (cuda, hip, none).
. "$(dirname "$0")/../launcher/command_test.sh"
kind=$4
gpu="$ddpt train $examples/digits.cfg --set train.device=gpu --set train.max_steps=1 --out run"

is_said() {
    is_one_error
    err_has "$1"
    [ ! -e run ] || fail 'there is a folder of the run'
}

expect 5 env DDPT_GPU_PLUGIN="$work/libddpt_gpu.so" $gpu
is_said "$work/libddpt_gpu.so: cannot open shared object file"
echo 'no library' >libddpt_gpu.so
expect 5 env DDPT_GPU_PLUGIN="$work/libddpt_gpu.so" $gpu
is_said 'the GPU back end cannot be loaded: .*libddpt_gpu.so'

if [ "$kind" = none ]; then
    expect 5 $gpu
    is_said 'no GPU back end: .*-DDDPT_GPU=on'
    finish
fi

# A copy of program and plug-in in a folder of their own find each other.
mkdir -p copy
cp "$ddpt" "$(dirname "$ddpt")/libddpt_gpu.so" copy
rm copy/libddpt_gpu.so
expect 5 copy/ddpt train "$examples/digits.cfg" --set train.device=gpu
is_said 'no GPU back end: .*-DDDPT_GPU=on'

if [ -e /dev/nvidiactl ] || [ -e /dev/kfd ]; then
    echo 'a machine with a GPU: what is said without one is not tested'
else
    expect 5 $gpu
    is_said 'no GPU can be used: there is no .* driver .*train.device = "cpu"'
    expect 5 "$mpiexec" -n 2 $gpu
    err_has '^error: no GPU can be used: there is no .* driver'
fi

# The libraries are hidden in a mount namespace of ours.
runtime=$(ldd "$(dirname "$ddpt")/libddpt_gpu.so" | sed -n 's/^[[:space:]]*\(libcudart\|libamdhip64\)\([^ ]*\) => \([^ ]*\) .*/\3/p')
[ -n "$runtime" ] || fail "$ddpt: its plug-in needs no runtime library"
: >nothing
if unshare -m true 2>/dev/null; then
    expect 5 unshare -m sh -c 'mount --bind nothing "$0" && exec "$@"' "$(readlink -f "$runtime")" $gpu
    err_has 'the GPU back end'
    mkdir -p empty
    expect 5 unshare -m sh -c 'mount --bind empty "$0" && exec "$@"' "$(dirname "$(readlink -f "$runtime")")" $gpu
    is_said "the GPU back end needs $(basename "$runtime"), which the loader does not find: .*LD_LIBRARY_PATH"
    expect 0 unshare -m sh -c 'mount --bind empty "$0" && exec "$@"' "$(dirname "$(readlink -f "$runtime")")" \
        "$ddpt" train "$examples/digits.cfg" --set train.max_steps=1 --out run
else
    echo 'no mount namespaces here: missing libraries are not tested'
fi
finish
