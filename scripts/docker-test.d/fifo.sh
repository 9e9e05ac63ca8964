# shellcheck shell=bash
# FIFO mode: workers on the host, go2rtc in the container.
# Needs images.sh, container.sh and stream.sh.

# as_worker COMMAND...: as the user whom the FIFO test's workers run as.
as_worker() {
    setpriv --reuid $FIFO_UID --regid $FIFO_GID --clear-groups "$@"
}

# The workers run on the host, go2rtc in the container, and neither as root.
test_fifo() {
    local name
    say "FIFO mode"
    install -d -o $FIFO_UID -g $FIFO_GID -m 0750 "$work/streams" "$work/home" "$work/config"
    install -d -o $FIFO_UID -g $FIFO_GID -m 700 "$work/gate"
    choose_ports
    as_worker "$work/mb-encode" go2rtc-config --workers 2 --fifo-dir "$work/streams" --out "$work/config/go2rtc.yaml" \
        "${port_options[@]}" 2>"$work/config.log" || die "no config: $(cat "$work/config.log")"
    for name in omega-0 omega-1; do
        HOME=$work/home setsid setpriv --reuid $FIFO_UID --regid $FIFO_GID --clear-groups --pdeathsig TERM \
            "$work/mb-encode" --fifo "$work/streams/$name.h264" "${SIZE[@]}" \
            9>&- >"$work/$name.log" 2>&1 </dev/null &
        pids+=($!)
    done

    setsid setpriv --reuid $FIFO_UID --regid $FIFO_GID --clear-groups --pdeathsig TERM \
        "$work/mb-encode" gate --socket "$work/gate/go2rtc.sock" --inner-rtsp "127.0.0.1:$inner_port" "${port_options[@]}" \
        9>&- >"$work/gate.log" 2>&1 </dev/null &
    pids+=($!)
    export MB_ENCODE_GATE_DIR=$work/gate MB_ENCODE_INNER_RTSP_PORT=$inner_port
    export METABONK_GO2RTC_IMAGE=$fifo_image METABONK_GO2RTC_CONFIG=$work/config/go2rtc.yaml
    export METABONK_STREAM_FIFO_DIR=$work/streams MB_ENCODE_UID=$FIFO_UID MB_ENCODE_GID=$FIFO_GID
    bring_up fifo -f $FIFO_FILE up -d
    check_health
    check_posture $FIFO_UID
    check_gate "http://127.0.0.1:$api_port"
    ! inspect '{{range .Mounts}}{{.Type}} {{end}}' | has volume ||
        die "the container leaves a volume behind: $(inspect '{{json .Mounts}}')"
    for name in omega-0 omega-1; do
        check_stream $name
    done
    check_stopped cat
    check_stream omega-0
    bring_down
    for name in "${pids[@]}"; do
        end_process "$name" 5
    done
    pids=()
    rm "$work"/omega-*.log
    unset MB_ENCODE_GATE_DIR MB_ENCODE_INNER_RTSP_PORT
    unset METABONK_GO2RTC_CONFIG METABONK_STREAM_FIFO_DIR MB_ENCODE_UID MB_ENCODE_GID
}
