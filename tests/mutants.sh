#!/bin/bash
# Shows that the tests bite: breaks the ring in one deliberate way after the other, on a copy of the
# tree, and requires that the named test or loom model fails. Exit status 1 if any mutant survives.
#
#     tests/mutants.sh                all of them (some minutes)
#     tests/mutants.sh -l             lists them
#     tests/mutants.sh commit ...     those whose names contain one of the words
#
# MUTANTS_TARGET names a directory to build in (default: target/mutants), MUTANTS_LIST another list.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target=${MUTANTS_TARGET:-$root/target/mutants}
limit=${MUTANTS_SECONDS:-300}
copy=$target/tree
rm -rf "$copy"
mkdir -p "$copy"

# The tests, by kind: which flags build them, and where.
build() { # KIND -> path of the test binary
    local flags=() json
    local dir=$target/$1
    if [ "$1" = loom ]; then flags=(--release); fi
    local what=(--lib)
    case $1 in loom | plain) ;; *) what=(--test "$1") ;; esac
    json=$(cd "$copy" && RUSTFLAGS="$([ "$1" = loom ] && echo '--cfg loom' || true)" \
        CARGO_TARGET_DIR="$dir" cargo test -q -p crlog "${what[@]}" "${flags[@]}" --no-run --message-format json 2>"$copy/errors") ||
        { cat "$copy/errors" >&2; return 1; }
    grep '"executable":"' <<<"$json" | sed 's/.*"executable":"\([^"]*\)".*/\1/' | tail -n 1
}

full_name() { # KIND TEST
    case $1 in
    loom) echo "ring::loom::models::$2" ;;
    plain) echo "ring::tests::$2" ;;
    *) echo "$2" ;;
    esac
}

runs() { # BINARY TEST -> status of the test; 99 if there is no such test
    local status=0
    RUST_BACKTRACE=0 timeout "$limit" "$1" --exact "$2" >"$copy/out" 2>&1 || status=$?
    grep -q '^running 1 test' "$copy/out" || return 99
    return $status
}

pristine() {
    local part
    for part in Cargo.toml Cargo.lock README.md docs src flusher python benches tests; do
        [ -e "$root/$part" ] && cp -r "$root/$part" "$copy/"
    done
    # A copy with old times would silently test the build before.
    find "$copy/src" -type f -exec touch {} +
}

names=() kinds=() tests=() edits=()
mutant() { # NAME KIND TEST [FILE OLD NEW]...
    names+=("$1") kinds+=("$2") tests+=("$3")
    shift 3
    edits+=("$(printf '%s\x1f' "$@")")
}

# Replaces OLD, which must stand in FILE exactly once.
replace() { # FILE OLD NEW
    OLD=$2 NEW=$3 perl -0777 -pi -e '
        my ($old, $new) = @ENV{"OLD", "NEW"};
        my $n = () = /\Q$old\E/g;
        die "the text stands $n times in $ARGV:\n$old\n" if $n != 1;
        s/\Q$old\E/$new/;' "$copy/src/ring/$1"
}

apply() { # INDEX
    local parts
    IFS=$'\x1f' read -r -d '' -a parts <<<"${edits[$1]}" || true
    local i
    for ((i = 0; i + 2 < ${#parts[@]}; i += 3)); do
        replace "${parts[i]}" "${parts[i + 1]}" "${parts[i + 2]}"
    done
}

source "${MUTANTS_LIST:-$root/tests/mutants/list.sh}"

wanted=()
for i in "${!names[@]}"; do
    [ $# -eq 0 ] && wanted+=("$i")
    for word in "$@"; do
        [ "$word" = -l ] && printf '%-52s %s\n' "${names[i]}" "$(full_name "${kinds[i]}" "${tests[i]}")"
        case ${names[i]} in *"$word"*) wanted+=("$i") && break ;; esac
    done
done
[ "${1:-}" = -l ] && exit 0

# All texts must be there before an hour is spent on some of them.
pristine
for i in "${!names[@]}"; do
    cp -r "$root/src" "$copy/"
    apply "$i"
done
pristine
declare -A binary
for kind in plain loom $(printf '%s\n' "${kinds[@]}" | sort -u | grep -vx -e plain -e loom); do
    case " $(for i in "${wanted[@]}"; do echo -n "${kinds[i]} "; done)" in *" $kind "*) ;; *) continue ;; esac
    binary[$kind]=$(build $kind)
    for name in $(for i in "${wanted[@]}"; do
        [ "${kinds[i]}" = $kind ] && full_name $kind "${tests[i]}"
    done | sort -u); do
        runs "${binary[$kind]}" "$name" ||
            { echo "$name does not pass, or does not exist, before any mutation:" && tail -n 20 "$copy/out" && exit 1; }
        echo "passes unmutated: $name"
    done
done

printf '\n%-52s %-52s %s\n' mutant 'caught by' seconds
survivors=0
for i in "${wanted[@]}"; do
    pristine
    apply "$i"
    bin=$(build "${kinds[i]}") || { echo "${names[i]} does not compile" && exit 1; }
    name=$(full_name "${kinds[i]}" "${tests[i]}")
    start=$(date +%s.%N)
    status=0
    runs "$bin" "$name" || status=$?
    took=$(echo "$(date +%s.%N) $start" | awk '{printf "%.1f", $1 - $2}')
    # 101 = a test failed; 134 = aborted by a panic while panicking, which loom does on the way out.
    case $status in
    101 | 134) printf '%-52s %-52s %s\n' "${names[i]}" "$name" "$took" ;;
    *) printf '%-52s %-52s %s\n' "${names[i]}" "SURVIVES $name (status $status)" "$took" && survivors=$((survivors + 1)) ;;
    esac
done
echo
if [ "$survivors" -gt 0 ]; then
    echo "$survivors of ${#wanted[@]} mutants survive"
    exit 1
fi
echo "all ${#wanted[@]} mutants are caught"
