#!/bin/sh
# Gets a data set and verifies it: sh examples/get-data.sh mnist|fashion|cifar10 [--from URL-or-folder] [--to DIR]
#
# The files come from the public mirrors (or from --from: a URL or a folder that has the same file names), are unpacked and
# compared with the published checksums, and appear in $DDPT_DATA/SET, else data/SET, or in DIR, each whole or not at all.
# What is there and right is left alone; a download that was cut off goes on where it ended.
# Needs curl or wget (not for a folder), gzip, tar for cifar10, and sha256sum, shasum or openssl.
set -u
LC_ALL=C
export LC_ALL

# Set, what is summed, sum, file. `content` is the unpacked file, `archive` what the mirrors serve.
# The publishers of Fashion-MNIST sum the archives; of the unpacked files only the MD5 is in circulation.
sums() {
    cat <<'END'
mnist content ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db train-images-idx3-ubyte
mnist content 65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5 train-labels-idx1-ubyte
mnist content 0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7 t10k-images-idx3-ubyte
mnist content ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2 t10k-labels-idx1-ubyte
fashion archive 08dc20ab1689590a0bcd66e874647b6ee8464e2d501b5a3f1f78831db19a3fdc train-images-idx3-ubyte
fashion archive b0197879cbda89f3dc7b894f9fd52b858e68ea4182b6947c9d8c2b67e5f18dcc train-labels-idx1-ubyte
fashion archive 78dcbbfb5a27efaf1b6c1d616caca68560be8766c5bffcb2791df9273a534229 t10k-images-idx3-ubyte
fashion archive 42bd18137a62d5998cdeae52bf3a0676ac6b706f5cf8439b47bb5b151ae3dccf t10k-labels-idx1-ubyte
fashion content f4a8712d7a061bf5bd6d2ca38dc4d50a train-images-idx3-ubyte
fashion content 9018921c3c673c538a1fc5bad174d6f9 train-labels-idx1-ubyte
fashion content 8181f5470baa50b63fa0f6fddb340f0a t10k-images-idx3-ubyte
fashion content 15d484375f8d13e6eb1aabb0c3f46965 t10k-labels-idx1-ubyte
cifar10 content cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5 data_batch_1.bin
cifar10 content a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed data_batch_2.bin
cifar10 content bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67 data_batch_3.bin
cifar10 content 014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48 data_batch_4.bin
cifar10 content 755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add data_batch_5.bin
cifar10 content 8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b test_batch.bin
END
}

mirrors() {
    case $1 in
    mnist) echo "https://ossci-datasets.s3.amazonaws.com/mnist https://storage.googleapis.com/cvdf-datasets/mnist" ;;
    fashion) echo "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com" \
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion" ;;
    cifar10) echo "https://www.cs.toronto.edu/~kriz https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10" ;;
    esac
}

