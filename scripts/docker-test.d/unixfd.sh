# shellcheck shell=bash
# Frames of the real unixfdsink: GStreamer of Debian 13 in a container, and the program on the host.
# Needs images.sh, container.sh and package.sh, and $work, a folder.

readonly UNIXFD_PACKAGES=(gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-bad)
readonly UNIXFD_FRAMES=30
# Rows that are padded, and halves that are rounded.
readonly UNIXFD_CAPS=(
    "format=I420,width=640,height=360"
    "format=I420,width=322,height=242,colorimetry=bt601"
    "format=NV12,width=642,height=362"
    "format=RGBA,width=640,height=360"
    "format=BGRA,width=322,height=242"
    "format=RGB,width=322,height=242"
)

test_unixfd() {
    local name=mb-docker-test-unixfd-$$ caps
    say "Frames from GStreamer's unixfdsink"
    projects+=("$name")
    mkdir "$work/frames"
    container=$(engine run -d --name "$name" --label "com.docker.compose.project=$name" --network host \
        --volume "$work/frames:/frames" "$build_image" sleep infinity)
    apt_inside update
    apt_inside install --no-install-recommends "${UNIXFD_PACKAGES[@]}"
    ok "the container has $(inside gst-inspect-1.0 unixfdsink | awk '$1 == "Version" {print "GStreamer", $2}')"
    for caps in "${UNIXFD_CAPS[@]}"; do
        check_unixfd "$caps"
    done
    check_unixfd_change
    bring_down
}

# pipeline WORD...: starts one in the container that ends in unixfdsink, and waits for its socket.
pipeline() {
    # As the user who connects: only its owner may write to the socket.
    engine exec -d --user "$(id -u):$(id -g)" "$container" gst-launch-1.0 -q "$@" >/dev/null
    within 20 test -S "$work/frames/socket" || die "gst-launch-1.0 $* makes no socket"
}

# pipeline_ends: waits until it has; a sink that ends takes its socket along.
pipeline_ends() {
    within 30 test ! -e "$work/frames/socket" || die "the pipeline does not end"
}

# watch_pipeline OPTION...: the program's exit code decides; its stream is $work/unixfd.h264.
watch_pipeline() {
    limited 60 "$work/mb-encode" --stdout --input "unix:$work/frames/socket" --encoder openh264 --log-level info "$@" \
        >"$work/unixfd.h264" 2>"$work/unixfd.log"
}

# check_unixfd CAPS: color bars arrive as they were sent, and the noise beside them moves.
check_unixfd() {
    local caps=$1 different rgb
    pipeline videotestsrc is-live=true num-buffers=150 ! "video/x-raw,framerate=30/1,$caps" ! \
        unixfdsink socket-path=/frames/socket
    watch_pipeline --frames $UNIXFD_FRAMES --bitrate 8M || die "no stream of $caps: $(cat "$work/unixfd.log")"
    different=$(limited 60 ffmpeg -nostdin -hide_banner -loglevel error -xerror -f h264 -i "$work/unixfd.h264" \
        -fps_mode passthrough -f framemd5 - | grep -v '^#' | awk -F, '{print $NF}' | sort -u | wc -l)
    ((different > UNIXFD_FRAMES / 2)) || die "the stream of $caps has only $different different frames"
    # The second of seven bars is yellow; decoding it is left to what the stream says of its colors.
    rgb=$(limited 60 ffmpeg -nostdin -hide_banner -loglevel error -f h264 -i "$work/unixfd.h264" -frames:v 1 \
        -vf 'scale=in_color_matrix=bt709:out_range=pc,format=rgb24,crop=1:1:iw*3/14:ih/4' -f rawvideo - | od -An -tu1)
    # shellcheck disable=SC2086 # One value a word.
    is_yellow $rgb || die "the yellow bar of $caps is$rgb"
    pipeline_ends
    ok "$caps: $different different frames, in the right colors"
}

# is_yellow R G B
is_yellow() {
    (($1 > 240 && $2 > 240 && $3 < 20))
}

# A sink that changes its caps ends the stream, and the next stream has the new ones.
check_unixfd_change() {
    local rate=framerate=30/1
    pipeline concat name=both ! unixfdsink socket-path=/frames/socket \
        videotestsrc is-live=true num-buffers=90 ! "video/x-raw,format=I420,width=640,height=360,$rate" ! both. \
        videotestsrc is-live=true num-buffers=150 ! "video/x-raw,format=RGBA,width=320,height=240,$rate" ! both.
    watch_pipeline || die "a change of caps is a failure: $(cat "$work/unixfd.log")"
    has -e 'changed to 320x240' <"$work/unixfd.log" || die "no change of caps was seen: $(cat "$work/unixfd.log")"
    watch_pipeline --frames $UNIXFD_FRAMES || die "no stream after the change of caps: $(cat "$work/unixfd.log")"
    has -e '320x240' <"$work/unixfd.log" || die "the next stream is of another size: $(cat "$work/unixfd.log")"
    pipeline_ends
    ok "a change of caps ends the stream, and the next one shows it"
}
