#!/bin/sh
# bundle.sh BUILD SOURCE OUTPUT.tar.gz MPIEXEC: packs what a machine without our packages needs to run ddpt: the program, the GPU
# back end, the libraries that they and mpiexec need, tests and examples. Not glibc, nor what belongs to a GPU's driver and its
# toolkit (CUDA, NCCL, ROCm). Called by `cmake --build build --target bundle`.
#
#     tar xzf ddpt-*.tar.gz && . ddpt-*/env.sh && mpirun -n 2 ddpt train "$DDPT_HOME/examples/digits.cfg"
set -eu
build=$1 source=$2 output=$3 mpiexec=$4
name=$(basename "$output" .tar.gz)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
top=$stage/$name

stop()
{
    printf 'bundle: %s\n' "$*" >&2
    exit 1
}

# What the machine itself has to bring, by the beginnings of names.
is_foreign()
{
    case $1 in
    ld-linux* | linux-vdso* | libc.so* | libm.so* | libpthread.so* | libdl.so* | librt.so* | libresolv.so* | libutil.so* | libmvec.so*) ;;
    libcuda* | libcublas* | libcudnn* | libnccl* | libnvrtc* | libnv[a-z]* | libamdhip* | librccl* | libhip* | librocblas* | libhsa*) ;;
    *) return 1 ;;
    esac
}

# "name path" of each library that the files need, whatever finds it here; a library that is not found stops us.
needed()
{
    ldd "$@" | awk '$2 == "=>" { if ($3 == "not") print $1, "-"; else print $1, $3 }' | sort -u
}

# pack_libraries FILE...: beside those that are there already.
pack_libraries()
{
    needed "$@" >"$stage/needed"
    while read -r library path; do
        if is_foreign "$library" || [ -e "$top/lib/$library" ]; then continue; fi
        [ "$path" != - ] || stop "$library is not found"
        cp -L "$path" "$top/lib/$library"
    done <"$stage/needed"
}

# UCX loads its transports from the folder ucx beside its libraries.
pack_ucx()
{
    ucx=$(ldd "$build/ddpt" | awk '$1 ~ /^libucs\.so/ { print $3 }')
    [ -n "$ucx" ] || return 0
    mkdir -p "$top/lib/ucx"
    for module in "$(dirname "$(readlink -f "$ucx")")"/ucx/*.so.0; do
        [ ! -e "$module" ] || cp -L "$module" "$top/lib/ucx"
    done
    for module in "$top"/lib/ucx/*.so.0; do
        [ -e "$module" ] || continue
        ln -s "$(basename "$module")" "${module%.0}"
        pack_libraries "$module"
    done
    # Some are also libraries that another module needs.
    for module in "$top"/lib/ucx/*.so.0; do
        library=$(basename "$module")
        [ ! -e "$top/lib/$library" ] || ln -sf "../$library" "$module"
    done
}

# The launcher, and the helper that Hydra starts from its own folder.
pack_launcher()
{
    cp -L "$mpiexec" "$top/bin/mpiexec"
    ln -s mpiexec "$top/bin/mpirun"
    proxy=$(dirname "$(readlink -f "$mpiexec")")/hydra_pmi_proxy
    [ ! -e "$proxy" ] || cp "$proxy" "$top/bin"
}

mkdir -p "$top/bin" "$top/lib" "$top/build"
cp "$build/ddpt" "$top/bin"
[ ! -e "$build/libddpt_gpu.so" ] || cp "$build/libddpt_gpu.so" "$top/lib"
pack_launcher
for file in "$top"/bin/* "$top"/lib/*.so; do
    [ ! -e "$file" ] || pack_libraries "$file"
done
pack_ucx

# Tests find programs where a build has them.
ln -s ../bin/ddpt "$top/build/ddpt"
cp -r "$build/tests" "$top/build/tests"
find "$top/build/tests" -mindepth 1 \( -type d -o ! -perm -u+x ! -name '*.so' \) -prune -exec rm -rf {} +
# What runs on the GPU itself (test_device NAME) need not run on an emulated one as well.
if [ -e "$top/build/tests/test_device" ]; then
    for test in $("$build/tests/test_device" --list) blas cudnn emulator; do rm -f "$top/build/tests/test_gpu_$test"; done
    rm -f "$top/build/tests/libddpt_gpu_emulated.so"
fi
for file in "$top"/build/tests/*; do
    [ ! -e "$file" ] || pack_libraries "$file"
done
for folder in tests examples; do
    mkdir -p "$top/$folder"
    (cd "$source/$folder" && find . -type f ! -name CMakeLists.txt) | while read -r file; do
        mkdir -p "$top/$folder/$(dirname "$file")"
        cp -p "$source/$folder/$file" "$top/$folder/$file"
    done
done
rm -f "$top/examples/quickstart.sh" "$top/examples/setup.sh" # they build
cp "$source/README.md" "$source/LICENSE" "$top"

cat >"$top/env.sh" <<'END'
# Sourced by a POSIX shell, from the folder in which this file lies or with its path in DDPT_HOME: puts ddpt and its mpiexec on
# PATH, and their libraries where the loader finds them.
if [ -z "${DDPT_HOME:-}" ]; then
    if [ -n "${BASH_SOURCE:-}" ]; then
        DDPT_HOME=$(cd -- "$(dirname -- "$BASH_SOURCE")" && pwd -P)
    elif [ -e ./env.sh ] && [ -e ./bin/ddpt ]; then
        DDPT_HOME=$(pwd -P)
    else
        echo "env.sh: set DDPT_HOME to the folder of ddpt, or source this in that folder" >&2
    fi
fi
export DDPT_HOME
export DDPT_MPIEXEC="$DDPT_HOME/bin/mpiexec"
export PATH="$DDPT_HOME/bin:${PATH:-/usr/bin:/bin}"
export LD_LIBRARY_PATH="$DDPT_HOME/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
END

for file in "$top"/bin/* "$top"/build/tests/* "$top"/lib/*.so*; do
    [ -L "$file" ] || strip --strip-unneeded "$file" 2>/dev/null || true # a script
done
tar -C "$stage" --owner=0 --group=0 -cf - "$name" | gzip -9 >"$output.partial"
mv "$output.partial" "$output"
printf '%s: %s bytes\n' "$output" "$(wc -c <"$output")"
