#!/bin/bash
# matrix.sh [--quick] [--clients "a b"] [--places "plain aio38 …"] [--ways "run preload lib"] [--engine E]
# Runs the client scripts over uaio, in places where something is missing; one line per cell.
# With `run` the summary must also show that the requests were ours. A missing client is a failure unless ALLOW_MISSING=1.
# UAIO: the binary (default: target/release/uaio of this tree); its libraries lie beside it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
uaio=${UAIO:-$here/../../target/release/uaio}
libs=$(dirname "$uaio")
clients="fio-verify fio-options qemu-io-verify qemu-img-bench mariadb-innodb stress-ng-aio ioping-aio lvm-loop caio-tests seastar-shape"
places="plain aio38 setup11 uring1 both38 docker"
ways="run preload"
engine=auto quick=
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=1 ;;
    --clients) clients=$2; shift ;;
    --places) places=$2; shift ;;
    --ways) ways=$2; shift ;;
    --engine) engine=$2; shift ;;
    *) echo "matrix.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
[ -x "$uaio" ] || { echo "matrix.sh: $uaio is not there; build it: cargo build --release" >&2; exit 2; }
work=$(mktemp -d "${TMPDIR:-/var/tmp}/uaio-matrix.XXXXXX")
trap 'rm -rf "$work"' EXIT
cc -O2 -o "$work/deny" "$here/deny.c" || exit 2

deny() { case $1 in plain) ;; aio38) echo "$work/deny aio 38" ;; setup11) echo "$work/deny setup 11" ;; uring1) echo "$work/deny uring 1" ;; both38) echo "$work/deny both 38" ;; docker) echo "$work/deny docker 1" ;; *) echo "matrix.sh: unknown place $1" >&2; exit 2 ;; esac; }

# the quick choice: everything once with and once without the kernel's help, and one client everywhere
wanted() { # client place way
  [ -z "$quick" ] && return 0
  case $2-$3 in plain-run | both38-run) return 0 ;; esac
  case $1 in stress-ng-aio | qemu-io-verify) return 0 ;; esac
  return 1
}

served() { # summary.json: requests that we executed
  python3 -c 'import json, sys; sys.exit(sum(p["requests"]["total"] for p in json.load(open(sys.argv[1]))["processes"]) == 0)' "$1"
}

passed=0 failed=0
for place in $places; do
  for way in $ways; do
    for client in $clients; do
      wanted "$client" "$place" "$way" || continue
      before=$(deny "$place")
      rm -f "$work"/summary.json
      case $way in
        run) out=$(UAIO_ENGINE=$engine WRAP="$before $uaio run --summary=$work/summary.json --" LIMIT=100 "$here/$client.sh" 2>&1) ;;
        preload) out=$(UAIO_ENGINE=$engine WRAP="$before" PRELOAD="$libs/libuaio_preload.so" LIMIT=100 "$here/$client.sh" 2>&1) ;;
        lib) out=$(UAIO_ENGINE=$engine WRAP="$before" LIBDIR="$libs" LIMIT=100 "$here/$client.sh" 2>&1) ;;
      esac
      rc=$?
      if [ $rc = 0 ] && [ $way = run ] && ! served "$work/summary.json"; then
        rc=1 out="$out"$'\n'"the summary shows no request of ours"
      fi
      if [ $rc = 0 ] || { [ $rc = 77 ] && [ -n "${ALLOW_MISSING:-}" ]; }; then
        passed=$((passed + 1)) word=ok
      else
        failed=$((failed + 1)) word=FAILED
        echo "$out"
      fi
      printf '%-7s %-8s %-8s %-15s %s\n' "$word" "$place" "$way" "$client" "$(echo "$out" | tail -1 | cut -c1-90)"
    done
  done
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
