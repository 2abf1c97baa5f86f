#!/bin/bash
# a client in the shape of Seastar: both /proc files, raw calls, 10,000 POLLs in flight, ring reaped by hand, io_pgetevents with a mask, io_cancel
. "$(dirname "$0")/common.sh"; need cc
cc -O2 -Wall -o "$D/seastar-shape" "$(dirname "$0")/seastar-shape.c" || die "cc"
client "$D/seastar-shape" "$D/data" >"$D/r.log" 2>&1 || die "rc=$?"
ok "$(cat "$D/r.log")"
