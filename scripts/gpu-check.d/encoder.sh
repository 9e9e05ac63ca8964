# shellcheck shell=bash
# What the encoder on the GPU makes of pictures: rates, keyframes, presets, and how many it serves.
# Needs part.sh, start.sh and drivers.sh.
# shellcheck disable=SC2154

needs_encoder() {
    [[ -z $nvenc ]] || skips "this GPU has no encoder that works"
}

part_key_frames() {
    needs_encoder
    measure scales key-frames --pictures "$(at_most 300)" || fails "$(complaint "$work/key-frames.log")"
    passes "at 1280x720, 60 frames/s and 6 Mb/s, an IDR picture a second"
}

part_presets() {
    local preset tuning wanted size=1920x1080
    needs_encoder
    wanted=$(at_most 120)
    # So few only show that it works.
    ((pictures >= 20)) || size=640x360
    for tuning in ull ll; do
        for preset in p1 p2 p3 p4 p5 p6 p7; do
            [[ $tuning == ull || $preset == p4 ]] || continue
            printf '\npreset %s, tuning %s\n' "$preset" "$tuning"
            time_stages nvenc "$size" "$wanted" --preset "$preset" --tuning "$tuning" |
                sed -n '/^stage/p; /^encode/p' || fails "$preset with $tuning: $(complaint "$work/presets.log")"
        done
    done
    passes "p1 to p7 at $size: \"encode\" is the encoder's time for a picture"
}

part_sessions() {
    needs_encoder
    measure at_once sessions --most 32 || fails "$(complaint "$work/sessions.log")"
    passes "$(last_words "$work/sessions.txt")"
}

part_bitrate() {
    local rate=6000000 wanted size=1280x720
    needs_encoder
    # At least two seconds are needed for a rate.
    wanted=$((pictures < 120 ? 120 : (pictures < 600 ? pictures : 600)))
    ((pictures >= 20)) || size=320x180
    # A simulated encoder gives pictures whatever was ordered.
    [[ -z $simulated ]] || export MB_SIM_ENCODE=null MB_SIM_PICTURE_BYTES=${MB_SIM_PICTURE_BYTES:-$((rate / 8 / 60 - 100))}
    set +e
    "${encode[@]}" --encoder nvenc "${device_option[@]}" --stdout --frames "$wanted" --no-pace --log-level warn \
        --width "${size%x*}" --height "${size#*x}" --fps 60 --bitrate "$rate" --shader "$parts/busy.glsl" | measure coded coded --fps 60 --bitrate "$rate"
    local codes=("${PIPESTATUS[@]}")
    set -e
    ((codes[0] == 0 && codes[1] == 0)) || fails "$(complaint "$work/bitrate.log")"
    passes "held to a tenth in each second, of $rate bits/s at $size"
}

part_forced() {
    local stream clip=$work/forced.h264
    needs_encoder
    "${encode[@]}" --encoder nvenc "${device_option[@]}" --stdout --scene testcard --fps 30 --frames 60 --gop 3600 \
        --width 640 --height 360 --log-level warn >"$clip" &
    stream=$!
    until [[ -s $clip ]]; do
        kill -0 "$stream" 2>/dev/null || fails "the stream ended: $(complaint "$work/forced.log")"
        sleep 0.05
    done
    # It listens to signals from its first picture on.
    kill -USR1 "$stream"
    wait "$stream" || fails "the stream failed: $(complaint "$work/forced.log")"
    measure coded coded --fps 30 --idr 2 <"$clip" || fails "$(complaint "$work/forced.log")"
    rm -f "$clip"
    passes "one in the middle of a long GOP, with its parameter sets"
}
