# shellcheck shell=bash
# Broken and missing configs.
# Needs images.sh and container.sh.

says_no_config() {
    engine logs "$container" 2>&1 | has -e 'No config' -e 'cannot read the config'
}

# A broken or missing config must not open go2rtc up. Without a network, as above.
test_bad_configs() {
    local file addresses
    say "Bad configs"
    unset MB_ENCODE_HEALTH_URL
    printf 'services: {go2rtc: {network_mode: none}}\n' >"$work/alone.yml"
    printf 'streams: [\n  : nonsense\n' >"$work/nonsense.yaml"
    mkdir -p "$work/none"
    export METABONK_STREAM_FIFO_DIR=$work/none MB_ENCODE_GATE_DIR=$work/meeting
    install -d -o 1000 -g 1000 -m 700 "$MB_ENCODE_GATE_DIR"
    for file in $FIFO_FILE $EXEC_FILE; do
        METABONK_GO2RTC_IMAGE=$TEST_IMAGE
        [[ $file != "$FIFO_FILE" ]] || METABONK_GO2RTC_IMAGE=$fifo_image
        export METABONK_GO2RTC_IMAGE METABONK_GO2RTC_CONFIG=$work/nonsense.yaml
        bring_up "nonsense${#projects[@]}" -f "$file" -f "$work/alone.yml" up -d --no-build
        check_health
        check_posture 1000
        # In FIFO mode the gate is on the host, of which this container sees nothing.
        [[ $file == "$FIFO_FILE" ]] || check_gate http://127.0.0.1:1984
        # Local addresses of listening sockets, as the kernel writes them.
        addresses=$(inside sh -c 'cat /proc/net/tcp /proc/net/tcp6' |
            awk '$4 == "0A" {sub(/:.*/, "", $2); print $2}' | sort -u)
        [[ $addresses == 0100007F ]] || die "with a nonsense config go2rtc listens on $addresses"
        ok "a nonsense config leaves go2rtc on the loopback address"
        bring_down

        METABONK_GO2RTC_CONFIG=$work/missing${#projects[@]}.yaml
        bring_up "missing${#projects[@]}" -f "$file" -f "$work/alone.yml" up -d --no-build
        within 20 says_no_config || die "a missing config is not reported"
        # The gate, which starts again and again, has the name in its options.
        ! engine top "$container" -eo pid,comm 2>/dev/null | awk '{print $NF}' | has -x go2rtc ||
            die "go2rtc runs without a config"
        ok "a missing config is reported and nothing starts"
        bring_down
    done
    unset METABONK_STREAM_FIFO_DIR METABONK_GO2RTC_CONFIG MB_ENCODE_GATE_DIR
}
