#!/bin/bash
# nginx with `aio on` and directio: raw calls, an eventfd on every iocb; files fetched over loopback and compared
. "$(dirname "$0")/common.sh"; need nginx python3
nginx -V 2>&1 | grep -q -- --with-file-aio || { echo "SKIP $NAME: nginx without file AIO"; exit 77; }
chmod 755 "$D"; mkdir "$D/www" "$D/tmp"
for i in 1 2 3 4; do head -c $((i * 1500000 + i)) /dev/urandom >"$D/www/$i"; done
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$D/conf" <<C
daemon off; user root; worker_processes 2; pid $D/pid; error_log $D/nginx.log;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path $D/tmp; proxy_temp_path $D/tmp; fastcgi_temp_path $D/tmp; uwsgi_temp_path $D/tmp; scgi_temp_path $D/tmp;
  server { listen 127.0.0.1:$port; root $D/www; aio on; directio 512; sendfile off; output_buffers 2 128k; }
}
C
client nginx -e "$D/nginx.log" -c "$D/conf" >"$D/out.log" 2>&1 & SP=$!; PIDS=($SP)
for i in $(seq 50); do [ -s "$D/pid" ] && break; kill -0 $SP 2>/dev/null || die "nginx died"; sleep 0.1; done
python3 - "$port" "$D/www" >"$D/fetch.log" 2>&1 <<'P' || die "content"
import sys, threading, urllib.request
port, www = sys.argv[1:]
wrong = []
def fetch(name):
    want = open(f"{www}/{name}", "rb").read()
    for _ in range(10):
        if urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=20).read() != want: wrong.append(name)
threads = [threading.Thread(target=fetch, args=(n,)) for n in (1, 2, 3, 4)]
[t.start() for t in threads]; [t.join() for t in threads]
assert not wrong, wrong
P
kill -QUIT "$(cat "$D/pid")"; wait $SP || die "nginx rc=$?"; PIDS=()
grep -E 'alert|emerg|crit' "$D/nginx.log" | head -3 | grep . && die "errors in the log"
ok "files=4 fetches=40"
