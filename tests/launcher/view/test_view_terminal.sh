#!/bin/sh
# The live view in a real terminal (tmux): what it shows, keys, resizing, a source that falls silent, and how it leaves.
. "$(dirname "$0")/view_test.sh"
need tmux

# Its server and socket are this test's alone.
tm() { TMUX_TMPDIR=$work tmux -L view -f /dev/null "$@" 2>>"$work/tmux.err"; }
clean_up() { tm kill-server; }
tm new-session -d -s keep cat # without a session the server would end between two views

# A shell around the view notes the terminal's settings before and after, its process, and how it ended.
cat >"$work/around.sh" <<END
cd "$work" || exit 1
trap : INT
ulimit -c 0
echo "a line before"
stty -a >before
sh -c 'echo \$\$ >pid; exec "$serve" top "\$@"' sh "\$@"
echo \$? >status
stty -a >after
exec cat
END
# live FIXTURE [FILE]: in 80x24; settings in $with
with=LC_ALL=C.UTF-8
around=around.sh
live() {
    rm -f "$work/status" "$work/after" "$work/pid"
    tm kill-session -t view
    tm new-session -d -s view -x 80 -y 24 "env $with sh $work/$around $*"
    shows 'ddpt\|digits\|script\|error' || { fail "$*: no screen"; finish; }
}
screen() { tm capture-pane -p -t view; }
has() { screen | grep -q -e "$1"; }
lacks() { ! screen | grep -q -e "$1"; }
shows() { poll has "$1" || { fail "'$1' does not come on the screen"; screen; }; }
hides() { poll lacks "$1" || { fail "'$1' does not go from the screen"; screen; }; }
press() { tm send-keys -t view "$@"; }
# state FORMAT WANTED: of the terminal
state() { [ "$(tm display-message -p -t view "$1")" = "$2" ]; }
# left STATUS [small]: the view has ended so, and the terminal is as it was; a small one does not keep what was on it
left() {
    poll test -s "$work/after" || { fail "it does not leave"; screen; return; }
    [ "$(cat "$work/status")" -eq "$1" ] || fail "it left with status $(cat "$work/status"), not $1"
    cmp -s "$work/before" "$work/after" || fail "the terminal's settings are others than before"
    poll state '#{alternate_on} #{cursor_flag} #{mouse_any_flag}' '0 1 0' || fail "the screen was not given back"
    [ $# -gt 1 ] || shows '^a line before$'
}

# The whole screen, as test_view_layout has it; where there are colours a bar has one letter a phase.
live eight
shows ' digits  runs/digits-20261123-141500  *running$'
shows '█▋*░'
shows 'loss 0.07'
shows 'efficiency so far *77.5 %'
shows '^ *5  10.9 ms  D F  *B  *R   U o *31 % slower$'
shows '^ rank 5 (node02) is 31 % slower in forward; without it a step takes 8 % less$'
[ "$(screen | sed -n 24p)" = ' q quit   ↑↓ scroll   s slowest first   ? help' ] || fail "the keys are not on line 24"
[ "$(screen | wc -l)" -eq 24 ] || fail "not 24 lines"

# It renews itself where it stands: nothing scrolls.
elapsed() { screen | sed -n 's/.*elapsed \([0-9:]*\) .*/\1/p'; }
first=$(elapsed)
changed() { [ -n "$(elapsed)" ] && [ "$(elapsed)" != "$first" ]; }
poll changed || fail "the time stands still at '$first'"
state '#{alternate_on} #{cursor_flag} #{history_size}' '1 0 0' || fail "it does not refresh in place"

# Another size, larger and smaller, and back.
tm resize-window -t view -x 120 -y 40
bottom() { [ "$(screen | sed -n "${1}p" | cut -c 1-7)" = ' q quit' ]; }
poll bottom 40 || { fail "it does not grow with the terminal"; screen; }
shows '^ *rank  host  *own time'
tm resize-window -t view -x 60 -y 12
poll bottom 12 || { fail "it does not shrink with the terminal"; screen; }
tm resize-window -t view -x 20 -y 5
shows 'too small'
tm resize-window -t view -x 80 -y 24
poll bottom 24 || fail "it does not come back"

press '?'
shows 'leave; the run goes on'
press '?'
hides 'leave; the run goes on'
press q
left 0

# More ranks than lines.
live many
shows '1-8 of 512$'
shows '^ *mean '
press Down
shows '2-9 of 512$'
press NPage
shows '10-17 of 512$'
press Up
shows '9-16 of 512$'
press End
shows '505-512 of 512$'
shows '^ *511 '
press Home
shows '1-8 of 512$'
press s
shows '^ *17  10.3 ms'
screen | sed -n '/^ *mean/{n;p;}' | grep -q '^ *5 ' || { fail "the slowest is not the first"; screen; }
press s
shows '^ *1  10.1 ms'
press q
left 0

# Several runs.
live several
shows 'run 1 of 3  running'
press n
shows 'run 2 of 3  failed'
shows 'the run failed: </script><b>bold</b>'
press Tab
shows 'run 3 of 3  done'
shows 'the run has ended: q leaves'
press n
shows 'run 1 of 3  running'
press p
shows 'run 3 of 3  done'
press q
left 0

# The coordinator falls silent, and comes back.
live eight "$work/silence"
: >"$work/silence"
shows 'no answer for 0:00:'
shows 'no answer since ..:..:..: this is the last state; the fixture is silent'
shows '^ *7  10.3 ms'
rm "$work/silence"
hides 'no answer'
shows ' running$'
press q
left 0

# It was silent from the start.
: >"$work/silence"
live eight "$work/silence"
shows 'no answer since ..:..:..; the fixture is silent'
rm "$work/silence"
shows '^ *7  10.3 ms'

# Ended by a signal, as the shell sees it.
press C-c
left 130
for signal in TERM:143 HUP:129 QUIT:131; do
    live solo
    kill -s "${signal%:*}" "$(cat "$work/pid")"
    left "${signal#*:}"
done

# Stopped by the shell's key and taken up again: $around of a shell with jobs.
sed -e '1i set -m' -e '/^echo .*>status/i echo "it stands still"; read line; fg' "$work/around.sh" >"$work/jobs.sh"
around=jobs.sh
live eight
press C-z
shows '^it stands still$'
state '#{alternate_on} #{cursor_flag}' '0 1' || fail "a stopped view keeps the screen"
press Enter
shows '^ *7  10.3 ms'
press q
left 0
around=around.sh

# No Unicode, no colours.
with='LC_ALL=C NO_COLOR=1'
live eight
shows '^ ####*\.\.\.'
shows '^ *5  10.9 ms  DDFFFFFFF*BBBBBB*RRRRUUo'
[ -z "$(screen | tr -d '\n -~')" ] || fail "there is more than ASCII on the screen"
tm capture-pane -p -e -t view | grep -q "$(printf '\033')\[[0-9;]*3[0-7]" && fail "there are colours"
press q
left 0

# Few colours, a terminal that cannot do much, one that nobody knows.
with='LC_ALL=C.UTF-8 TERM=linux'
live eight
shows '^ *5  10.9 ms  D F '
press q
left 0 small
with='LC_ALL=C.UTF-8 TERM=vt100'
live eight
shows '^ *5  10.9 ms  DDFF'
press q
left 0 small
with='LC_ALL=C.UTF-8 TERM=nothing'
live eight
poll test -s "$work/status" || fail "it does not leave an unknown terminal"
[ "$(cat "$work/status")" -eq 2 ] || fail "status $(cat "$work/status") on an unknown terminal, not 2"
shows "the terminal 'nothing' (TERM) is not known here"
with='LC_ALL=C.UTF-8 TERM=dumb'
rm -f "$work/status"
live eight
poll test -s "$work/status" || fail "it does not leave a terminal that cannot move its cursor"
[ "$(cat "$work/status")" -eq 2 ] || fail "status $(cat "$work/status") on a dumb terminal, not 2"

# Names that try to take the terminal over.
with=LC_ALL=C.UTF-8
live hostile
shows "<script>document.title='owned'</script>?\[2J"
press q
left 0

# The same content once, as text.
"$serve" once eight >"$work/once" || fail "once failed"
cmp "$work/once" "$(dirname "$0")/screens/eight-once.txt" || fail "once prints something else"
COLUMNS=120 "$serve" once many >"$work/once" || fail "once failed"
grep -c '^ *[0-9]*  node[0-9]* ' "$work/once" | grep -qx 512 || fail "once does not print all ranks"
[ "$(wc -L <"$work/once")" -le 120 ] || fail "once is wider than COLUMNS"
LC_ALL=C "$serve" once trouble | LC_ALL=C tr -d '\n -~' | cmp -s - /dev/null || fail "once prints more than ASCII"
"$serve" once several >"$work/once" || fail "once failed"
grep -q '^ digits: done after step 50,000, 0:10:00$' "$work/once" || fail "once does not name the other runs"
"$serve" once none | grep -q 'knows no run' || fail "once does not say that there is no run"
"$serve" once eight >/dev/full 2>"$work/err" && fail "once says nothing of a full disk"
finish
