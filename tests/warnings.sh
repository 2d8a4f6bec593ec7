#!/bin/sh
# Every warning that the compiler has is an error in our C, and its static analyser finds nothing.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for file in csrc/*.c csrc/shim/main.c csrc/shim/request.c csrc/shim/policy.c csrc/shim/policyfile.c \
    csrc/shim/sockets.c csrc/shim/os_linux.c; do
    "${CC:-gcc}" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow -Wcast-qual -Wstrict-prototypes \
        -Wmissing-prototypes -Wvla -fanalyzer -Werror '-DLOCALD_VERSION="0"' -c "$file" -o "$out"
done
for file in fuzz/*.c; do # without the analyser, which does not see that argc counts what is freed
    "${CC:-gcc}" -std=c11 -D_GNU_SOURCE -I. -O2 -Wall -Wextra -Wconversion -Wshadow -Wcast-qual -Wstrict-prototypes \
        -Wmissing-prototypes -Wvla -Werror -c "$file" -o "$out"
done
lines=$(cat csrc/shim/* csrc/fdpass.? | wc -l)
echo "C is free of warnings; the privileged part has $lines lines"
