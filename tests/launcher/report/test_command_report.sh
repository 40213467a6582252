#!/bin/sh
# ddpt report: from runs that were just trained, and again from what it wrote; what it writes is what it says; refusals.
. "$(dirname "$0")/../command_test.sh"
here=$(cd "$(dirname "$0")" && pwd)
small="--set data.train_samples=2000 --set data.test_samples=100 --set train.max_steps=30 --set train.log_every=1"

check_pages() {
    if ! command -v python3 >/dev/null; then
        echo 'skipped: pages are not checked, there is no python3'
        return
    fi
    expect 0 python3 "$here/check_page.py" "$@"
}

# json FILE EXPRESSION: is it true, with d for what is in the file?
json() {
    command -v python3 >/dev/null || return 0
    python3 -c "import json, sys; d = json.load(open(sys.argv[1])); sys.exit(not ($2))" "$1" || fail "$1: not so: $2"
}

for ranks in 1 2; do
    for repeat in 1 2; do
        expect 0 "$mpiexec" -n $ranks "$ddpt" train --out run-$ranks-$repeat $small --set train.threads=1 \
            --set train.seed=$repeat "$examples/digits.cfg"
    done
done

expect 0 "$ddpt" report --out made run-*
out_has '^ *1  '
out_has '^ *2[ *]  '
out_has '^why  '
out_has '^worth it  '
err_has 'report: made/report.html'
for file in scaling.json scaling.csv report.html; do
    [ -s made/$file ] || fail "no $file"
done
[ "$(grep -c . made/scaling.csv)" -eq 3 ] || fail 'not two points in scaling.csv'
json made/scaling.json 'd["schema"] == "ddpt.scaling.v1" and d["mode"] == "strong" and d["name"] == "digits"'
json made/scaling.json '[p["workers"] for p in d["points"]] == [1, 2] and len(d["trials"]) == 4'
json made/scaling.json 'all(len(t["steps_s"]) == t["steps"] == 27 for t in d["trials"])'
json made/scaling.json 'd["trials"][3]["repeat"] == 1 and d["trials"][3]["slowest_rank"] in (0, 1)'
check_pages made/report.html
if command -v gnuplot >/dev/null; then
    for picture in speedup efficiency phases; do
        grep -q '</svg>' made/$picture.svg || fail "no $picture.svg"
    done
else
    echo 'skipped: no pictures, there is no gnuplot'
fi

# Again from what was written: nothing changes, by whatever name, and options of the first time are kept.
expect 0 "$ddpt" report --predict 64,4,16 --target-efficiency 0.5 made
json made/scaling.json 'd["options"]["predict"] == [4, 16, 64] and d["options"]["target_efficiency"] == 0.5'
cp -R made before
expect 0 "$ddpt" report made
diff -r before made >out || fail 'the report changed'
expect 0 "$ddpt" report made/scaling.json
diff -r before made >out || fail 'the report changed'
(cd made && expect 0 "$ddpt" report scaling.json)
diff -r before made >out || fail 'the report changed'
expect 0 "$ddpt" report --json --out other before/
cmp -s out before/scaling.json || fail 'stdout is not scaling.json'
err_has '^why  '
diff -r before other >out || fail 'the report is another'

# Without --out it gets a folder of its own.
expect 0 "$ddpt" report run-1-1 run-2-1
[ -s runs/report-digits-*/report.html ] || fail 'no folder of its own'
expect 0 "$ddpt" report --out one run-2-1
out_has '^Only one number of workers was measured'
check_pages one/report.html

# Weak scaling.
expect 0 "$mpiexec" -n 2 "$ddpt" train --out weak $small --set train.threads=1 --set train.batch=256 "$examples/digits.cfg"
expect 0 "$ddpt" report --out made-weak run-1-1 weak
json made-weak/scaling.json 'd["mode"] == "weak" and d["amdahl"] is None and "Amdahl" in d["amdahl_reason"]'
check_pages made-weak/report.html

# Without gnuplot there is all but the pictures.
mkdir empty
expect 0 env PATH="$work/empty" "$ddpt" report other
err_has '^warning: the report has no pictures: gnuplot is not installed'
[ ! -e other/speedup.svg ] || fail 'a picture of an older report was left'
cmp -s other/scaling.json before/scaling.json || fail 'scaling.json is another'
check_pages other/report.html

# Whatever names and texts are, they stay text.
sed -e 's|"name": "digits"|"name": "</title><script>`touch pwned`$(touch pwned)"|' \
    -e 's|"cpu": "[^"]*"|"cpu": "<img src=x onerror=y>"|' before/scaling.json >hostile.json
expect 0 "$ddpt" report --out hostile hostile.json
[ ! -e pwned ] || fail 'a name was run'
check_pages hostile/report.html

# Refusals: one line, nothing written.
for arguments in '' '--out made' 'made --nothing' 'made --out' 'made --target-efficiency 0' \
    'made --target-efficiency 1.1' 'made --target-efficiency x' 'made --predict 0' 'made --predict 4,,8' 'made --predict x'; do
    expect 2 "$ddpt" report $arguments
    is_one_error
done
head -c 900 before/scaling.json >cut.json
mkdir folder-cut
cp cut.json folder-cut/scaling.json
cp -R run-2-2 run-cut
head -c 200 run-2-2/steps.csv >run-cut/steps.csv
for arguments in nowhere empty "$examples/digits.cfg" cut.json folder-cut 'made made' 'made run-1-1' 'run-1-1 run-1-1' \
    'run-1-1 run-cut' 'run-1-1 nowhere' before/scaling.csv run-1-1/run.json; do
    expect 3 "$ddpt" report --out refused $arguments
    is_one_error
done
expect 3 "$ddpt" report --out refused run-1-1 run-cut
err_has 'run-cut/steps.csv:[0-9]*: '
expect 0 "$mpiexec" -n 2 "$ddpt" train --out different $small --set train.threads=1 --set model.layers.0.units=64 \
    "$examples/digits.cfg"
expect 3 "$ddpt" report --out refused run-1-1 different
err_has 'not runs of one experiment: model.layers.0.units = 128 in run-1-1, 64 in different'
[ ! -e refused ] || fail 'something was written'

cp -R run-1-1 kept
for arguments in 'report run-1-1 run-2-1 --out run-1-1/' "scale $examples/digits.cfg --workers 1 --out run-1-1"; do
    expect 2 "$ddpt" $arguments
    is_one_error
    err_has 'run-1-1/* is the folder of a run (run.json)'
done
diff -r kept run-1-1 >out || fail 'the folder of a run was changed'

expect 0 "$ddpt" report --help
out_has '^usage: ddpt report'
expect 0 "$ddpt" help report
out_has '^usage: ddpt report'
finish
