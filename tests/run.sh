#!/usr/bin/env bash
# Runs the Rust tests of the workspace, all of them though some fail. Arguments go to cargo test.
#
# With UNSTEADY=FILE in the environment, as .ci/run sets it, each test program that failed is run once more, alone, with
# nothing beside it. If it passes then, the run goes on, and the tests that had failed are written to FILE, a line each.
# One that fails twice fails the run.
set -uo pipefail
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
output=$(mktemp)
trap 'rm -f "$output"' EXIT
$CARGO test --no-fail-fast "$@" 2>&1 | tee "$output"
status=${PIPESTATUS[0]}
if [ "$status" = 0 ] || [ -z "${UNSTEADY:-}" ]; then exit "$status"; fi

# Cargo names the programs that failed as the arguments that select them: `-p crlog --test verify`.
mapfile -t programs < <(sed -n 's/^    `\(-p .*\)`$/\1/p' "$output" | sort -u)
[ ${#programs[@]} -gt 0 ] || exit "$status" # it was not a test that failed
mapfile -t failed < <(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$output" | sort -u)
for program in "${programs[@]}"; do
    printf '\n== once more, alone: %s\n' "$program"
    # The features of the whole run, as far as this package has them.
    package=$(printf '%s\n' "$program" | sed 's/^-p \([^ ]*\).*/\1/')
    features=$(printf '%s\n' "$*" | grep -o "$package/[a-z0-9_-]*" | paste -sd ,)
    # shellcheck disable=SC2086
    $CARGO test $program ${features:+--features "$features"} || exit 1
done
printf '%s\n' "${failed[@]:-${programs[@]}}" >>"$UNSTEADY"
