#!/bin/sh
# The page in a real browser: what the script makes of the state, and that no name of a run becomes part of the page.
. "$(dirname "$0")/view_test.sh"
need chromium chromium-browser google-chrome
browser=$program

# dump FIXTURE [COUNT]: what the page has become, in $work/dom
dump() {
    start_page "$@"
    HOME=$work timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-proxy-server \
        --user-data-dir="$work/profile" --virtual-time-budget=8000 --dump-dom "$url" >"$work/dom" 2>"$work/browser.err" ||
        fail "$1: the browser ended with status $?: $(tail -3 "$work/browser.err")"
    stop_page
}
# The text between tags, on one line.
has() {
    tr '\n' ' ' <"$work/dom" | grep -q -e "$1" || fail "$what: '$1' is not in the page"
}
lacks() {
    if tr '\n' ' ' <"$work/dom" | grep -q -e "$1"; then fail "$what: '$1' is in the page"; fi
}

what=eight
dump eight
has '<title>6[0-9] % · digits · ddpt</title>'
has '<bdi id="name">digits</bdi>'
has '<span id="state" class="running">running</span>'
has 'id="bar"[^>]*aria-valuenow="6[0-9]"'
has '<span>step</span> <b>3[0-9],[0-9]* of 50,000</b>'
has '<li class="warning">rank 5 (node02) is 31 % slower in forward; without it a step takes 8 % less</li>'
has '<dt>efficiency so far</dt><dd>77.5 %</dd>'
has '<dt>test accuracy</dt><dd>97.43 %</dd>'
has '<dt>ranks</dt><dd>8 on 2 hosts</dd>'
has '<path class="curve" d="M[0-9. ]*L[0-9. ]*L'
has '<td class="rank">7</td><td class="host" title="node02">node02</td><td class="own">10.3 ms</td>'
has '<span class="bar forward" title="forward 3.10 ms" style="width: 25.8333%;">F</span>'
has '<td class="note warning-text">31 % slower</td>'
has 'up 0:06:2[0-9]. Messages: 3,024 accepted, 28 queries; dropped: 7 malformed, 1 oversized, 2 replayed, 4 foreign.'
has 'Connections refused: 3.'
has '<div id="lost" role="alert" hidden="">'
[ "$(grep -o '<tr class' "$work/dom" | wc -l)" -eq 8 ] || fail "not 8 ranks"

what=many
dump many
[ "$(grep -o '<tr class' "$work/dom" | wc -l)" -eq 65 ] || fail "not 64 ranks and their mean"
has '<button id="all">show all 512 ranks</button>'

what=trouble
dump trouble
has '<li class="alarm">rank 2 (node01) silent for 12 s: last seen in backward'
has '<td class="note alarm-text">silent 12 s</td>'
has 'in wait, after step 3[0-9],[0-9]*</div>'

what=several
dump several
has '<button aria-pressed="true">digits · digits-20261123-141500 · running</button>'
has '<button aria-pressed="false">digits · digits-20261123-141500 · done</button>'

what=hostile
dump hostile
has '<title>failed · &lt;script&gt;document'
has "<bdi id=\"name\">&lt;script&gt;document.title='owned'&lt;/script&gt;"
has '<li class="alarm">the run failed: &lt;/script&gt;&lt;b&gt;bold&lt;/b&gt;</li>'
has '&lt;img src=x onerror=alert(1)&gt;</td>'
lacks '<img'
lacks '<b>bold'
lacks '<title>owned'

what=waiting
dump waiting
has '<li class="note">no rank has spoken yet</li>'
has 'no step yet'
has '<section class="card" id="ranks-card" hidden="">'

what="the coordinator falls silent"
dump eight 2
has '<div id="lost" role="alert">No answer from the coordinator since ..:..:.. (0:00:0[0-9]). This is the last state\.'
has '<td class="note warning-text">31 % slower</td>'
dump done 2
has '<div id="lost" role="alert">The coordinator ended after the run: no answer since ..:..:..\.<'
dump eight 0
has '<div id="lost" role="alert">No answer from the coordinator since ..:..:.. (0:00:0[0-9]). Asking again every second.'
has '<p id="none">Waiting for the coordinator …</p>'

what=none
dump none
has '<p id="none">The coordinator knows no run yet.</p>'
has '<div id="run" hidden="">'
finish
