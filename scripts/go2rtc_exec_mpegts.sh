#!/usr/bin/env bash
# For go2rtc's exec: runs a command that writes raw H.264, and wraps that in MPEG-TS without encoding it again.
#
#     go2rtc_exec_mpegts.sh [--fps RATE] -- COMMAND [ARGUMENT...]
#
# The same as `mb-encode mpegts`, whose --help has the rest, with the mb-encode of $MB_ENCODE, else the one on PATH, else
# target/release/mb-encode beside scripts/.
set -euo pipefail

fail() {
    printf 'error: %s\n       %s\n' "$2" "$3" >&2
    exit "$1"
}

if [[ -n ${MB_ENCODE:-} ]]; then
    program=$(command -v "$MB_ENCODE") ||
        fail 2 "MB_ENCODE names no program that can be run: $MB_ENCODE" "Set it to mb-encode's path, or unset it."
else
    program=$(command -v mb-encode || command -v "$(dirname "${BASH_SOURCE[0]}")/../target/release/mb-encode") ||
        fail 1 "mb-encode is neither on PATH nor built" "Build it: cargo build --release"
fi

# By itself `mb-encode mpegts` reads standard input, which nobody writes to here.
command=" $* "
[[ $command == *" -- "?* || $command == *" --help "* || $command == *" -h "* ]] ||
    fail 2 "no command was given; it stands behind --" "See: go2rtc_exec_mpegts.sh --help"

exec "$program" mpegts "$@"
