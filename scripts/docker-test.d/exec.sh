# shellcheck shell=bash
# The exec image: with its compose file, and by itself.
# Needs images.sh, container.sh and stream.sh.

# Compose takes them. Nothing is started: that needs a GPU.
test_gpu_files() {
    local file
    for file in "${GPU_FILES[@]}"; do
        limited 60 env MB_ENCODE_GPU_GID=44 "${compose[@]}" -f $EXEC_FILE -f "$file" config >"$work/gpu.yml" \
            2>"$work/compose.log" || die "compose refuses $file: $(cat "$work/compose.log")"
        has -E 'driver: (nvidia|cdi)' <"$work/gpu.yml" || die "$file asks for no GPU"
        has -E "^ +- [\"']?44[\"']?\$" <"$work/gpu.yml" || die "$file adds no group"
        [[ $file != *cdi* ]] || has 'nvidia.com/gpu=all' <"$work/gpu.yml" || die "$file names no device of CDI's"
    done
    ok "the GPU files are valid"
}

# The config of the image, on the ports of this run.
test_exec() {
    say "exec mode"
    choose_ports
    install -m 0644 docker/go2rtc.exec.yaml "$work/exec.yaml"
    export METABONK_GO2RTC_IMAGE=$TEST_IMAGE METABONK_GO2RTC_CONFIG=$work/exec.yaml
    export MB_ENCODE_API_PORT=$api_port MB_ENCODE_RTSP_PORT=$rtsp_port MB_ENCODE_WEBRTC_PORT=$webrtc_port
    bring_up exec -f $EXEC_FILE up -d --no-build
    check_health
    check_posture 1000
    check_gate "http://127.0.0.1:$api_port"
    check_stream demo
    check_stopped "mb-encode --stdout"
    check_stream demo
    bring_down
    unset METABONK_GO2RTC_CONFIG MB_ENCODE_API_PORT MB_ENCODE_RTSP_PORT MB_ENCODE_WEBRTC_PORT
}

page_answers() {
    [[ $(http_status http://127.0.0.1:1984/api/streams) == 200 ]]
}

# With the config that is in it, on its well-known ports: without a network, which others may use those of.
test_plain_image() {
    local name=mb-docker-test-plain-$$
    say "The image by itself"
    projects+=("$name")
    container=$(engine run -d --name "$name" --label "com.docker.compose.project=$name" --network none "$TEST_IMAGE")
    within 20 page_answers || die "go2rtc does not answer in the image by itself"
    inside curl -s -m 10 --noproxy '*' "http://127.0.0.1:1984/api/streams" | has '"demo"' ||
        die "the image's own config has no demo stream"
    [[ $(http_status http://127.0.0.1:1984/) == 200 ]] || die "the image by itself has no wall"
    inside curl -s -m 10 --noproxy '*' "http://127.0.0.1:1984/wall.json" | has '"demo"' ||
        die "the wall of the image by itself has no demo stream"
    inside test -s /usr/share/glvnd/egl_vendor.d/10_nvidia.json || die "the image does not name NVIDIA's EGL"
    engine inspect -f '{{.Config.Env}}' "$container" | has 'NVIDIA_DRIVER_CAPABILITIES=[a-z,]*video' ||
        die "the image asks for no NVIDIA driver"
    ok "the image starts with its own config, and with NVIDIA's names in place"
    bring_down
}
