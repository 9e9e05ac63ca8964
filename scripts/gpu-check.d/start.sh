# shellcheck shell=bash
# How long it takes to start: the drivers, a stream to its first byte, and one that begins where another was killed.
# Needs part.sh and drivers.sh.
# shellcheck disable=SC2154

# What a reader of go2rtc would start.
stream=(--encoder nvenc --stdout --scene testcard --log-level warn)

part_start() {
    measure drivers starts --times "$(few 10)" || fails "$(complaint "$work/start.log")"
    printf '\nto the first byte of a stream, with nothing else on the GPU\n'
    measure first_byte_idle first-byte --times "$(few 10)" -- "${encode[@]}" "${stream[@]}" "${device_option[@]}" ||
        fails "no stream while idle: $(complaint "$work/start.log")"
    printf '\nthe same while another stream runs\n'
    stream_beside "${encode[@]}" "${stream[@]}" "${device_option[@]}"
    measure first_byte_held first-byte --times "$(few 10)" -- "${encode[@]}" "${stream[@]}" "${device_option[@]}" ||
        fails "no stream beside another: $(complaint "$work/start.log")"
    fails_without_beside
    passes "the median and the 95th and 99th percentile are above"
}

part_kill() {
    measure first_byte first-byte --kill --times "$(few 10)" --limit 15 -- \
        "${encode[@]}" "${stream[@]}" "${device_option[@]}" || fails "$(complaint "$work/kill.log")"
    passes "$(few 10) times, and each time there was a first byte"
}

part_stages() {
    local size sync wanted
    if [[ -n $nvenc ]]; then
        # It moves no pixels, and so everything else is what it would be beside a chip.
        export MB_SIM_ENCODE=wait MB_SIM_PICTURE_BYTES=12500
        printf 'The encoder is simulated: "encode" is the wait for the GPU, and "cpu" all that the processor does.\n'
    fi
    for size in 1280x720 1920x1080 3840x2160; do
        # Larger ones take longer, and a simulated encoder loses nothing of them.
        case $size in
            1280x720) wanted=$pictures ;;
            1920x1080) wanted=$(at_most 300) ;;
            *) wanted=$(at_most 120) ;;
        esac
        for sync in '' --sync; do
            echo
            time_stages nvenc "$size" "$wanted" ${sync:+"$sync"} || fails "streaming at $size failed: $(complaint "$work/stages.log")"
        done
    done
    passes "at 720p, 1080p and 4K, as calls and with the GPU's work in each"
}

# time_stages ENCODER SIZE PICTURES [OPTION...]: as a table and as a figure.
time_stages() {
    local encoder=$1 size=$2 wanted=$3 name
    shift 3
    "${stage_times[@]}" --encoder "$encoder" "${device_option[@]}" --width "${size%x*}" --height "${size#*x}" \
        --pictures "$wanted" --save "$work/$part.json" "$@" || return
    name="$size $*"
    figure "${name//[ -]/}" "$(cat "$work/$part.json")"
    rm -f "$work/$part.json"
}
