#!/bin/sh
# static-check.sh PROGRAM: a statically linked uaio-conformance runs in an empty root directory. As root.
set -eu
program=$1
if readelf -lW "$program" | grep -q INTERP || readelf -dW "$program" | grep -q NEEDED; then
	echo "$program is not statically linked" >&2
	exit 1
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
cp "$program" "$root/uaio-conformance"
for target in kernel core core=inline core=threads; do
	status=0
	# Cases that open no file.
	chroot "$root" /uaio-conformance --target $target --case 'io_setup/*_is_einval*' --case 'cancel/*_key_*' \
		--case 'cancel/*poll*_einprogress*' --case 'cancel/the_*' --case 'cancel/wakes_*' || status=$?
	# A kernel without AIO leaves ours.
	case $target$status in
	*0 | kernel77) ;;
	*) exit 1 ;;
	esac
done
status=0
chroot "$root" /uaio-conformance --target libaio=/libaio.so.1 || status=$?
[ $status = 77 ]
