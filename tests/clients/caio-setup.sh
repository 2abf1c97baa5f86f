#!/bin/bash
# caio-setup.sh DIR: makes what caio-tests.sh needs: DIR/venv (PYVENV) and DIR/caio (CAIO), caio's unpacked source. Twice does no harm.
set -eu
dir=$1
mkdir -p "$dir"
[ -x "$dir/venv/bin/python" ] || python3 -m venv "$dir/venv"
"$dir/venv/bin/python" -c 'import caio, aiofile, pytest, aiomisc' 2>/dev/null ||
  "$dir/venv/bin/pip" install -q --disable-pip-version-check caio aiofile pytest aiomisc pytest-rerunfailures
if [ ! -d "$dir/caio/tests" ]; then
  rm -rf "$dir/sdist" "$dir/caio"
  mkdir -p "$dir/sdist"
  version=$("$dir/venv/bin/pip" show caio | awk '/^Version/{print $2}')
  "$dir/venv/bin/pip" download -q --disable-pip-version-check --no-deps --no-binary caio -d "$dir/sdist" "caio==$version"
  mkdir -p "$dir/caio"
  tar -xf "$dir"/sdist/caio-*.tar.gz -C "$dir/caio" --strip-components=1
fi
