# run_environment.sh: where run.sh finds program, launcher, libraries and the GPU. Sourced by it.

# In a bundle the libraries lie in a folder of its own. Programs that are not ours (Python, compute-sanitizer) may need newer ones
# than those: they get what LD_LIBRARY_PATH was without.
if [ -e "$root/env.sh" ]; then
    outside=$(printf '%s' "${LD_LIBRARY_PATH:-}" | tr ':' '\n' | grep -v -x -F "$root/lib" | paste -s -d: -)
    DDPT_HOME=$root
    . "$root/env.sh"
    mpiexec=$DDPT_MPIEXEC
else
    outside=${LD_LIBRARY_PATH:-}
    mpiexec=${DDPT_MPIEXEC:-$(sed -n 's/^MPIEXEC_EXECUTABLE:[A-Z]*=//p' "$build/CMakeCache.txt")}
fi
ddpt=$build/ddpt
[ -x "$ddpt" ] || { echo "run.sh: $ddpt is not there: build first" >&2; exit 2; }
given=${DDPT_GPU_PLUGIN:-}
if [ -n "$given" ]; then
    plugin=$(readlink -f "$given")
elif [ -e "$build/libddpt_gpu.so" ]; then
    plugin=$build/libddpt_gpu.so
else
    plugin=$root/lib/libddpt_gpu.so
fi
emulated=
case $plugin in *emulated*) emulated=1 ;; esac

# outside COMMAND...: without our libraries.
outside() { env LD_LIBRARY_PATH="$outside" "$@"; }

# find_library NAME: where the loader finds it, else a folder of the toolkit or of Python's packages, which is added to
# LD_LIBRARY_PATH.
find_library()
{
    found=$(ldd "$plugin" 2>/dev/null | awk -v name="$1" '$1 == name && $3 != "not" { print $3 }')
    [ -n "$found" ] || found=$(ldconfig -p 2>/dev/null | awk -v name="$1" '$1 == name { print $NF; exit }')
    if [ -z "$found" ]; then
        IFS=:
        for folder in ${LD_LIBRARY_PATH:-} ${CUDA_HOME:-/usr/local/cuda}/lib64 ${CUDA_HOME:-/usr/local/cuda}/lib $python_folders; do
            [ -e "$folder/$1" ] || continue
            found=$folder/$1
            case :${LD_LIBRARY_PATH:-}: in *":$folder:"*) ;; *) LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder ;; esac
            break
        done
        unset IFS
    fi
    echo "  $1: ${found:-not found}"
}

find_libraries()
{
    python_folders=$(outside python3 -c '
import glob, site, sys
print(":".join(f for s in [*site.getsitepackages(), site.getusersitepackages(), *sys.path] if s for f in sorted(glob.glob(s + "/nvidia/*/lib"))))
' 2>/dev/null)
    for library in $(ldd "$plugin" 2>/dev/null | awk '$1 ~ /^lib(cudart|cublasLt|amdhip64)\.so/ { print $1 }') libnccl.so.2 libcudnn.so.9; do
        find_library "$library"
    done
    export LD_LIBRARY_PATH
}

# row CHECK FIGURE WANTED VERDICT
row()
{
    for cell in "$1" "$2" "$3"; do printf '%s|' "$(printf '%s' "$cell" | tr '|' '/')"; done >>"$rows"
    echo "$4" >>"$rows"
    tail -n 1 "$rows"
}

skip_all()
{
    echo "skipped: $1"
    [ -z "${temporary:-}" ] || rm -rf "$out"
    exit 77
}

# One GPU, which ranks share. A GPU or a plug-in that is there and cannot be used is a failure, none is not.
find_gpu()
{
    [ -n "$given" ] || [ -e "$plugin" ] || skip_all "no GPU back end was built: $plugin is not there"
    [ -n "$emulated" ] || find_libraries
    DDPT_GPU_PLUGIN=$plugin
    export DDPT_GPU_PLUGIN
    CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-0}
    CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES%%,*}
    export CUDA_VISIBLE_DEVICES
    if facts=$("$ddpt" bench gemm --device gpu --m 16 --n 16 --k 16 --json 2>"$out/gpu.err"); then
        gpu_name=$(printf '%s\n' "$facts" | sed -n 's/.*"gpu": "\(.*\)".*/\1/p')
        return
    fi
    [ -n "$given" ] || [ -e /dev/nvidiactl ] || [ -e /dev/kfd ] || skip_all "no GPU here: $(cat "$out/gpu.err")"
    cat "$out/gpu.err"
    row 'the GPU can be used' "$(head -n 1 "$out/gpu.err")" 'yes' fail
    end
}
