#!/bin/sh
# as_root.sh COMMAND...
# Runs the command as root: as we are, or by a sudo that asks for no password.  Of the environment all is kept that our
# tests look at; root has the programs of the system, and nobody sees who has typed sudo.
set -eu
cd "$(dirname "$0")/.."
export PYTHONDONTWRITEBYTECODE=1 ZIG_GLOBAL_CACHE_DIR="${ZIG_GLOBAL_CACHE_DIR:-$PWD/build/zig}"
[ "$(id -u)" != 0 ] || exec "$@"
exec sudo -n env -u SUDO_UID -u SUDO_GID -u SUDO_USER -u SUDO_COMMAND "PATH=$PATH:/usr/sbin:/sbin" "CI=${CI:-}" \
    "LOCALD_TEST_MACHINE=${LOCALD_TEST_MACHINE:-}" "LOCALD_ATTACK_VECTORS=${LOCALD_ATTACK_VECTORS:-4000}" \
    PYTHONDONTWRITEBYTECODE=1 "ZIG_GLOBAL_CACHE_DIR=$ZIG_GLOBAL_CACHE_DIR" "$@"
