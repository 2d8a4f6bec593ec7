#!/bin/sh
# run.sh [PYTEST ARGUMENTS]
# All tests.  Those of real setuid and real users need root: as root, or where sudo asks for no password, two processes
# run them at once, each in namespaces of its own; else they are skipped, and pytest says why.  In CI that is an error.
# macOS has no namespaces: there, with LOCALD_TEST_MACHINE=throwaway, tests/root uses the machine itself, by sudo.
set -eu
cd "$(dirname "$0")/.."
make --silent build/venv/test
sh tests/node.sh
python="$PWD/build/venv/bin/python"
"$python" -m compileall -q locald  # once, and not by each of the thousand commands that the tests type
export PYTHONDONTWRITEBYTECODE=1
if command -v unshare >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    # A file's tests stay together, as they share what is dear to make; files are taken in the order in which they are.
    set -- --dist loadfile --no-loadscope-reorder --tx "2*popen//python=sh tests/inside.sh build/venv/bin/python -P" "$@"
    exec sh tests/as_root.sh "$python" -P -m pytest "$@"
fi
if [ "$(uname)" = Darwin ] && [ "${LOCALD_TEST_MACHINE:-}" = throwaway ]; then
    exec sh tests/as_root.sh "$python" -P -m pytest "$@"
fi
exec "$python" -P -m pytest "$@"
