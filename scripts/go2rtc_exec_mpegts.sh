#!/usr/bin/env bash
# Wraps the raw H.264 that a command writes in MPEG-TS, for go2rtc's exec:.
set -euo pipefail

usage() {
    cat <<'END'
Wraps the raw H.264 that a command writes to standard output in MPEG-TS, through ffmpeg, without coding it again.

    go2rtc_exec_mpegts.sh [--fps RATE] -- COMMAND [ARGUMENT...]

In go2rtc.yaml:
    demo: exec:/path/to/go2rtc_exec_mpegts.sh -- mb-encode --stdout#killsignal=15#killtimeout=5

    --fps RATE   pictures per second, 30 or 30000/1001, for steady timestamps; without it each picture is stamped
                 when it arrives
    --help       this text

Where COMMAND is mb-encode, it is started with MB_ENCODE_MPEGTS=ffmpeg and wraps its own stream: no picture is late,
and --fps is not needed. Any other command's pictures are late by one: ffmpeg sees the end of a picture in the start of
the next. The first bytes come with the second picture, and no picture is lost.

COMMAND and ffmpeg end with this script, also where it is killed.

Exit codes:
    COMMAND's own; where that is 0 or SIGPIPE's 141, ffmpeg's
    1   ffmpeg is not installed
    2   wrong use
END
}

wrong_use() {
    printf 'error: %s\n       See: go2rtc_exec_mpegts.sh --help\n' "$1" >&2
    exit 2
}

timestamps=(-use_wallclock_as_timestamps 1)
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --fps)
            [[ ${2:-} =~ ^[1-9][0-9]*(/[1-9][0-9]*)?$ ]] || wrong_use "--fps is a rate like 30 or 30000/1001"
            timestamps=(-framerate "$2")
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

if ! command -v ffmpeg >/dev/null; then
    printf 'error: ffmpeg is not installed\n       Install it: apt install ffmpeg\n' >&2
    exit 1
fi

# The kernel kills both children when this shell ends, however it ends. Without setpriv (util-linux) they end at
# their next write.
tether=()
if setpriv --pdeathsig KILL true 2>/dev/null; then
    tether=(setpriv --pdeathsig KILL)
fi

# -probesize and -analyzeduration: by default ffmpeg reads for seconds before it writes. -omit_video_pes_length 0:
# by default a picture's length stays open, and go2rtc has to wait for the next one to know it.
exec {to_ffmpeg}> >(
    exec "${tether[@]}" ffmpeg -v error -nostdin -probesize 32 -analyzeduration 0 -f h264 "${timestamps[@]}" \
        -i pipe:0 -c copy -f mpegts -omit_video_pes_length 0 -muxdelay 0 -muxpreload 0 -flush_packets 1 pipe:1
)
ffmpeg=$!
"${tether[@]}" "$@" >&"$to_ffmpeg" {to_ffmpeg}>&- &
command=$!
exec {to_ffmpeg}>&-

alive() {
    kill -0 "$1" 2>/dev/null
}

# Two seconds to end well, for both together.
# shellcheck disable=SC2317 # The trap calls it.
stop() {
    trap '' TERM INT HUP
    kill -TERM "$command" 2>/dev/null || true
    for ((tenths = 0; tenths < 20; tenths++)); do
        alive "$command" || alive "$ffmpeg" || break
        sleep 0.1
    done
    kill -KILL "$command" "$ffmpeg" 2>/dev/null || true
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

code=0
code_of "$command" || code=$?
ffmpeg_code=0
code_of "$ffmpeg" || ffmpeg_code=$?
if ((code == 0 || code == 141)); then
    code=$ffmpeg_code
fi
exit "$code"
