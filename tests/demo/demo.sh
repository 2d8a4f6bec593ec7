#!/bin/sh
# The demo, from nothing: finds a Python, then demo.py does the rest.  As root, one that an ordinary user can run is
# looked for, since the daemon will not run as root.
set -eu
cd "$(dirname "$0")/../.."
if [ "$(id -u)" = 0 ]; then
    python=$(sh tests/bootstrap.sh "${SUDO_UID:-65534}")
else
    python=$(sh tests/bootstrap.sh)
fi
exec "$python" -P tests/demo/demo.py
