# shellcheck shell=bash
# What the scripts say, all on standard error: standard output is for results.

# The beginning of a step that may take a while.
say() {
    printf '==> %s\n' "$*" >&2
}

# A detail of it.
note() {
    printf '    %s\n' "$*" >&2
}

# die MESSAGE [ADVICE...]: says what went wrong and what to do, and ends the script.
die() {
    printf 'error: %s\n' "$1" >&2
    shift
    (($# == 0)) || printf '       %s\n' "$@" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# at_least 1.84.1 1.85: whether the first version is the second one or newer.
at_least() {
    [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]
}
