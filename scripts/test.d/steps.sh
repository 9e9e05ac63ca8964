# shellcheck shell=bash
# The steps of a check: those that are waited for, and those that run behind them with the time that nobody else wants.
# Needs say.sh, and $work, a folder. Keeps what became of each in $timings and $failed_steps.

# step NAME COMMAND...: runs it, and records how long it took and whether it passed.
step() {
    local name=$1 began=$SECONDS code
    shift
    say "$name"
    # Not within `if`, which would switch `set -e` off inside.
    set +e
    (
        set -e
        "$@"
    )
    code=$?
    set -e
    record "$name" "$code" $((SECONDS - began))
}

# record NAME CODE SECONDS [REMARK]
record() {
    local mark=ok
    if (($2 != 0)); then
        mark=FAILED
        failed_steps+=("$1")
    fi
    timings+=("$(printf '%6d s  %-6s  %s' "$3" "$mark" "$1${4:+ ($4)}")")
}

# in_background COMMAND...: starts it in a process group of its own, so that all of it can be ended, and sets $!.
in_background() {
    # Without, it would ignore SIGINT, and so would every program that it starts.
    set -m
    "$@" &
    set +m
    background+=($!)
}

# end_background: what is still running when the script ends goes with it.
end_background() {
    local group
    for group in "${background[@]}"; do
        kill -TERM -- "-$group" 2>/dev/null || true
    done
    wait
}

# behind NAME COMMAND...: adds a step to those that run behind all others, one after the other.
behind() {
    local name=$1
    shift
    behind_names+=("$name")
    behind_commands+=("$(printf '%q ' "$@")")
}

# run_behind: runs them, in SCHED_IDLE, so that they take nothing from tests that are measured in milliseconds.
run_behind() {
    local index code began
    chrt --idle --pid 0 "$BASHPID" || renice -n 19 -p "$BASHPID"
    for index in "${!behind_names[@]}"; do
        began=$SECONDS code=0
        set +e
        (
            set -e
            eval "${behind_commands[index]}"
        ) >"$work/behind.$index.log" 2>&1
        code=$?
        set -e
        echo "$code $((SECONDS - began))" >"$work/behind.$index.result"
    done
}

# wait_for_behind PID: waits for all of them, and tells of each as `step` does.
wait_for_behind() {
    local index code=1 took=0
    wait "$1" || true
    for index in "${!behind_names[@]}"; do
        say "${behind_names[index]}"
        cat "$work/behind.$index.log" || true
        read -r code took <"$work/behind.$index.result" || code=1
        record "${behind_names[index]}" "$code" "$took" 'behind the tests'
    done
}