say() { printf '%s\n' "$*" >&2; }
warn() { say "get-data: $*"; }
fail() {
    warn "$*"
    exit 3
}
usage() {
    [ $# -eq 0 ] || warn "$*"
    say "usage: sh examples/get-data.sh mnist|fashion|cifar10 [--from URL-or-folder] [--to DIR]"
    exit 2
}
have() { command -v "$1" >/dev/null 2>&1; }

# ---- sums ----

# sum_of MODEL FILE: the checksum of FILE, of the kind that MODEL is: 64 digits are a SHA-256, 32 an MD5.
sum_of() {
    if [ ${#1} -eq 64 ]; then
        if have sha256sum; then sha256sum <"$2"; elif have shasum; then shasum -a 256 <"$2"; else openssl dgst -sha256 -r <"$2"; fi
    else
        if have md5sum; then md5sum <"$2"; else openssl dgst -md5 -r <"$2"; fi
    fi | cut -d ' ' -f 1
}

# expected KIND FILE: the published sum, or nothing.
expected() { sums | awk -v s="$set" -v k="$1" -v f="$2" '$1 == s && $2 == k && $4 == f { print $3 }'; }

# right KIND NAME FILE: FILE is NAME as published, as far as there is a sum of that kind.
right() {
    want=$(expected "$1" "$2")
    [ -n "$want" ] || return 0
    got=$(sum_of "$want" "$3")
    [ "$got" = "$want" ]
}

# ---- files ----

# download URL PART: 0 when PART is complete as far as the server says. Goes on with what is in PART.
download() {
    if have curl; then
        if [ -t 2 ]; then meter=--progress-bar; else meter=-sS; fi
        curl -fL $meter --connect-timeout 20 --retry 2 -C - -o "$2" "$1"
    elif have wget; then
        wget -q --timeout=60 --tries=3 -c -O "$2" "$1"
    else
        fail "neither curl nor wget is installed; install one, or use --from with a folder that has the files"
    fi
}

# fetch PLACE NAME PART: sets `file` to NAME from a URL (downloaded to PART) or from a folder (where it lies).
fetch() {
    case $1 in
    *://*)
        file=$3
        resumed=0
        [ ! -s "$3" ] || resumed=1
        say "getting ${1%/}/$2"
        download "${1%/}/$2" "$3" && return 0
        [ -s "$3" ] || rm -f "$3"
        [ $resumed -eq 1 ] || return 1
        # The part may be complete, or belong to something else, or the server cannot begin in the middle.
        resumed=0
        say "cannot go on with the part that is there; starting again"
        rm -f "$3"
        download "${1%/}/$2" "$3"
        ;;
    *)
        file=${1%/}/$2
        [ -f "$file" ]
        ;;
    esac
}

forget() {
    case $file in "$to"/*.part) rm -f "$file" ;; esac
}

# commit NAME FILE PLACE: FILE becomes $to/NAME if it is right; else it goes and we say why.
commit() {
    if right content "$1" "$2"; then
        mv -f "$2" "$to/$1" || fail "cannot write $to/$1"
        say "$to/$1"
        return 0
    fi
    rm -f "$2"
    warn "$1 from $3 is damaged or not the published file: its checksum is $got, $want is expected"
    return 1
}

# unpack_one PLACE NAME: NAME.gz, or in a folder also NAME as it is.
unpack_one() {
    new=$to/.$2.new
    if fetch "$1" "$2.gz" "$to/$2.gz.part"; then
        if ! right archive "$2" "$file"; then
            forget
            warn "$2.gz from $1 is damaged or not the published file: its checksum is $got, $want is expected"
            return 1
        fi
        if ! gzip -dc <"$file" >"$new"; then
            forget
            warn "$2.gz from $1 cannot be unpacked into $to"
            return 1
        fi
        forget
    elif [ -f "${1%/}/$2" ]; then
        cp "${1%/}/$2" "$new" || fail "cannot write $new"
    else
        return 1
    fi
    commit "$2" "$new" "$1"
}

# unpack_cifar PLACE: the archive, whose files are all taken at once.
unpack_cifar() {
    archive=cifar-10-binary.tar.gz
    fetch "$1" $archive "$to/$archive.part" || return 1
    mkdir -p "$to/.new" || fail "cannot write in $to"
    # shellcheck disable=SC2046
    if ! tar -xzf "$file" -C "$to/.new" $(for n in $names; do echo "cifar-10-batches-bin/$n"; done); then
        forget
        rm -rf "$to/.new"
        warn "$archive from $1 is damaged or cannot be unpacked into $to"
        return 1
    fi
    bad=0
    for n in $names; do
        commit "$n" "$to/.new/cifar-10-batches-bin/$n" "$1" || bad=1
    done
    rm -rf "$to/.new"
    forget
    return $bad
}

missing() {
    for n in $names; do
        [ -f "$to/$n" ] && right content "$n" "$to/$n" || echo "$n"
    done
}

# twice FUNCTION ARGUMENTS: a second time from the start if the first went on with an old part, which may have been wrong.
twice() {
    resumed=0
    "$@" || { [ $resumed -eq 1 ] && "$@"; }
}

# get PLACE: what is missing, as far as PLACE has it. A folder may have the files of cifar10 without their archive.
get() {
    if [ "$set" = cifar10 ]; then
        twice unpack_cifar "$1" && return
        case $1 in *://*) return ;; esac
    fi
    for n in $(missing); do
        twice unpack_one "$1" "$n" || warn "cannot get $n from $1"
    done
}

# ---- main ----

set='' from='' to=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage ;;
    --from | --to)
        [ $# -ge 2 ] || usage "$1 needs a value"
        if [ "$1" = --from ]; then from=$2; else to=$2; fi
        shift
        ;;
    mnist | fashion | cifar10)
        [ -z "$set" ] || usage "one data set at a time: $set or $1"
        set=$1
        ;;
    *) usage "unknown argument: $1" ;;
    esac
    shift
done
[ -n "$set" ] || usage "which data set?"
[ -n "$to" ] || to=${DDPT_DATA:-data}/$set
case $from in
'' | *://*) ;;
*) [ -d "$from" ] || fail "--from $from is neither a URL nor a folder" ;;
esac
have sha256sum || have shasum || have openssl || fail "none of sha256sum, shasum, openssl is installed"
mkdir -p "$to" || fail "cannot make the folder $to"

names=$(sums | awk -v s="$set" '$1 == s && $2 == "content" { print $4 }')
trap 'rm -rf "$to"/.*.new "$to/.new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "$(missing)" ]; then
    say "$to has $set already, verified"
    exit 0
fi
if [ -n "$from" ]; then
    get "$from"
else
    for mirror in $(mirrors "$set"); do
        [ -z "$(missing)" ] || get "$mirror"
    done
fi
still=$(missing | tr '\n' ' ')
[ -z "$still" ] || fail "could not get: $still(tried ${from:-$(mirrors "$set")}); fetch them elsewhere and use --from FOLDER"
say "$to has $set, verified"
