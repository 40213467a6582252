#!/bin/sh
# ddpt itself: help, versions, commands that do not exist.
. "$(dirname "$0")/command_test.sh"

expect 0 "$ddpt" --version
out_has '^ddpt [0-9][0-9.]*$'

expect 2 "$ddpt"
err_has 'usage: ddpt COMMAND'
err_has 'no command was given'

for flag in help --help -h; do
    expect 0 "$ddpt" "$flag"
    out_has '^usage: ddpt COMMAND'
done
for command in train eval ckpt summary bench doctor; do
    out_has "^  $command "
    expect 0 "$ddpt" help "$command"
    out_has "ddpt $command"
    cp out help
    for flag in --help -h; do
        expect 0 "$ddpt" "$command" "$flag"
        cmp -s out help || fail "differs from ddpt help $command"
    done
    expect 0 "$ddpt" help
done
expect 0 "$ddpt" help help
out_has '^usage: ddpt COMMAND'
for benchmark in gemm memory allreduce step; do
    expect 0 "$ddpt" bench "$benchmark" --help
    out_has '^usage: '
done

expect 2 "$ddpt" help nothing
is_one_error
expect 2 "$ddpt" nothing
is_one_error
err_has "'nothing'"
err_has 'train, launch, eval, scale, report, coordinator, top, ckpt, summary, bench, doctor, help$'
expect 2 "$ddpt" doctor --nothing
is_one_error
err_has "'--nothing'"

# A full disk is not a success.
if [ -w /dev/full ]; then
    what='ddpt help > /dev/full'
    "$ddpt" help >/dev/full 2>err && fail 'status 0'
    what='ddpt summary --json > /dev/full'
    "$ddpt" summary --json "$examples/digits.cfg" >/dev/full 2>err && fail 'status 0'
fi
finish
