#!/bin/bash
# Under strace, over uaio: no AIO call may reach the kernel (strace sees system calls, not calls into a library).
# ENGINE: uring or another of ours (default: uring); `auto` leaves O_DIRECT to kernel contexts. UAIO: the binary (default: target/release/uaio of this tree).
here=$(cd "$(dirname "$0")" && pwd)
uaio=${UAIO:-$here/../../target/release/uaio}
. "$here/common.sh"; need strace fio stress-ng
engine=${ENGINE:-uring}
run() { # name command...
  local name=$1; shift
  strace -f -qq -o "$D/$name.trace" -e trace=io_setup,io_submit,io_getevents,io_pgetevents,io_cancel,io_destroy -- "$uaio" run --engine "$engine" -- "$@" >"$D/$name.log" 2>&1 || die "$name rc=$?"
  ! grep -q 'io_[a-z]*(' "$D/$name.trace" || die "$name: $(grep -m1 'io_[a-z]*(' "$D/$name.trace") reached the kernel"
}
run fio fio --name=t --filename="$D/f" --size=4m --bs=4k --rw=randrw --ioengine=libaio --direct=1 --iodepth=16
run stress stress-ng --temp-path "$D" --aiol 1 --aiol-ops 200 --timeout 20
ok "clients=2"
