# setup.sh: what examples/quickstart.sh and tests/run.sh share: find what is missing, install it, choose an MPI, build.
# Sourced, not run; POSIX sh. Functions that fail end the script with a message.
#
# Environment:
#   MPICC, MPIRUN      the MPI to use in place of the first that works (on a Cray: MPICC=cc MPIRUN=srun)
#   DDPT_CMAKE_ARGS    more arguments for cmake, separated by spaces
#
# shellcheck shell=sh disable=SC2034 # the lists of packages are for those who source this

# What ddpt needs and what it is called where. A probe is a command, a pkg-config module or a header; an MPI is looked for
# by setup_mpi_list, so its rows are added only where it is missing.
#   probe                      Debian, Ubuntu             Fedora              openSUSE          Arch        Spack
setup_needs='
    command:cc                 gcc,libc6-dev              gcc                 gcc               gcc         gcc
    command:make               make                       make                make              make        gmake
    command:cmake              cmake                      cmake               cmake             cmake       cmake
    command:pkg-config         pkg-config                 pkgconf-pkg-config  pkgconf           pkgconf     pkgconf
    module:zlib                zlib1g-dev                 zlib-devel          zlib-devel        zlib        zlib
    module:openblas            libopenblas-dev            openblas-devel      openblas-devel    openblas    openblas
    module:libconfig           libconfig-dev              libconfig-devel     libconfig-devel   libconfig   libconfig
    module:jansson             libjansson-dev             jansson-devel       libjansson-devel  jansson     jansson
    module:libxxhash           libxxhash-dev              xxhash-devel        xxhash-devel      xxhash      xxhash
    module:hwloc               libhwloc-dev               hwloc-devel         hwloc-devel       hwloc       hwloc
    module:libprotobuf-c       libprotobuf-c-dev          protobuf-c-devel    libprotobuf-c-devel protobuf-c protobuf-c
    command:protoc-c           protobuf-c-compiler        protobuf-c-compiler protobuf-c        protobuf-c  protobuf-c
    module:libzmq              libzmq3-dev                zeromq-devel        zeromq-devel      zeromq      libzmq
    module:libmicrohttpd       libmicrohttpd-dev          libmicrohttpd-devel libmicrohttpd-devel libmicrohttpd libmicrohttpd
    module:ncursesw            libncurses-dev             ncurses-devel       ncurses-devel     ncurses     ncurses
'
# Without these everything works, but convolution is slower, and reports of scaling experiments have no pictures.
setup_wishes='
    command:gnuplot            gnuplot-nox                gnuplot             gnuplot           gnuplot     gnuplot
    header:oneapi/dnnl/dnnl.h  libdnnl-dev                onednn-devel        onednn-devel      onednn      onednn
'
setup_test_needs='
    module:cmocka              libcmocka-dev              libcmocka-devel     libcmocka-devel   cmocka      cmocka
'
# Tests that lack one of these are skipped: live views are looked at, telemetry is read in another language, and the GPU back end
# is compiled for AMD.
setup_test_wishes='
    command:tmux               tmux                       tmux                tmux              tmux        tmux
    command:curl               curl                       curl                curl              curl        curl
    command:hipcc              hipcc,libamdhip64-dev      hipcc               hipcc             hip-runtime-amd hipcc
    command:protoc             protobuf-compiler          protobuf-compiler   protobuf-devel    protobuf    protobuf
    python3:zmq                python3-zmq                python3-pyzmq       python3-pyzmq     python-pyzmq py-pyzmq
    python3:google.protobuf    python3-protobuf           python3-protobuf    python3-protobuf  python-protobuf py-protobuf
'
setup_mpich='
    mpi:mpich                  mpich,libmpich-dev         mpich-devel         mpich-devel       mpich       mpich
'
setup_openmpi='
    mpi:openmpi                openmpi-bin,libopenmpi-dev openmpi-devel       openmpi4-devel    openmpi     openmpi
'

# Where nothing can be written (a closed or read-only terminal) the work goes on in silence.
setup_begin()
{
    printf '%s\n' "$1" 2>/dev/null || exec >/dev/null 2>&1
}

setup_say()
{
    printf '==> %s\n' "$*"
}

setup_stop()
{
    printf 'error: %s\n' "$*" >&2
    exit 1
}

setup_has()
{
    command -v "$1" >/dev/null 2>&1
}

setup_cores()
{
    nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1
}

# ---- what is missing ----

# setup_probe KIND:NAME: is it here?
setup_probe()
{
    probe_name=${1#*:}
    case $1 in
    command:*) setup_has "$probe_name" ;;
    module:*) setup_has pkg-config && pkg-config --exists "$probe_name" 2>/dev/null ;;
    python3:*) setup_has python3 && python3 -c "import $probe_name" 2>/dev/null ;;
    header:*) setup_has cc && printf '#include <%s>\n' "$probe_name" | cc -E - >/dev/null 2>&1 ;;
    *) false ;;
    esac
}

