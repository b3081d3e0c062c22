#!/bin/sh
# Builds the Python package as a newcomer would (pip install ./python) into an environment of its own under target/, and
# runs its tests against what was installed. Arguments go to pytest. With --bench alone it measures instead: python/bench.
#
#     PYTHON=python3.12 python/tests/run.sh -k fork
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "SKIPPED: the Python package and its tests: no Python of version 3.10 or newer (looked for $python; PYTHON=... names another)"
    exit 0
fi
venv=$PWD/${CARGO_TARGET_DIR:-target}/python
case ${CARGO_TARGET_DIR:-} in /*) venv=$CARGO_TARGET_DIR/python ;; esac
version=$("$python" -c 'import sys; print(sys.version)')
if [ "$(cat "$venv/version" 2>/dev/null)" != "$version" ]; then
    rm -rf "$venv"
    "$python" -m venv "$venv" || {
        echo "the module venv is missing: on Debian, apt-get install python3-venv" >&2
        exit 1
    }
    echo "$version" >"$venv/version"
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$venv/bin/pip" install --quiet -r python/tests/requirements.txt
# All at once is quick; one that cannot be built must not keep the others away.
"$venv/bin/pip" install --quiet -r python/tests/requirements-real.txt >/dev/null 2>&1 ||
    grep '^[a-z]' python/tests/requirements-real.txt | while read -r one; do
        "$venv/bin/pip" install --quiet "$one" >/dev/null 2>&1 || echo "could not install $one"
    done
"$venv/bin/pip" install --quiet --force-reinstall --no-deps ./python
if [ "${1:-}" = --bench ]; then exec "$venv/bin/python" python/bench/run.py; fi
exec bash python/tests/pytest.sh "$venv/bin/python" "$@"
