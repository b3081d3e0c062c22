#!/usr/bin/env bash
# Says which tests passed only when they were run once more, and adds them to the list "Unsteady tests" of a document.
#
#     tests/unsteady.sh NOTED DOCUMENT
set -euo pipefail
noted=$1 document=$2
heading='## Unsteady tests'
sort -u "$noted" | while read -r test; do
    echo "UNSTEADY $test"
    grep -qxF "$heading" "$document" || printf '\n%s\n' "$heading" >>"$document"
    grep -qxF -- "- \`$test\`" "$document" || sed -i "/^$heading\$/a - \`$test\`" "$document"
done
