#!/bin/sh
# inside.sh COMMAND...
# Runs the command as root in the namespaces of tests/namespace.py: as root, or by a sudo that asks for no password.
set -eu
cd "$(dirname "$0")/.."
python="$PWD/build/venv/bin/python"
export PYTHONDONTWRITEBYTECODE=1 ZIG_GLOBAL_CACHE_DIR="${ZIG_GLOBAL_CACHE_DIR:-$PWD/build/zig}"
[ "$(id -u)" != 0 ] || exec "$python" tests/namespace.py "$@"
exec sudo -n env "PATH=$PATH" "CI=${CI:-}" "LOCALD_ATTACK_VECTORS=${LOCALD_ATTACK_VECTORS:-4000}" \
    PYTHONDONTWRITEBYTECODE=1 "ZIG_GLOBAL_CACHE_DIR=$ZIG_GLOBAL_CACHE_DIR" "$python" tests/namespace.py "$@"
