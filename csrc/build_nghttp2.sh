#!/bin/sh
# build_nghttp2.sh PREFIX [ARCHIVE [OPTION...]]
# Makes libnghttp2.a and its headers below PREFIX, an absolute path, for a wheel that needs no library of the system:
#     LOCALD_NGHTTP2=PREFIX python -m build
# The archive is the one of the release; it is downloaded unless there is one at hand, and nothing is unpacked before
# its sha256 is the one below.  The options are its configure's (--host, for another machine).
set -eu
version=1.70.0
sha256=aa317e2cf9dca6afa0aed68f8fad6ff303ec6982e25a78c75c0b65e2b9b3ded5
url=https://github.com/nghttp2/nghttp2/releases/download/v$version/nghttp2-$version.tar.gz

fail() { # what, hint
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}
prefix=${1:-}
case $prefix in /*) ;; *) fail "the folder to build into is an absolute path, and not '$prefix'" "sh $0 /opt/nghttp2" ;; esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
archive=$folder/nghttp2.tar.gz
given=${2:-}
shift $(($# < 2 ? $# : 2))
if [ -n "$given" ]; then
    # A copy: what is measured is what is unpacked.
    cp "$given" "$archive"
else
    curl --proto '=https' --tlsv1.2 --fail --silent --show-error --location --retry 3 --output "$archive" "$url" ||
        fail "$url cannot be downloaded" "sh $0 $prefix ARCHIVE"
fi
if command -v sha256sum >/dev/null; then
    is=$(sha256sum "$archive")
else
    is=$(shasum -a 256 "$archive") # macOS
fi
is=${is%% *}
[ "$is" = $sha256 ] || fail "this is not nghttp2 $version: it has sha256 $is, and not $sha256" "take $url"

tar -xzf "$archive" -C "$folder"
cd "$folder/nghttp2-$version"
# Position-independent, since it goes into extensions; no debug information, which nobody gets to see.
CFLAGS=${CFLAGS:--O2 -g0} ./configure --quiet --prefix="$prefix" --libdir="$prefix/lib" \
    --enable-lib-only --disable-shared --enable-static --with-pic --disable-dependency-tracking "$@"
make -s -j"$(getconf _NPROCESSORS_ONLN)" -C lib install
echo "libnghttp2 $version: $prefix/lib/libnghttp2.a"
