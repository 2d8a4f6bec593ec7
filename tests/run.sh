#!/bin/sh
# run.sh [PYTEST ARGUMENTS]
# All tests.  Those of real setuid and real users need root: as root, or where sudo asks for no password, everything
# runs in namespaces of its own; else they are skipped, and pytest says why.  In CI that is an error.
# macOS has no namespaces: there, with LOCALD_TEST_MACHINE=throwaway, tests/root uses the machine itself, by sudo.
set -eu
cd "$(dirname "$0")/.."
sh tests/venv.sh build/venv test
sh tests/node.sh
export PYTHONDONTWRITEBYTECODE=1 ZIG_GLOBAL_CACHE_DIR="${ZIG_GLOBAL_CACHE_DIR:-$PWD/build/zig}"
set -- "$PWD/build/venv/bin/python" -P -m pytest "$@"
if [ "$(id -u)" = 0 ] || { command -v unshare >/dev/null && sudo -n true 2>/dev/null; }; then
    exec sh tests/inside.sh "$@"
fi
if [ "$(uname)" = Darwin ] && [ "${LOCALD_TEST_MACHINE:-}" = throwaway ]; then
    exec sudo -n env "PATH=$PATH" "CI=${CI:-}" LOCALD_TEST_MACHINE=throwaway PYTHONDONTWRITEBYTECODE=1 "$@"
fi
exec "$@"
