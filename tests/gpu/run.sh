#!/bin/sh
# run.sh [-o DIR] [PART...]: everything that only a GPU can show, as one table. From a build (cmake -DDDPT_GPU_TESTS=ON) or from an
# unpacked bundle. Parts, all of them where none is named:
#
#     ops          every slot of the GPU's table against references in double, in fp32, tf32 and bf16
#     sanitizer    the same under compute-sanitizer; sanitizer=memcheck,racecheck,initcheck chooses among its tools
#     train        the examples' accuracies, losses of GPU and host side by side
#     ranks        NCCL, ranks that share the GPU, graphs and none, checkpoints from device to device, whole runs
#     speed        rates beside PyTorch's and the floor; speed=mnist,mnist-cnn,mnist-20m chooses among the networks
#
# -o DIR keeps logs, the table and speed.json there; else a temporary folder does, which stays if something failed. MNIST is looked
# for as ddpt does ($DDPT_DATA). DDPT_BUILD: the build folder, if not ../../build. Without a GPU this says so and exits with 77; with
# DDPT_GPU_PLUGIN naming the emulator's plug-in, that plays the GPU with smaller runs. Told to end (timeout 570 sh run.sh ...), it
# still writes its table. Status: 0 all passed or skipped, 1 a check failed or was not reached, 2 usage.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$(cd "${DDPT_BUILD:-$root/build}" 2>/dev/null && pwd) || { echo "run.sh: ${DDPT_BUILD:-$root/build} is no folder" >&2; exit 2; }
tests=$build/tests

usage()
{
    echo "run.sh: $1; parts: ops, sanitizer[=TOOL,...], train, ranks, speed[=NETWORK,...]; see its head" >&2
    exit 2
}

out='' parts='' tools_wanted=memcheck,racecheck,initcheck networks=''
while [ $# -gt 0 ]; do
    case $1 in
    -o) [ $# -gt 1 ] || usage "-o needs a folder"; out=$2; shift ;;
    ops | train | ranks | speed | sanitizer) parts="$parts $1" ;;
    sanitizer=?*) parts="$parts sanitizer" tools_wanted=${1#*=} ;;
    speed=?*) parts="$parts speed" networks=${1#*=} ;;
    *) usage "there is no part '$1'" ;;
    esac
    shift
done
parts=${parts:-ops sanitizer train ranks speed}

if [ -n "$out" ]; then
    mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
else
    out=$(mktemp -d "${TMPDIR:-/tmp}/ddpt-gpu-XXXXXX") || exit 1
    temporary=1
fi
rows=$out/rows
: >"$rows"

. "$here/run_environment.sh"
. "$here/run_parts.sh"

# end STATUS: the table, and the folder away if nobody wants it.
end()
{
    trap '' HUP INT TERM
    awk -F'|' '
        { for (i = 1; i <= 4; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) } count[$4]++ }
        END { for (r = 1; r <= NR; r++)
                  printf "%-*s  %-*s  %-*s  %s\n", width[1], cell[r, 1], width[2], cell[r, 2], width[3], cell[r, 3], cell[r, 4]
              printf "%d passed, %d failed, %d skipped\n", count["pass"], count["fail"], count["skipped"] }
    ' "$rows" | tee "$out/table"
    status=0
    if grep -q '|fail$' "$rows"; then status=1; fi
    if [ -n "${temporary:-}" ] && [ $status -eq 0 ]; then rm -rf "$out"; else echo "logs: $out"; fi
    exit $status
}

cut_short()
{
    row "$part: the rest" 'told to end' 'all of it' fail
    end
}

part='the GPU'
trap cut_short HUP INT TERM
find_gpu
echo "$gpu_name; $("$ddpt" --version | head -n 1); parts:$(printf ' %s' $parts)"
for part in $parts; do
    echo "== $part"
    part_"$part"
done
end
