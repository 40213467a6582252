# ranks_test.sh: what the tests share that look after each rank's process. Sourced after job_test.sh.

# write_each LINE...: the script `each`, which is put between the launcher and a rank, does so for rank $rank and its command "$@".
write_each() {
    {
        printf '%s\n' '#!/bin/sh' 'rank=${PMI_RANK:-${OMPI_COMM_WORLD_RANK:-0}}'
        printf '%s\n' "$@"
    } >each
    chmod +x each
}

# Notes the rank's process and becomes it: launchers kill what they started, not its children.
write_each "echo \$\$ >'$work'/rank.\$rank.new" "mv '$work'/rank.\$rank.new '$work'/rank.\$rank.pid" 'exec "$@"'

# Nothing that a test started outlives it.
kill_all() {
    for file in "$work"/rank.*.pid; do
        [ ! -e "$file" ] || kill -KILL "$(cat "$file")" 2>/dev/null
    done
}
trap 'kill_all; rm -rf "$work"' EXIT

# start RANKS COMMAND...: in the background; 0 ranks: without a launcher.
start() {
    ranks=$1
    shift
    rm -f rank.*
    if [ "$ranks" -eq 0 ]; then
        ranks=1
        in_background "$work/each" "$@"
    else
        in_background "$mpiexec" -n "$ranks" "$work/each" "$@"
    fi
}

all_there() {
    [ "$(ls rank.*.pid 2>/dev/null | wc -l)" -eq "$ranks" ]
}

all_gone() {
    for file in rank.*.pid; do
        [ ! -e "$file" ] || is_gone "$(cat "$file")" || return 1
    done
}