# setup_missing COLUMN ROWS: the names in a column (1 probe, 2 Debian, 3 Fedora, ...) of the rows whose probe fails.
setup_missing()
{
    printf '%s\n' "$2" | while read -r probe rest; do
        if [ -n "$probe" ] && ! setup_probe "$probe"; then
            printf '%s %s\n' "$probe" "$rest" | awk -v column="$1" '{ print $column }' | tr ',' '\n'
        fi
    done
}

# The same for Debian. Where pkg-config is missing too it knows of no library, so the package database has a say.
setup_missing_debian()
{
    for package in $(setup_missing 2 "$1"); do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
    done
}

setup_is_debian()
{
    setup_has apt-get && setup_has dpkg-query
}

setup_cmake_is_new()
{
    cmake --version | awk 'NR == 1 { split($3, v, "."); exit !(v[1] > 3 || (v[1] == 3 && v[2] >= 22)) }'
}

# ---- install ----

# As root, or through sudo, which may ask for the password where there is a terminal. Packages' scripts need the system
# folders, which the PATH of a bare environment may lack.
setup_as_root()
{
    set -- env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 "PATH=$PATH:/usr/sbin:/sbin" "$@"
    if [ "$(id -u)" -eq 0 ]; then
        "$@" </dev/null
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

setup_apt_get()
{
    setup_as_root apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

# setup_apt_install ROWS WISHES: what is missing of them.
setup_apt_install()
{
    needed=$(setup_missing_debian "$1" | tr '\n' ' ')
    wished=$(setup_missing_debian "$2" | tr '\n' ' ')
    [ -n "$needed$wished" ] || return 0
    if [ "$(id -u)" -ne 0 ] && ! setup_has sudo; then
        [ -n "$needed" ] || return 0 # what is only wished for is not worth stopping
        setup_stop "packages are missing, and only root can install them:
    apt-get update && apt-get install --no-install-recommends $needed$wished"
    fi
    setup_say "installing with apt-get: $needed$wished"
    setup_apt_get update >/dev/null || setup_say "apt-get update failed; trying with the package lists that are here"
    # Wishes apart, and each by itself where not all can be had: an architecture or a release may lack one.
    # shellcheck disable=SC2086 # lists
    [ -z "$needed" ] || setup_apt_get install --no-install-recommends $needed || setup_stop "apt-get could not install: $needed
    On Ubuntu these packages are in the component 'universe' (add-apt-repository universe)."
    # shellcheck disable=SC2086
    [ -z "$wished" ] || setup_apt_get install --no-install-recommends $wished || for wish in $wished; do
        setup_apt_get install --no-install-recommends "$wish" || setup_say "going on without: $wish"
    done
}

# setup_package_names ROWS: for systems that this script does not install on.
setup_package_names()
{
    while read -r column system command; do
        printf '    %-9s %s %s\n' "$system:" "$command" "$(setup_missing "$column" "$1" | tr '\n' ' ')"
    done <<END
2 Debian apt-get install
3 Fedora dnf install
4 openSUSE zypper install
5 Arch pacman -S
6 Spack spack load
END
}

# setup_install ROWS: all that the rows name, and an MPI if there is none at all.
setup_install()
{
    rows=$1
    if setup_is_debian; then
        [ -n "$(setup_mpi_list)" ] || rows=$rows$setup_mpich
        setup_apt_install "$rows" "$setup_wishes"
    fi
    rows=$1
    [ -n "$(setup_mpi_list)" ] || rows=$rows$setup_mpich
    missing=$(setup_missing 1 "$rows" | sed 's/.*://' | tr '\n' ' ')
    [ -z "$missing" ] || setup_stop "not found: $missing
Install what they are called here, and start again (after installing an MPI, also 'module load mpi/mpich-x86_64' on Fedora,
'mpi-selector' on openSUSE; on a cluster, 'module avail'):
$(setup_package_names "$rows")"
    setup_cmake_is_new || setup_stop "ddpt needs CMake 3.22 or newer, this is $(cmake --version | head -n 1)"
}

# ---- MPI ----

# COMPILER:LAUNCHER of each MPI that is here, MPICH first. Debian's suffixed names tell several MPIs apart, and its plain ones
# stand for one of these; elsewhere there is one at a time, under the plain names.
setup_mpi_list()
{
    if [ -n "${MPICC:-}" ]; then
        printf '%s:%s\n' "$MPICC" "${MPIRUN:-mpirun}"
        return
    fi
    pairs=
    for pair in mpicc.mpich:mpirun.mpich mpicc.openmpi:mpirun.openmpi mpicc:mpirun; do
        if setup_has "${pair%:*}" && setup_has "${pair#*:}" && { [ "$pair" != mpicc:mpirun ] || [ -z "$pairs" ]; }; then
            pairs="$pairs $pair"
        fi
    done
    printf '%s' "$pairs"
}

# setup_mpi_works COMPILER LAUNCHER: does it start two ranks that see each other? Leaves what they printed in mpi_log.
setup_mpi_works()
{
    folder=$(mktemp -d) || setup_stop "no temporary folder can be made under ${TMPDIR:-/tmp}"
    cat >"$folder/ranks.c" <<'END'
#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    printf("rank %d of %d\n", rank, size);
    return MPI_Finalize();
}
END
    limit=
    ! setup_has timeout || limit='timeout 60'
    # shellcheck disable=SC2086 # two words or none
    { "$1" -o "$folder/ranks" "$folder/ranks.c" && $limit "$2" -n 2 "$folder/ranks"; } \
        >"$folder/log" 2>&1 </dev/null || :
    mpi_log=$(cat "$folder/log")
    rm -rf "$folder"
    case $mpi_log in *'rank 0 of 2'*) ;; *) return 1 ;; esac
    case $mpi_log in *'rank 1 of 2'*) ;; *) return 1 ;; esac
}

