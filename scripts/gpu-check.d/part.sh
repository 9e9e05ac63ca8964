# shellcheck shell=bash
# The parts of a check: each runs by itself, in a process group that is killed when its time is over, and ends with what was
# found. What it prints is in the report, and what it says on standard error beside it.
# Needs say.sh and report.sh, and $work, $only, $limit and $within.
# shellcheck disable=SC2154

part_group=''

# Whether PART is to run: doctor always is, for the others depend on it.
is_wanted() {
    [[ $only == ' ' || $1 == doctor || $only == *" $1 "* ]]
}

# run_part NAME SECONDS TITLE
run_part() {
    local part=$1 seconds=$2 title=$3 left=$((within - SECONDS)) until began=$EPOCHREALTIME state='' found=''
    # On doctor rests everything else.
    ((seconds <= limit)) || [[ $part == doctor ]] || seconds=$limit
    ((seconds <= left)) || seconds=$left
    say "$title"
    if ((seconds > 0)); then
        until=$((SECONDS + seconds))
        # A group of its own, so that all that it started ends with it.
        set -m
        (
            exec >"$work/$part.txt" 2>"$work/$part.log" </dev/null
            "part_${name//-/_}"
        ) &
        part_group=$!
        set +m
        # What has ended is no child any more.
        while kill -0 "$part_group" 2>/dev/null; do
            if ((SECONDS >= until)); then
                state=failed found="it did not end within $seconds s"
                break
            fi
            sleep 0.1
        done
        end_part
    else
        state=failed found="no time was left for it: $within s are over"
    fi
    if [[ -z $state ]]; then
        state=failed found="it ended without saying what it found"
        if [[ -s $work/$part.result ]]; then
            { read -r state; read -r found; } <"$work/$part.result"
        fi
    fi
    report_part "$part" "$title" "$state" "$found" "$began"
}

# end_part: what a part started and left behind goes with it.
end_part() {
    [[ -n $part_group ]] || return 0
    kill -KILL -- "-$part_group" 2>/dev/null || true
    wait "$part_group" 2>/dev/null || true
    part_group=''
}

# The processes of streams that run beside what a part looks at.
beside=()

# stream_beside COMMAND...: until the part ends. Returns when it has written something, and has a session of its own.
stream_beside() {
    local written
    mkfifo "$work/$part.beside"
    "$@" >"$work/$part.beside" &
    beside+=($!)
    exec {written}<"$work/$part.beside"
    rm -f "$work/$part.beside"
    head -c 1 <&"$written" >/dev/null
    cat <&"$written" >/dev/null &
    exec {written}<&-
}

# fails_without_beside: unless all of them still run.
fails_without_beside() {
    local stream
    for stream in "${beside[@]}"; do
        kill -0 "$stream" 2>/dev/null || fails "a stream beside it ended: $(complaint "$work/$part.log")"
    done
}

# end_beside: asks them to end, and waits until they have, and the encoder's processes with them. A killed stream leaves its
# own for a moment, and the next part would find the sessions taken.
end_beside() {
    ((${#beside[@]} > 0)) || return 0
    kill -TERM "${beside[@]}" 2>/dev/null || true
    wait "${beside[@]}" 2>/dev/null || true
    beside=()
}

# How a part ends, each with one line for people.
passes() {
    finish ok "$1"
}
skips() {
    finish skipped "$1"
}
fails() {
    finish failed "$1"
}
finish() {
    printf '%s\n%s\n' "$1" "${2//[![:print:]]/ }" >"$work/$part.result"
    end_beside
    exit 0
}

# last_words FILE: the last line of what a program said.
last_words() {
    local words
    words=$(grep -v '^[[:space:]]*$' "$1" 2>/dev/null | tail -n 1) || true
    printf '%s' "${words:-it said nothing}" | sed 's/^ *//'
}

# complaint FILE: the first line of it that tells of an error, without the time in front.
complaint() {
    local words
    words=$(sed -n 's/^.*\(ERROR\|error:\) *//p' "$1" 2>/dev/null | head -n 1) || true
    words=${words:-$(last_words "$1")}
    # A driver may say anything.
    printf '%s' "${words//[![:print:]]/ }"
}

# figure NAME JSON: a result for programs.
figure() {
    printf '"%s": %s\n' "$1" "$2" >>"$work/$part.figures"
}

# measure NAME ARGUMENT...: has gpu_probe measure, and keeps what it found as a figure. Fails as it does.
measure() {
    local name=$1
    shift
    rm -f "$work/$part.json"
    "${probe[@]}" --json "$work/$part.json" "${device_option[@]}" "$@" || return
    figure "$name" "$(cat "$work/$part.json")"
    rm -f "$work/$part.json"
}

# few MOST: the number of tries, which is small where few pictures are wanted.
few() {
    local tries=$((pictures / 20))
    ((tries >= 2)) || tries=2
    ((tries <= $1)) || tries=$1
    printf '%d' "$tries"
}

# at_most MOST: the number of pictures, but so many at most.
at_most() {
    printf '%d' "$((pictures < $1 ? pictures : $1))"
}
