#!/bin/sh
# A real Prometheus scrapes the page: the target is up, and what it stored is what the page says.
. "$(dirname "$0")/view_test.sh"
need curl
need prometheus
prometheus_pid=
clean_up() {
    [ -z "$prometheus_pid" ] || { kill "$prometheus_pid"; wait "$prometheus_pid"; } 2>/dev/null
    prometheus_pid=
}

for fixture in eight hostile several; do
    start_page $fixture
    curl -sf "${url}metrics" >"$work/metrics" || fail "$fixture: no metrics"
    if command -v promtool >/dev/null 2>&1; then
        promtool check metrics <"$work/metrics" >"$work/check" 2>&1 && [ ! -s "$work/check" ] ||
            fail "$fixture: promtool: $(cat "$work/check")"
    fi
    stop_page
done

start_page eight
target=${url#http://}
target=${target%/}
cat >"$work/prometheus.yml" <<END
global: { scrape_interval: 1s, scrape_timeout: 1s }
scrape_configs:
  - job_name: ddpt
    static_configs: [{ targets: ['$target'] }]
END

# A port that was free a moment ago may be taken now: another try. Prometheus itself cannot choose one.
try() {
    "$serve" http none </dev/null >"$work/free"
    api=$(sed 's/\/$//' "$work/free")
    prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" --log.level=warn \
        --web.listen-address="${api#http://}" >"$work/prometheus.log" 2>&1 &
    prometheus_pid=$!
    poll ready && return 0
    clean_up
    return 1
}
ready() { curl -sf "$api/-/ready" >/dev/null || ! kill -0 "$prometheus_pid" 2>/dev/null; }
try && curl -sf "$api/-/ready" >/dev/null || try || { fail "prometheus does not start: $(cat "$work/prometheus.log")"; finish; }

# query EXPRESSION PATTERN: its answer has it, in the end
answers() { curl -sf --data-urlencode "query=$1" "$api/api/v1/query" | tee "$work/answer" | grep -q -e "$2"; }
query() { poll answers "$1" "$2" || fail "$1: no '$2' in $(cat "$work/answer")"; }
query 'up{job="ddpt"}' '"value":\[[0-9.]*,"1"\]'
query 'ddpt_run_info' '"name":"digits".*"value":\[[0-9.]*,"1"\]'
query 'ddpt_coordinator_messages_total{kind="accepted"}' '"3024"'
query 'count(ddpt_rank_steps_total)' ',"8"\]'
query 'ddpt_run_straggler_slower_ratio' '"phase":"forward","rank":"5".*"0.31"'
query 'sum by (phase) (ddpt_rank_phase_seconds_total{rank="0",phase="backward"})' '"phase":"backward"'
# Counters count: the fixture makes a step every 12 ms.
query 'rate(ddpt_run_steps_total[10s]) > 1' '"name":"digits"'
curl -sf "$api/api/v1/targets" | grep -q '"lastError":""' || fail "the last scrape had an error"
curl -sf "$api/api/v1/metadata?metric=ddpt_run_loss" | grep -q '"type":"gauge","help":"Training loss' || fail "no metadata"
finish
