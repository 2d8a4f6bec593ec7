#!/bin/sh
# run.sh [WORD...]: make tools.  Packages are installed outside, as there is no network in the namespace of the tests; the
# tools run there as an ordinary user.  LOCALD_TOOLS is where all of it lies: some 4 GB, and half an hour.
set -eu
cd "$(dirname "$0")/../.."
python="$PWD/build/venv/bin/python"
export LOCALD_TOOLS="${LOCALD_TOOLS:-$PWD/build/tools}" PYTHONPATH="$PWD/tests/lib" PYTHONDONTWRITEBYTECODE=1
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo -n"
owner="$(id -u):$(id -g)"
"$python" tests/tools/install.py "$@"
failed=0
sh tests/inside.sh env LOCALD_TOOLS="$LOCALD_TOOLS" PYTHONPATH="$PYTHONPATH" "$python" tests/tools/main.py "$@" || failed=$?
$sudo chown -R "$owner" "$LOCALD_TOOLS" docs/devservers.md
exit "$failed"
