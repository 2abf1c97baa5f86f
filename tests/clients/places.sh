# sourced by matrix.sh: places where something is missing. `place NAME` sets one of three, or fails with `why`:
# `before` is put in front of uaio run, `inside` behind it, `last` right in front of the client program.
# A place is made for the client program only: the shell tools around it stay as they are. Needs $work, with deny built.

places_all="plain aio38 setup11 uring1 both38 docker memlock0 nproc roroot noproc noshm lowmem"
engines_all="auto uring threads inline kernel"
lowmem_bytes=$((64 << 20))

# One line of shell in a mount namespace of its own, then the client.
in_namespace() { # line
  cat >"$work/place-$1" <<P
#!/bin/bash
exec unshare -m --propagation private bash -c '$2; exec "\$@"' place "\$@"
P
  chmod 755 "$work/place-$1"
  inside="$work/place-$1"
}

need_root() { [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null && return 0; why="needs root and mount namespaces"; return 1; }

roroot() { # everything is read-only but the clients' directory and the matrix's own
  need_root || return 1
  in_namespace roroot 'mount --bind "'"$T"'" "'"$T"'" && mount -o remount,bind,ro / || exit 125'
}

noproc() { need_root && in_namespace noproc 'mount -t tmpfs -o ro none /proc || exit 125'; }

noshm() { need_root && in_namespace noshm '{ ! mountpoint -q /dev/shm || umount -l /dev/shm; } && { [ ! -d /dev/shm ] || mount -t tmpfs -o ro,size=4k,mode=000 none /dev/shm; } || exit 125'; }

# Root would be exempt by a capability.
memlock0() { before="setpriv --bounding-set=-ipc_lock prlimit --memlock=0:0"; }

own_group() { # controller; prints the directory of our own cgroup
  local path
  path=$(awk -F: -v c="$1" '{n = split($2, names, ","); for (i = 1; i <= n; i++) if (names[i] == c) print $3}' /proc/self/cgroup)
  if [ -n "$path" ]; then echo "/sys/fs/cgroup/$1$path"; else echo "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)"; fi
}

in_group() { # controller value file...: the first file that is there is the limit
  local controller=$1 value=$2 file dir
  dir=$(own_group "$1")
  shift 2
  group=$dir/uaio-matrix-$$
  mkdir -p "$group" 2>/dev/null
  for file; do
    if [ -e "$group/$file" ] && { echo "$value" >"$group/$file"; } 2>/dev/null; then
      printf '#!/bin/bash\necho $$ >%q/cgroup.procs || exit 125\nexec "$@"\n' "$group" >"$work/place-$controller"
      chmod 755 "$work/place-$controller"
      return 0
    fi
  done
  why="no cgroup with a limit of $controller can be made in $dir"
  leave_places
  return 1
}

# As under ulimit -u, and for root too: the client has one task, and no more.
nproc_limit() { in_group pids 1 pids.max && last=$work/place-pids; }

lowmem() { in_group memory $lowmem_bytes memory.limit_in_bytes memory.max && inside=$work/place-memory; }

leave_places() {
  [ -z "${group:-}" ] || rmdir "$group" 2>/dev/null
  group=''
}

place() { # name
  before='' inside='' last='' why=''
  case $1 in
    plain) ;;
    aio38) before="$work/deny aio 38" ;;
    setup11) before="$work/deny setup 11" ;;
    uring1) before="$work/deny uring 1" ;;
    both38) before="$work/deny both 38" ;;
    docker) before="$work/deny docker 1" ;;
    nproc) nproc_limit ;;
    memlock0 | roroot | noproc | noshm | lowmem) "$1" ;;
    *) echo "matrix.sh: unknown place $1" >&2; exit 2 ;;
  esac
}

# Whether the place lacks what it should lack; the same way that a client gets there.
proved() { # name
  local test
  case $1 in
    memlock0) test='[ "$(ulimit -l)" = 0 ] && ! grep -q "^CapEff:.*[4-7c-f]...$" /proc/self/status' ;;
    nproc) ! $before $inside $last sh -c '/bin/true; :' >/dev/null 2>&1; return ;;
    roroot) test='! touch /usr/uaio-place && touch "$T/uaio-place.$$" && rm "$T/uaio-place.$$"' ;;
    noproc) test='[ ! -e /proc/self ] && [ ! -e /proc/sys ]' ;;
    noshm) test='! touch /dev/shm/uaio-place' ;;
    lowmem) test="! awk 'BEGIN { while (length(s) < $((2 * lowmem_bytes))) s = s \"0123456789abcdef\" s }' 2>/dev/null" ;;
    *) return 0 ;;
  esac
  $before $inside $last sh -c "$test" >/dev/null 2>&1
}

# What cannot be, and why: an engine in a place, or a client.
impossible() { # client place engine
  case $2-$3 in
    uring1-uring | both38-uring | docker-uring) echo "io_uring is what this place forbids" ;;
    aio38-kernel | setup11-kernel | both38-kernel) echo "the AIO of the kernel is what this place forbids" ;;
  esac
  case $2-$1 in nproc-seastar-shape) echo "nobody is there to wait for its POLLs: EAGAIN" ;;
    nproc-stress-ng-aio) echo "the client starts a process for each worker, and tries again until its time is over" ;;
  esac
}

# Places that leave the kernel's AIO alone: a client that fails there without uaio too needs what is missing itself.
has_kernel_aio() { case $1 in aio38 | setup11 | both38) return 1 ;; *) return 0 ;; esac; }
