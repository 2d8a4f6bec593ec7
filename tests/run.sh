#!/bin/sh
# run.sh [PYTEST ARGUMENTS]
# All tests.  Those of real setuid and real users need root: as root, or where sudo asks for no password, everything
# runs in namespaces of its own; else they are skipped, and pytest says why.  In CI that is an error.
set -eu
cd "$(dirname "$0")/.."
venv=build/venv
sh tests/venv.sh "$venv" test
export PYTHONDONTWRITEBYTECODE=1 ZIG_GLOBAL_CACHE_DIR="${ZIG_GLOBAL_CACHE_DIR:-$PWD/build/zig}"
set -- "$PWD/$venv/bin/python" -P -m pytest "$@"
if [ "$(id -u)" = 0 ]; then
    exec "$venv/bin/python" tests/namespace.py "$@"
elif command -v unshare >/dev/null && sudo -n true 2>/dev/null; then
    exec sudo -n env "PATH=$PATH" "CI=${CI:-}" PYTHONDONTWRITEBYTECODE=1 \
        "ZIG_GLOBAL_CACHE_DIR=$ZIG_GLOBAL_CACHE_DIR" "$venv/bin/python" tests/namespace.py "$@"
fi
exec "$@"
