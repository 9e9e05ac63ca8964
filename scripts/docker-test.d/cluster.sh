# shellcheck shell=bash
# The images for clusters: built, and a worker and an edge of them by themselves, locked as a cluster locks them.
# Needs images.sh, container.sh and stream.sh.

readonly BARE_IMAGE=mb-encode-docker-test-bare:latest WORKER_IMAGE=mb-encode-docker-test-worker:latest
readonly EDGE_IMAGE=mb-encode-docker-test-edge:latest
# A worker's without Mesa and its LLVM, and debian:13-slim by itself, in MiB.
readonly LARGEST_WORKER_IMAGE=120 SLIM_DEBIAN=75

build_cluster_images() {
    local added whole
    say "Building the images for clusters"
    build_stage $BARE_IMAGE worker
    build_stage $WORKER_IMAGE worker --build-arg MESA=1
    build_stage $EDGE_IMAGE edge
    added=$((($(image_size $BARE_IMAGE) - $(image_size "$build_image")) >> 20))
    whole=$((SLIM_DEBIAN + added))
    # What stands in for debian:13-slim is larger.
    [[ $build_image != "$BUILD_IMAGE" ]] || whole=$(($(image_size $BARE_IMAGE) >> 20))
    ((whole <= LARGEST_WORKER_IMAGE)) || die "without Mesa a worker's image has $whole MiB, not $LARGEST_WORKER_IMAGE at most"
    ok "a worker's image has $added MiB above its base, $whole MiB with debian:13-slim, and Mesa" \
        "$((($(image_size $WORKER_IMAGE) - $(image_size $BARE_IMAGE)) >> 20)) MiB more; the edge's has" \
        "$((($(image_size $EDGE_IMAGE) - $(image_size "$build_image")) >> 20)) MiB above that base"
}

# start_locked NAME ARGUMENT...: of a container, as any user, with a root that nobody writes to.
start_locked() {
    local name=mb-docker-test-$1-$$
    shift
    projects+=("$name")
    container=$(engine run -d --name "$name" --label "com.docker.compose.project=$name" --network host --read-only \
        --user $FIFO_UID:$FIFO_GID --cap-drop ALL --security-opt no-new-privileges "$@")
}

worker_listens() {
    listens "$inner_port"
}

no_worker_streams() {
    ! engine top "$1" -eo pid,args | awk 'NR > 2' | has .
}

test_cluster_images() {
    local worker said
    say "The images for clusters"
    choose_ports
    install -d -o $FIFO_UID -g $FIFO_GID -m 700 "$work/credentials" "$work/edge"
    install -o $FIFO_UID -g $FIFO_GID -m 400 /dev/stdin "$work/credentials/worker-token" <<<"$RANDOM$RANDOM$RANDOM"
    as_worker "$work/mb-encode" go2rtc-config --mode http --workers 1 --prefix worker --source-token worker-token \
        --source "http://127.0.0.1:$inner_port/stream.ts" --webrtc-port "$webrtc_port" --out "$work/edge/go2rtc.yaml" \
        2>"$work/config.log" || die "no config: $(cat "$work/config.log")"

    start_locked worker -v "$work/credentials:/run/secrets/mb-encode:ro" $WORKER_IMAGE mb-encode \
        --listen "127.0.0.1:$inner_port" --token-file /run/secrets/mb-encode/worker-token "${SIZE[@]}"
    worker=$container
    within 20 worker_listens || die "a worker's image serves nobody"
    start_locked edge --tmpfs /tmp:mode=1777,size=1m -v "$work/credentials:/run/credentials:ro" \
        -e CREDENTIALS_DIRECTORY=/run/credentials -v "$work/edge:/etc/edge:ro" $EDGE_IMAGE mb-encode gate --go2rtc go2rtc \
        --config /etc/edge/go2rtc.yaml "${port_options[@]}"
    within 20 listens "$rtsp_port" || die "the edge's image has no RTSP"
    check_stream worker-0
    within 5 no_worker_streams "$worker" || die "the worker encodes for nobody: $(engine top "$worker" -eo pid,args)"
    ok "a worker and an edge of these images, as any user and on a read-only root"
    bring_down
    container=$worker
    take_down "${projects[-2]}"
    container=''

    # It has the library that looks for drivers, and none: NVIDIA's toolkit brings one.
    said=$(engine run --rm --network none --read-only $BARE_IMAGE mb-encode --stdout --frames 1 2>&1 >/dev/null || true)
    has no-egl-driver <<<"$said" || die "without Mesa a worker's image does not find that there is no driver: $said"
    ok "without Mesa there is EGL, and no driver"
}
