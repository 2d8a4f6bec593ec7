#!/bin/sh
# make bench: as root (or through sudo) in the namespace of the tests, so that the helper can be installed and port 80
# is free; the measured programs run as an ordinary user.  The table goes to bench/results/ too.
set -eu
cd "$(dirname "$0")/.."
python="$PWD/build/venv/bin/python"
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo -n"
owner="$(id -u):$(id -g)"
"$python" -m venv --clear build/bench
build/bench/bin/python -m pip install --quiet --disable-pip-version-check .
sh tests/inside.sh "$python" -P bench/run.py
$sudo chown "$owner" bench/results/latest.md
