#!/bin/sh
# inside.sh COMMAND...
# Runs the command as root in the namespaces of tests/namespace.py: as root, or by a sudo that asks for no password.
set -eu
cd "$(dirname "$0")/.."
exec sh tests/as_root.sh "$PWD/build/venv/bin/python" tests/namespace.py "$@"
