#!/bin/bash
# Before and after: a program that cannot get AIO from the kernel, and the same program over uaio. Fails when it is not so.
# UAIO: the binary (default: target/release/uaio of this tree). QUIET=1: checks only.
set -u
here=$(cd "$(dirname "$0")" && pwd)
uaio=${UAIO:-$here/../../target/release/uaio}
aiocp=$(dirname "$uaio")/aiocp
work=$(mktemp -d "${TMPDIR:-/var/tmp}/uaio-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT
cc -O2 -o "$work/deny" "$here/../../tests/clients/deny.c" || exit 2
failed=0
show() { # expected-status words-expected label command...
  local want=$1 words=$2 label=$3 out rc
  shift 3
  out=$("$@" 2>&1 </dev/null); rc=$?
  [ -n "${QUIET:-}" ] || printf '$ %s\n%s\n(exit status %d)\n\n' "$label" "$out" "$rc"
  if [ $rc != "$want" ] || ! grep -q "$words" <<<"$out"; then
    echo "before-after: '$label': status $rc (wanted $want), wanted words: $words"
    failed=1
  fi
}
size=(--size 64M --dir "$work")
show 1 EAGAIN 'aiocp                   # fs.aio-max-nr is used up' "$work/deny" setup 11 "$aiocp" "${size[@]}"
show 0 verified 'uaio run -- aiocp' "$work/deny" setup 11 "$uaio" run -- "$aiocp" "${size[@]}"
show 1 ENOSYS 'aiocp                   # no AIO in this kernel' "$work/deny" aio 38 "$aiocp" "${size[@]}"
show 0 verified 'uaio run -- aiocp       # and no io_uring either' "$work/deny" both 38 "$uaio" run -- "$aiocp" "${size[@]}"
exit $failed
