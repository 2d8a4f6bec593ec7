#!/bin/sh
# run.sh [PART...]: make bench, as root (or through sudo) in the namespace of the tests, so that the helper can be
# installed and port 80 is free; the measured programs run as an ordinary user.  There is no network in there: what
# has to be downloaded is so before.
set -eu
cd "$(dirname "$0")/.."
python="$PWD/build/venv/bin/python"
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo -n"
owner="$(id -u):$(id -g)"
"$python" -m venv --clear build/bench
build/bench/bin/python -m pip install --quiet --disable-pip-version-check .
sh bench/portless.sh
sh tests/inside.sh "$python" -P bench/run.py "$@"
$sudo chown "$owner" bench/results/latest.md README.md
