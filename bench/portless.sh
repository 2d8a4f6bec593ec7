#!/bin/sh
# portless.sh: installs portless into build/portless where npm is there, with the Node that it needs; else the bench
# does without.  No script of a package runs.
set -eu
cd "$(dirname "$0")/.."
portless=0.15.6 node=24.21.0
stamp=build/portless/$portless-$node
[ ! -e "$stamp" ] || exit 0
without() {
    echo "$1: the bench does without portless" >&2
    rm -rf build/portless
    exit 0
}
command -v npm >/dev/null || without "npm is not installed"
case "$(uname -m)" in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) without "there is no Node for $(uname -m)" ;;
esac
rm -rf build/portless
mkdir -p build/portless
# npm looks at the Node that it runs on itself, and warns that this is another one than portless needs.
npm install --prefix build/portless --ignore-scripts --no-audit --no-fund --loglevel error \
    "portless@$portless" "node-linux-$arch@$node" || without "npm cannot install it"
touch "$stamp"
