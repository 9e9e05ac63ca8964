# shellcheck shell=bash
# Streams whose every picture is looked at: one, ten, and one among others that keep the GPU busy.
# Needs part.sh and drivers.sh.
# shellcheck disable=SC2154

# checked_stream NAME ENCODER PICTURES OPTION...: as fast as it goes. Prints what was seen, or why it is not right.
checked_stream() {
    local encoder=$2 wanted=$3 log=$work/$1.log.stream said=$work/$1.seen
    local -a codes
    shift 3
    set +e
    "${encode[@]}" --encoder "$encoder" "${device_option[@]}" --stdout --frames "$wanted" --no-pace --log-level warn \
        --scene testcard "$@" 2>"$log" | "${check[@]}" - "$wanted" >"$said" 2>&1
    codes=("${PIPESTATUS[@]}")
    set -e
    cat "$log" >&2
    if ((codes[0] != 0)); then
        printf 'coding a clip failed: %s\n' "$(complaint "$log")"
        return 1
    fi
    # A stream opens a new encoder after a failure. One that works does not need that.
    if grep -q 'starting over' "$log"; then
        printf 'the encoder failed in mid-stream: %s\n' "$(grep 'starting over' "$log" | head -n 1)"
        return 1
    fi
    if ((codes[1] != 0)); then
        printf 'other pictures were coded than were drawn: %s\n' "$(complaint "$said")"
        return 1
    fi
    cat "$said"
}

part_clip() {
    local said
    said=$(checked_stream clip nvenc "$pictures") || fails "$said"
    echo "$said"
    passes "$said"
}

part_threads() {
    local said
    said=$(__GL_THREADED_OPTIMIZATIONS=1 checked_stream threads nvenc "$(at_most 240)") ||
        fails "with __GL_THREADED_OPTIMIZATIONS=1: $said"
    echo "$said"
    passes "$said, with __GL_THREADED_OPTIMIZATIONS=1"
}

# any_encoder: NVENC, or what goes on in its place where no more sessions are free. A simulated one has them, and is not
# asked where a GPU is known to have none.
any_encoder() {
    [[ -n $nvenc ]] && echo nvenc || echo auto
}

part_openh264() {
    local said size
    said=$(checked_stream openh264 openh264 "$(at_most 240)") || fails "$said"
    echo "$said"
    for size in 1280x720 1920x1080; do
        echo
        time_stages openh264 "$size" "$(at_most 240)" || fails "streaming at $size failed: $(complaint "$work/openh264.log")"
    done
    printf '\nto the first byte of a stream, with the encoder that it chooses by itself\n'
    measure first_byte first-byte --times "$(few 6)" -- "${chosen[@]}" --stdout --scene testcard --log-level error \
        "${device_option[@]}" || fails "no stream: $(complaint "$work/openh264.log")"
    passes "$said, drawn on the GPU and encoded on the processor"
}

part_ten() {
    local wanted number began=$EPOCHREALTIME rate said instead=0
    local -a pids=()
    wanted=$(at_most 240)
    for number in {0..9}; do
        checked_stream "ten-$number" "$(any_encoder)" "$wanted" >"$work/ten-$number.said" 2>/dev/null &
        pids+=($!)
    done
    for number in {0..9}; do
        if ! wait "${pids[number]}"; then
            said=$(<"$work/ten-$number.said")
            fails "stream $number: ${said:-it ended without a word}"
        fi
        ! grep -q 'falling back to OpenH264' "$work/ten-$number.log.stream" || instead=$((instead + 1))
    done
    rate=$(awk -v began="$began" -v now="$EPOCHREALTIME" -v wanted="$wanted" \
        'BEGIN { printf "%.1f", wanted / (now - began) }')
    rm -f "$work"/ten-*
    figure streams 10
    figure pictures "$wanted"
    figure frames_per_second_each "$rate"
    figure with_openh264 "$instead"
    echo "10 streams of $wanted pictures at 1280x720: $rate frames/s each, the start and the check of each picture in it"
    ((instead == 0)) || echo "$instead of them by OpenH264, for NVENC took no more"
    passes "each picture of each is the right one; $rate frames/s each"
}

part_load() {
    local said began
    for _ in 1 2 3; do
        stream_beside "${encode[@]}" --encoder "$(any_encoder)" "${device_option[@]}" --stdout --no-pace --log-level warn \
            --scene testcard --width 1920 --height 1080
    done
    began=$EPOCHREALTIME
    # A simulated encoder loses nothing, and no decoder takes so much: what lies above the strip is left out.
    export MB_SIM_ROWS=51
    said=$(checked_stream load-4k nvenc "$(at_most 240)" --width 3840 --height 2160 --bitrate 40M) || fails "$said"
    figure frames_per_second "$(awk -v began="$began" -v now="$EPOCHREALTIME" -v wanted="$(at_most 240)" \
        'BEGIN { printf "%.1f", wanted / (now - began) }')"
    fails_without_beside
    rm -f "$work"/load-4k.*
    echo "3840x2160: $said"
    passes "$said, at 3840x2160 beside three streams of 1920x1080"
}
