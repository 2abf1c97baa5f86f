#!/bin/bash
# What programs make of faults: fio's verify fails on a corrupted read, qemu-io reports the EIO, aiocp a short disk; and the log does the same again
. "$(dirname "$0")/common.sh"; need fio qemu-io
: "${UAIO:?the uaio command}"
fio_verify() { # script: writes without faults, then verifies
  [ -s "$D/f" ] || fio --name=w --filename="$D/f" --size=16m --bs=4k --rw=write --ioengine=libaio --direct=1 --iodepth=8 --verify=crc32c --do_verify=0 --verify_state_save=0 >"$D/w.log" 2>&1 || die "write"
  timeout 60 "$UAIO" run --fault "$1" ${2:+--fault-log "$2"} -- fio --name=v --filename="$D/f" --size=16m --bs=4k --rw=read --ioengine=libaio --direct=1 --iodepth=8 --verify=crc32c --verify_fatal=1 --verify_state_save=0 >"$D/v.log" 2>&1
}
fio_verify "seed=1" || die "verify without faults: $(tail -1 "$D/v.log")"
fio_verify "seed=7; read:corrupt 0.1%" "$D/log" && die "fio did not see the corruption"
grep -q "verify" "$D/v.log" || die "fio failed otherwise: $(tail -1 "$D/v.log")"
first=$(grep -o "verify: bad.*offset [0-9]*" "$D/v.log" | grep -o "offset [0-9]*" | head -1)
fio_verify "@$D/log"; again=$(grep -o "verify: bad.*offset [0-9]*" "$D/v.log" | grep -o "offset [0-9]*" | head -1)
[ -n "$first" ] && [ "$first" = "$again" ] || die "the log does otherwise: '$first', '$again'"
fio_verify "reorder 5ms; read:delay 2ms 10%; submit:short 20%; submit:EAGAIN 5%" || die "late and short: $(tail -1 "$D/v.log")"
qemu-img create -q -f raw "$D/r" 8M
timeout 30 "$UAIO" run --fault 'read:EIO nth=3' -- qemu-io -f raw -t none -i native -c 'write -P 1 0 1M' -c 'read -P 1 0 64k' -c 'read -P 1 64k 64k' -c 'read -P 1 128k 64k' -c 'read -P 1 192k 64k' "$D/r" >"$D/q.log" 2>&1
[ "$(grep -c 'Input/output error' "$D/q.log")" = 1 ] || die "qemu-io: $(grep -i error "$D/q.log" | head -1)"
timeout 60 "$UAIO" run --fault 'write:ENOSPC nth=5' -- "$(dirname "$UAIO")/aiocp" --size 16M >"$D/c.log" 2>&1 && die "aiocp did not see ENOSPC"
grep -qi "space" "$D/c.log" || die "aiocp: $(tail -1 "$D/c.log")"
ok "corrupted=$first"
