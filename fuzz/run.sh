#!/bin/sh
# Fuzzes for some seconds, on the stable toolchain and without cargo-fuzz:
#
#     fuzz/run.sh 300                 five minutes, all cores: half of the time `segment`, the rest the others
#     JOBS=1 fuzz/run.sh 60           one process
#     TARGET=stat fuzz/run.sh 60      one target: segment, stat, header, units or config
#     TARGET=stat fuzz/run.sh 0 FILE...   runs the files once, to reproduce what was found
#
# The coverage that libFuzzer steers by is LLVM's own pass, which stable rustc can run; only the address
# sanitizer needs the compiler's leave (RUSTC_BOOTSTRAP, for this build alone). ASAN=0 goes without it.
# Also works as `cargo fuzz run segment` where cargo-fuzz and a nightly toolchain are installed.
set -eu
seconds=${1:?seconds, 0 to run the files that follow}
shift
cd "$(dirname "$0")"
host=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4
 -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table
 -C llvm-args=-sanitizer-coverage-trace-compares -C codegen-units=1"
runtime=$(rustc --print target-libdir)/librustc-stable_rt.asan.a
if [ "${ASAN:-1}" = 1 ] && [ -e "$runtime" ]; then
    export RUSTC_BOOTSTRAP=1
    flags="$flags -Z sanitizer=address"
    echo "with the address sanitizer"
fi
# The target is named, so that build scripts are built without these flags.
RUSTFLAGS=$(echo "$flags" | tr -d '\n') cargo build --release --target "$host"
dir=${CARGO_TARGET_DIR:-target}/$host/release
export ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}"
if [ "$seconds" = 0 ]; then
    exec "$dir/${TARGET:?which target}" "$@"
fi
# What is found goes to a scratch corpus; the committed one is only read.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fuzz() {
    target=$1 time=$2
    shift 2
    echo "target $target, $time s"
    mkdir -p "artifacts/$target" "corpus/$target" "$scratch/$target"
    "$dir/$target" -max_total_time="$time" -max_len=4200 -timeout=10 -artifact_prefix="artifacts/$target/" \
        -print_final_stats=1 -fork="${JOBS:-$(nproc)}" "$scratch/$target" "corpus/$target" "$@"
}
if [ -n "${TARGET:-}" ]; then
    fuzz "$TARGET" "$seconds" "$@"
else
    fuzz segment $((seconds / 2 + 1)) "$@"
    for target in stat header units config; do
        fuzz "$target" $((seconds / 8 + 1)) "$@"
    done
fi