# Sets mpi_compiler and mpi_launcher to the first MPI that works, or returns 1. Which one failed is said once.
setup_mpi_find()
{
    for pair in $(setup_mpi_list); do
        mpi_compiler=${pair%:*} mpi_launcher=${pair#*:}
        setup_mpi_works "$mpi_compiler" "$mpi_launcher" && return 0
        case $mpi_log in
        *'rank 0 of 1'*) setup_say "$mpi_launcher is not used: it starts copies of rank 0 (a fault of Ubuntu 24.04's mpich," \
            "or it belongs to another MPI than $mpi_compiler)" ;;
        *) setup_say "$mpi_launcher is not used: it could not start two ranks of a program built with $mpi_compiler:
$mpi_log" ;;
        esac
    done
    return 1
}

# setup_mpi: the same, with Open MPI installed where no other MPI works. After it the environment lets Open MPI (4 and 5)
# start as root, and more ranks than cores; other MPIs do not look at these variables.
setup_mpi()
{
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
    setup_mpi_find && return
    if [ -z "${MPICC:-}" ] && setup_is_debian && ! setup_has mpicc.openmpi; then
        setup_say "falling back to Open MPI"
        setup_apt_install "$setup_openmpi" ""
        MPICC=mpicc.openmpi MPIRUN=mpirun.openmpi
        setup_mpi_find && return
    fi
    setup_stop "no MPI here starts two ranks that see each other. On a cluster's login node ranks may start only inside an
allocation (salloc), and the launcher may be another: MPICC=cc MPIRUN=srun sh $0"
}

# What a person types in place of "mpirun" to get what the scripts run: with Open MPI's options spelt out.
setup_mpi_command()
{
    case $("$mpi_launcher" --version 2>/dev/null | head -n 1) in
    *'Open MPI'* | *OpenRTE*)
        printf '%s --oversubscribe' "$mpi_launcher"
        [ "$(id -u)" -ne 0 ] || printf ' --allow-run-as-root' ;;
    *) printf '%s' "$mpi_launcher" ;;
    esac
}

# ---- build ----

# setup_cached FILE NAME: the value of a variable in a CMakeCache.txt.
setup_cached()
{
    sed -n "s/^$2:[A-Z]*=//p" "$1"
}

# setup_build PRESET FOLDER CMAKE-ARGUMENT...: configure and build in the current folder, the root of the sources.
setup_build()
{
    preset=$1 cache=$2/CMakeCache.txt
    shift 2
    compiler=$(command -v "$mpi_compiler")
    # A cache that was made for another MPI or in another folder (a copied checkout) would win over what is asked for here.
    if [ -f "$cache" ] && { [ "$(setup_cached "$cache" MPI_C_COMPILER)" != "$compiler" ] ||
        [ "$(setup_cached "$cache" CMAKE_HOME_DIRECTORY)" != "$PWD" ]; }; then
        rm -f "$cache"
    fi
    setup_say "building: cmake --preset $preset && cmake --build --preset $preset"
    # shellcheck disable=SC2086 # arguments, separated by spaces
    cmake --preset "$preset" "-DMPI_C_COMPILER=$compiler" "-DMPIEXEC_EXECUTABLE=$(command -v "$mpi_launcher")" \
        "$@" ${DDPT_CMAKE_ARGS:-} || setup_stop "cmake could not configure the build (above)"
    cmake --build --preset "$preset" --parallel "$(setup_cores)" || setup_stop "the build failed (above)"
}
