# shellcheck shell=bash
# Processes of this test, and waiting with an end.
# Needs nothing.

# within SECONDS COMMAND...: tries until it succeeds; fails after that time.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

# limited SECONDS COMMAND...: the command, ended after that time.
limited() {
    timeout --foreground --kill-after=10 "$@"
}

# Whether a process runs; one that has ended and waits to be collected does not.
alive() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) || return 1
    [[ -n $state && $state != Z* ]]
}

gone() {
    ! alive "$1"
}

# end_process PID SECONDS: asks it to end, and kills it after that time.
end_process() {
    kill -TERM "$1" 2>/dev/null || return 0
    within "$2" gone "$1" || kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

listens() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Whether standard input has a matching line. Unlike grep -q it reads to the end, or its writer would die of SIGPIPE and
# count as failed.
has() {
    grep "$@" >/dev/null
}
