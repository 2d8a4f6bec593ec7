#!/bin/sh
# Every warning that the compiler has is an error in our C; four static analysers find nothing; the privileged part is
# small.  Clang, clang-tidy and cppcheck are used where they are installed, and have to be in CI.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
flags="-std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes -Wvla"
version='-DLOCALD_VERSION="0"'
has() {
    command -v "$1" >/dev/null || { [ -z "${CI:-}" ] || { echo "in CI nothing is skipped, and $1 is missing" >&2; exit 1; }
        echo "not analysed by $1, which is not installed"; false; }
}
files="csrc/fdpass.c csrc/http1.c csrc/ready.c $(ls csrc/shim/*.c csrc/preload/*.c | grep -v os_darwin)"
for file in $files; do
    "${CC:-gcc}" $flags -fanalyzer -Werror "$version" -c "$file" -o "$out"
done
for file in fuzz/*.c bench/proxy/*.c; do # without the analyser, which does not see that argc counts what is freed
    "${CC:-gcc}" $flags -I. -Werror -c "$file" -o "$out"
done
if has clang; then
    for file in $files; do
        clang $flags -Werror "$version" --analyze -Xclang -analyzer-werror --analyzer-output text "$file" -o "$out"
    done
fi
if has clang-tidy; then # .clang-tidy says what it looks for
    clang-tidy --quiet $files -- -std=c11 -D_GNU_SOURCE "$version" 2>"$out" || { cat "$out" >&2; exit 1; }
fi
if has cppcheck; then
    cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inconclusive --std=c11 \
        -D_GNU_SOURCE -D__x86_64__ "$version" $files csrc/shim/os_darwin.c csrc/preload/os_darwin.c
fi
count() { for file in "$@"; do "${CC:-gcc}" -fpreprocessed -dD -E -P "$file" 2>/dev/null; done | grep -c .; }
for system in linux darwin; do # what goes into one helper, without blank lines and comments
    lines=$(count csrc/fdpass.[ch] $(ls csrc/shim/*.[ch] | grep -v os_.) csrc/shim/os_$system.c)
    [ "$lines" -le 650 ] || { echo "the privileged C has $lines lines, and more than 650 are too many to read" >&2; exit 1; }
    echo "C is free of warnings; the privileged part for $system has $lines lines of code"
done
