#!/usr/bin/env bash
# Wraps the raw H.264 that a command writes in MPEG-TS, for go2rtc's exec:.
set -euo pipefail

usage() {
    cat <<'END'
Wraps the raw H.264 that a command writes to standard output in MPEG-TS, without coding it again.

    go2rtc_exec_mpegts.sh [--fps RATE] -- COMMAND [ARGUMENT...]

In go2rtc.yaml:
    demo: exec:/path/to/go2rtc_exec_mpegts.sh -- mb-encode --stdout#killsignal=15#killtimeout=5

    --fps RATE   pictures per second, 30 or 30000/1001, for steady timestamps; without it each picture is stamped
                 when it arrives
    --help       this text

Where COMMAND is mb-encode, it is started with MB_ENCODE_MPEGTS=ffmpeg and wraps its own stream; --fps is not needed.
Any other command's stream goes through `mb-encode mpegts`: with --fps by an ffmpeg child of that, without in itself.
It knows the end of a picture by the start of the next or by a pause, so no picture is late where COMMAND writes picture
by picture, and none is lost. COMMAND leaves out B pictures.

In the environment:
    MB_ENCODE          the mb-encode to use [default: the one on PATH, else target/release/mb-encode beside scripts/].
                       Where there is none, plain ffmpeg wraps: it sees the end of a picture in the start of the next
                       alone, so all are late by one, and the first bytes come with the second picture
    MB_ENCODE_MPEGTS   ffmpeg, which needs --fps, or native

COMMAND and what wraps it end together, and with this script, also where it is killed.

Exit codes:
    COMMAND's own; where that is 0 or SIGPIPE's 141, or COMMAND was ended because the wrapper had, the wrapper's:
    1   ffmpeg is not installed, or failed: the cause is on standard error
    2   wrong use, or no H.264
END
}

wrong_use() {
    printf 'error: %s\n       See: go2rtc_exec_mpegts.sh --help\n' "$1" >&2
    exit 2
}

fps=
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --fps)
            [[ ${2:-} =~ ^[1-9][0-9]*(/[1-9][0-9]*)?$ ]] || wrong_use "--fps is a rate like 30 or 30000/1001"
            fps=$2
            shift
            ;;
        --)
            shift
            break
            ;;
        *) wrong_use "unknown argument: $1; the command stands behind --" ;;
    esac
    shift
done
(($#)) || wrong_use "no command was given; it stands behind --"

if [[ ${1##*/} == mb-encode ]]; then
    # Not a process more than needed: signals, exit codes and ffmpeg are mb-encode's from here on.
    export MB_ENCODE_MPEGTS=${MB_ENCODE_MPEGTS:-ffmpeg}
    exec "$@"
fi

# The program that a person means, else the installed one, else the one built here; empty where there is none.
find_mb_encode() {
    if [[ -n ${MB_ENCODE:-} ]]; then
        command -v "$MB_ENCODE" || wrong_use "MB_ENCODE names no program that can be run: $MB_ENCODE"
    else
        command -v mb-encode || command -v "$(dirname "${BASH_SOURCE[0]}")/../target/release/mb-encode" || true
    fi
}

mb_encode=$(find_mb_encode)
if [[ -n $mb_encode ]]; then
    wrap=("$mb_encode" mpegts ${fps:+--fps "$fps"})
else
    if ! command -v ffmpeg >/dev/null; then
        printf 'error: ffmpeg is not installed\n       Install it: apt install ffmpeg\n' >&2
        exit 1
    fi
    # -probesize and -analyzeduration: by default ffmpeg reads for seconds before it writes. -omit_video_pes_length 0:
    # by default a picture's length stays open, and go2rtc has to wait for the next one to know it.
    timestamps=(-use_wallclock_as_timestamps 1)
    [[ -z $fps ]] || timestamps=(-framerate "$fps")
    wrap=(ffmpeg -v error -nostdin -probesize 32 -analyzeduration 0 -f h264 "${timestamps[@]}" -i pipe:0 -c copy)
    wrap+=(-f mpegts -omit_video_pes_length 0 -muxdelay 0 -muxpreload 0 -flush_packets 1 pipe:1)
fi

# The kernel kills both children when this shell ends, however it ends. Without setpriv (util-linux) they end at
# their next write.
tether=()
if setpriv --pdeathsig KILL true 2>/dev/null; then
    tether=(setpriv --pdeathsig KILL)
fi

# A pipe between two children that can both be waited for.
exec {pipe}<> <(:)
exec {from_command}<"/dev/fd/$pipe" {to_wrapper}>"/dev/fd/$pipe" {pipe}>&-
"${tether[@]}" "${wrap[@]}" <&"$from_command" {from_command}<&- {to_wrapper}>&- &
wrapper=$!
"${tether[@]}" "$@" >&"$to_wrapper" {from_command}<&- {to_wrapper}>&- &
command=$!
exec {from_command}<&- {to_wrapper}>&-

alive() {
    kill -0 "$1" 2>/dev/null
}

# Two seconds to end well, for both together.
stop() {
    trap '' TERM INT HUP
    kill -TERM "$command" 2>/dev/null || true
    for ((tenths = 0; tenths < 20; tenths++)); do
        alive "$command" || alive "$wrapper" || break
        sleep 0.1
    done
    kill -KILL "$command" "$wrapper" 2>/dev/null || true
}
trap stop TERM INT HUP

# A trapped signal ends `wait` early, with the signal's own code.
code_of() {
    local code=0
    while :; do
        wait "$1" && code=0 || code=$?
        alive "$1" || break
    done
    # Once more: where a signal had ended the wait, this gives what the process really ended with.
    wait "$1" && code=0 || code=$?
    return "$code"
}

ended_here=
while alive "$command"; do
    # A command that writes seldom, or never again, would not notice for as long.
    if ! alive "$wrapper"; then
        ended_here=yes
        stop
        break
    fi
    wait -n "$command" "$wrapper" || true
done
code=0
code_of "$command" || code=$?
wrapper_code=0
code_of "$wrapper" || wrapper_code=$?
if [[ -n $ended_here ]] || ((code == 0 || code == 141)); then
    code=$wrapper_code
fi
exit "$code"
