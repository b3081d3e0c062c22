#!/bin/sh
# What the tests need besides a Rust toolchain: strace (to count system calls, and to make them fail), Python with its
# module venv, and the programs of Apache and Redis (from packages that start no service). Installed with apt where this user may; otherwise a test that wants it says that it was skipped.
set -u
need="1.89"
have=$(rustc --version 2>/dev/null | sed 's/^rustc \([0-9]*\.[0-9]*\).*/\1/')
if [ -z "$have" ]; then
    echo "setup: no rustc found: install a Rust toolchain, $need or newer (rustup.rs or your distribution)" >&2
    exit 1
fi
if [ "$(printf '%s\n%s\n' "$need" "$have" | sort -V | head -n 1)" != "$need" ]; then
    echo "setup: rustc $have is too old: crlog needs $need or newer" >&2
    exit 1
fi
if ! command -v cc >/dev/null 2>&1 && ! command -v gcc >/dev/null 2>&1; then
    echo "setup: no C linker (cc) found" >&2
    missing="gcc libc6-dev"
fi
command -v strace >/dev/null 2>&1 || missing="${missing:-} strace"
[ -x /usr/sbin/apache2 ] || command -v httpd >/dev/null 2>&1 || missing="${missing:-} apache2-bin"
command -v redis-server >/dev/null 2>&1 || [ -x /usr/bin/redis-check-rdb ] || missing="${missing:-} redis-tools"
${PYTHON:-python3} -c 'import venv, ensurepip' 2>/dev/null || missing="${missing:-} python3 python3-venv"
if [ -n "${missing:-}" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        # shellcheck disable=SC2086
        { apt-get install -y --no-install-recommends $missing || { apt-get update && apt-get install -y --no-install-recommends $missing; }; } >/dev/null 2>&1 ||
            echo "setup: could not install:$missing" >&2
    else
        echo "setup: not installed:$missing (a test that wants it will be skipped; as root: apt-get install$missing)" >&2
    fi
fi
exit 0
