# shellcheck shell=bash
# The ports of a run, and a viewer.
# Needs process.sh, and $work, a folder.

# Ports on which nothing listens now, below those that the system hands out by itself.
choose_ports() {
    local port
    local -A chosen=()
    while ((${#chosen[@]} < 4)); do
        port=$((20000 + RANDOM % 12000))
        listens "$port" || chosen[$port]=yes
    done
    read -r api_port rtsp_port webrtc_port inner_port <<<"${!chosen[*]}"
    port_options=(--api-port "$api_port" --rtsp-port "$rtsp_port" --webrtc-port "$webrtc_port")
    export MB_ENCODE_HEALTH_URL=http://127.0.0.1:$api_port/api/streams
}

# Reads a stream as a viewer does, and counts pictures and different pictures.
check_stream() {
    local url=rtsp://127.0.0.1:$rtsp_port/$1 count different
    limited 60 ffmpeg -nostdin -y -hide_banner -loglevel error -rtsp_transport tcp -i "$url" \
        -map 0:v:0 -frames:v $PICTURES -fps_mode passthrough -f framemd5 "$work/pictures" \
        2>"$work/ffmpeg.log" || die "$1 cannot be read over RTSP: $(tail -n 3 "$work/ffmpeg.log")"
    count=$(grep -vc '^#' "$work/pictures" || true)
    different=$(grep -v '^#' "$work/pictures" | awk -F, '{print $NF}' | sort -u | wc -l)
    ((count >= PICTURES)) || die "$1 gave $count pictures, not $PICTURES"
    ((different > PICTURES / 2)) || die "$1 gave $count pictures, but only $different different ones"
    ok "$1: $count pictures decoded, $different different"
}
