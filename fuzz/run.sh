#!/bin/sh
# run.sh [SECONDS] [HARNESS...]
# Fuzzes each pure part of our C for so long, under ASan and UBSan, from the committed corpus and what earlier runs
# found.  Finds go to build/fuzz and not into the repository: a crash that was understood becomes a file in fuzz/corpus.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# = 0 ] || shift
[ $# != 0 ] || set -- request policy control http1 parts
out=build/fuzz
mkdir -p "$out"

flags="-std=c11 -D_GNU_SOURCE -I. -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all"
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d == (char *)n; }' >"$out/probe.c"
if ! clang -fsanitize=fuzzer,address,undefined "$out/probe.c" -o "$out/probe" 2>"$out/probe.log"; then
    echo "make fuzz needs clang and its libFuzzer: apt-get install clang libclang-rt-14-dev (see $out/probe.log)" >&2
    exit 1
fi
for name in "$@"; do
    # shellcheck disable=SC2086
    clang $flags -fsanitize=fuzzer,address,undefined "fuzz/fuzz_$name.c" csrc/shim/request.c csrc/shim/policy.c \
        csrc/fdpass.c csrc/http1.c -o "$out/$name"
    mkdir -p "$out/corpus/$name"
    echo "fuzz/fuzz_$name.c for $seconds s"
    if ! "$out/$name" -max_total_time="$seconds" -max_len=5000 -timeout=5 -dict="fuzz/$name.dict" -print_final_stats=1 \
        -artifact_prefix="$out/$name-" "$out/corpus/$name" "fuzz/corpus/$name" >"$out/$name.log" 2>&1; then
        grep -v '^#' "$out/$name.log" | tail -60 >&2
        echo "fuzz/fuzz_$name.c failed.  Once more: $out/$name $(ls -t "$out/$name-"* | head -1)" >&2
        exit 1
    fi
    sed -n 's/^stat::\(number_of_executed_units\|average_exec_per_sec\|new_units_added\): */  \1 /p' "$out/$name.log"
    grep -E '^#[0-9]+.*DONE' "$out/$name.log" || true
done
