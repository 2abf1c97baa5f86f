#!/bin/sh
# make.sh UAIO: writes the tables in this directory, as the cases end on this machine. Nothing else changes from run to run.
# Exit status: 1 when a case failed.
set -u
uaio=$(realpath "$1")
cd "$(dirname "$0")" || exit 2
system="Linux $(uname -r | sed 's/[^0-9.].*//'), $(uname -m)"
distribution=$(ldconfig -p | sed -n 's/.*libaio\.so\.1\(t64\)\{0,1\} .*=> //p' | head -n 1)
result=0

table() { # file what argument...
	file=$1 what=$2
	shift 2
	output=$("$uaio" conformance "$@" 2>&1)
	status=$?
	printf '# %s\n\n%s. The command:\n\n```\nuaio conformance %s\n```\n\n```\n%s\n```\n' \
		"$what" "$system" "$*" "$output" > "$file.new" && mv "$file.new" "$file"
	echo "$file: exit status $status"
	[ $status = 0 ] || result=1
}

unset LD_PRELOAD UAIO_ENGINE UAIO_MAX_NR UAIO_WRITES UAIO_CANCEL UAIO_STATS UAIO_FAULT UAIO_FAULT_LOG UAIO_URING_MASK
table kernel.md "The kernel" --target kernel
if [ -n "$distribution" ]; then
	table libaio-distribution.md "The distribution's libaio" --target "libaio=$distribution"
fi
for engine in auto inline uring threads kernel scripted; do
	table core-$engine.md "uaio, engine $engine" --target core --engine $engine
done
table preload.md "uaio, preloaded" --target preload
table libaio.md "uaio, as libaio.so.1" --target libaio
exit $result
