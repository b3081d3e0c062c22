#!/usr/bin/env bash
# Runs pytest: `python/tests/pytest.sh PYTHON [ARGUMENT...]`, the arguments are pytest's.
#
# With UNSTEADY=FILE in the environment it does as tests/run.sh: what failed is run once more, alone. If it passes then,
# the run goes on, and the tests that had failed are written to FILE, a line each. What fails twice fails the run.
set -uo pipefail
cd "$(dirname "$0")"
python=$1
shift
[ -n "${UNSTEADY:-}" ] || exec "$python" -m pytest -q -rs "$@"

output=$(mktemp)
trap 'rm -f "$output"' EXIT
"$python" -m pytest -q -rsfE "$@" 2>&1 | tee "$output"
status=${PIPESTATUS[0]}
[ "$status" = 1 ] || exit "$status" # 1: tests failed; anything else is no matter of a test
mapfile -t failed < <(sed -n 's/^\(FAILED\|ERROR\) \([^ ]*::[^ ]*\).*/\2/p' "$output" | sort -u)
if [ ${#failed[@]} = 0 ]; then exit 1; fi
printf '\n== once more, alone: %s\n' "${failed[*]}"
"$python" -m pytest -q -rs --last-failed --last-failed-no-failures none "$@" || exit 1
printf '%s\n' "${failed[@]}" >>"$UNSTEADY"
