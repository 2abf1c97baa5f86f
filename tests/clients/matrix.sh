#!/bin/bash
# matrix.sh [--short | --quick] [--clients "a b"] [--places "plain aio38 …"] [--ways "run preload lib"] [--engines "auto uring …"]
# Runs the client scripts over uaio, on each engine, in places where something is missing (places.sh); one line per cell.
# With `run` the summary must also show that the requests were ours. A missing client is a failure unless ALLOW_MISSING=1.
# --short: each place with each engine, by small clients. --quick: more clients, fewer places, no engines.
# UAIO: the binary (default: target/release/uaio of this tree); its libraries lie beside it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
uaio=${UAIO:-$here/../../target/release/uaio}
libs=$(dirname "$uaio")
clients="fio-verify fio-options qemu-io-verify qemu-img-bench mariadb-innodb stress-ng-aio ioping-aio lvm-loop caio-tests seastar-shape"
T=${T:-${TMPDIR:-/var/tmp}}
export T
. "$here/places.sh"
places= engines= ways=run quick= short=
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=1 ways="run preload" places="plain aio38 setup11 uring1 both38 docker" engines=auto ;;
    --short) short=1 ;;
    --clients) clients=$2; shift ;;
    --places) places=$2; shift ;;
    --ways) ways=$2; shift ;;
    --engine | --engines) engines=$2; shift ;;
    *) echo "matrix.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
places=${places:-$places_all} engines=${engines:-$engines_all}
[ -x "$uaio" ] || { echo "matrix.sh: $uaio is not there; build it: cargo build --release" >&2; exit 2; }
work=$(mktemp -d "$T/uaio-matrix.XXXXXX")
chmod 755 "$work"
trap 'leave_places; rm -rf "$work"' EXIT
cc -O2 -o "$work/deny" "$here/deny.c" || exit 2

# the quick choice: everything once with and once without the kernel's help, and one client everywhere
quick_cell() { # client place way
  case $2-$3 in plain-run | both38-run) return 0 ;; esac
  case $1 in stress-ng-aio | qemu-io-verify) return 0 ;; esac
  return 1
}

# the short choice: a small client in every place on every engine, and sharper ones with and without io_uring
short_cell() { # client place engine
  case $1-$2-$3 in
    ioping-aio-*) return 0 ;;
    qemu-io-verify-plain-* | seastar-shape-plain-* | stress-ng-aio-uring1-auto | qemu-io-verify-no*-auto) return 0 ;;
  esac
  return 1
}

wanted() { # client place way engine
  if [ -n "$quick" ]; then quick_cell "$1" "$2" "$3"; elif [ -n "$short" ]; then short_cell "$1" "$2" "$4"; fi
}

served() { # summary.json: requests that we executed
  python3 -c 'import json, sys; sys.exit(sum(p["requests"]["total"] for p in json.load(open(sys.argv[1]))["processes"]) == 0)' "$1"
}

passed=0 failed=0 none=0

line() { printf '%-7s %-8s %-7s %-8s %-15s %s\n' "$1" "$place" "$engine" "$way" "$client" "$2"; }

run_client() { # prints what the client's script says
  local WRAP="$before $inside" PRELOAD='' LIBDIR=''
  case $way in
    run) WRAP="$before $uaio run --summary=$work/summary.json -- $inside" ;;
    preload) PRELOAD=$libs/libuaio_preload.so ;;
    lib) LIBDIR=$libs ;;
  esac
  env UAIO_ENGINE="$engine" TMPDIR="$T" WRAP="$WRAP" LAST="$last" ${PRELOAD:+PRELOAD="$PRELOAD"} ${LIBDIR:+LIBDIR="$LIBDIR"} LIMIT=100 "$here/$client.sh" 2>&1
}

# Why the client cannot run here, without uaio, if so. Only what failed is asked.
cannot_itself() {
  [ "$place" != plain ] && has_kernel_aio "$place" || return 1
  local out
  out=$(TMPDIR=$T WRAP="$before $inside" LAST=$last LIMIT=100 "$here/$client.sh" 2>&1) && return 1
  reason="nor can the client without uaio: $(echo "$out" | tail -1 | cut -c1-60)"
}

cell() {
  local out rc reason
  reason=${why:-$(impossible "$client" "$place" "$engine")}
  if [ -n "$reason" ]; then
    none=$((none + 1))
    line none "$reason"
    return
  fi
  rm -f "$work"/summary.json
  out=$(run_client)
  rc=$?
  if [ $rc = 0 ] && [ $way = run ] && ! served "$work/summary.json"; then
    rc=1 out="$out"$'\n'"the summary shows no request of ours"
  fi
  if [ $rc = 0 ] || { [ $rc = 77 ] && [ -n "${ALLOW_MISSING:-}" ]; }; then
    passed=$((passed + 1))
    line ok "$(echo "$out" | tail -1 | cut -c1-90)"
  elif cannot_itself; then
    none=$((none + 1))
    line none "$reason"
  else
    failed=$((failed + 1))
    echo "$out"
    line FAILED "$(echo "$out" | tail -1 | cut -c1-90)"
  fi
}

for place in $places; do
  place "$place" || [ -n "$why" ] || exit 2
  if [ -z "$why" ] && ! proved "$place"; then
    echo "matrix.sh: the place $place lacks nothing" >&2
    failed=$((failed + 1))
  fi
  for engine in $engines; do
    for way in $ways; do
      for client in $clients; do
        wanted "$client" "$place" "$way" "$engine" && cell
      done
    done
  done
  leave_places
done
echo "places: $places; engines: $engines; ways: $ways; $none cells cannot be"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
