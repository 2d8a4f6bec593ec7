#!/bin/sh
# node.sh
# Installs the Node packages of tests/real/package-lock.json into build/node, where they are missing or of before.
# Where there is no npm, the tests that need them say so.  No script of a package is run.
set -eu
lock=tests/real/package-lock.json done=build/node/installed
command -v npm >/dev/null || exit 0
cmp -s "$lock" "$done" && exit 0
mkdir -p build/node
cp tests/real/package.json "$lock" build/node/
npm ci --prefix build/node --ignore-scripts --no-audit --no-fund --loglevel=error
cp "$lock" "$done"
