#!/bin/sh
# node.sh
# Installs the Node packages of tests/real/package-lock.json into build/node, where they are missing or of before.
# Where there is no npm, or it cannot have them, the tests that need them say so; in CI that is an error.  No script of a
# package is run.
set -eu
lock=tests/real/package-lock.json done=build/node/installed
command -v npm >/dev/null || exit 0
cmp -s "$lock" "$done" && exit 0
mkdir -p build/node
cp tests/real/package.json "$lock" build/node/
# Node has roots of its own; those of the system are more where a company looks into what comes.
roots=/etc/ssl/certs/ca-certificates.crt
[ ! -r "$roots" ] || export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-$roots}"
if ! npm ci --prefix build/node --ignore-scripts --no-audit --no-fund --loglevel=error; then
    rm -rf build/node/node_modules
    [ -z "${CI:-}" ] || exit 1
    echo "note: npm cannot have the packages of $lock (above is why): the tests that need them are skipped" >&2
    exit 0
fi
cp "$lock" "$done"
