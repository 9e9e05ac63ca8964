# shellcheck shell=bash
# scripts/start --docker, and what it leaves behind when it ends or is killed.
# Needs images.sh, container.sh and stream.sh.

# start MODE: scripts/start in the background; sets start_pid and container.
start() {
    : >"$work/start.log"
    # Compose of version 1 is a Python program, which buffers what it says.
    PYTHONUNBUFFERED=1 setsid setpriv --pdeathsig TERM scripts/start --workers 2 --docker --mode "$1" \
        --temp "$work/start" "${port_options[@]}" "${SIZE[@]}" 9>&- >"$work/start.log" 2>&1 </dev/null &
    start_pid=$!
    pids+=("$start_pid")
    within 90 says_where_or_ended || true
    says_where || die "scripts/start --docker --mode $1 has printed no addresses"
    container=$(engine ps -q --filter "name=^$METABONK_GO2RTC_CONTAINER\$")
    [[ -n $container ]] || die "scripts/start --docker runs no container of the name $METABONK_GO2RTC_CONTAINER"
}

says_where() {
    has '^go2rtc  *http' <"$work/start.log"
}

says_where_or_ended() {
    says_where || gone "$start_pid"
}

no_container() {
    [[ -z $(engine ps -aq --filter "name=^$METABONK_GO2RTC_CONTAINER\$") ]]
}

# worker_of ID: the process that serves its FIFO.
worker_of() {
    local each
    local -a all=()
    read -r -a all <"/proc/$start_pid/task/$start_pid/children" || true
    for each in "${all[@]}"; do
        if tr '\0' '\n' <"/proc/$each/cmdline" | has "/$1\.h264\$"; then
            echo "$each"
            return
        fi
    done
    die "scripts/start runs no worker for $1"
}

# scripts/start, with its workers on the host and go2rtc in the container.
test_start() {
    local mode began status_of_start worker
    local -a workers=()
    say "scripts/start --docker"
    export MB_ENCODE=$work/mb-encode METABONK_GO2RTC_CONTAINER=mb-docker-test-start-$$
    for mode in fifo exec; do
        choose_ports
        METABONK_GO2RTC_IMAGE=$TEST_IMAGE
        [[ $mode == exec ]] || METABONK_GO2RTC_IMAGE=$fifo_image
        export METABONK_GO2RTC_IMAGE
        start $mode
        projects+=("$(inspect '{{index .Config.Labels "com.docker.compose.project"}}')")
        check_stream omega-0
        check_stream omega-1
        limited 20 scripts/start status --temp "$work/start" >"$work/status" || die "status: $(cat "$work/status")"
        has "omega-1" <"$work/status" || die "status tells nothing of omega-1: $(cat "$work/status")"
        if [[ $mode == fifo ]]; then
            kill -KILL "$(worker_of omega-0)"
            check_stream omega-0
            ok "a killed worker comes back, and the container plays it"
            # An end without a chance to clean up; the next start does that.
            kill -KILL "$start_pid"
            wait "$start_pid" 2>/dev/null || true
            start $mode
            check_stream omega-1
            ok "scripts/start starts over what a killed one has left"
        fi
        # Without a line's end.
        read -r -a workers <"/proc/$start_pid/task/$start_pid/children" || true
        began=$SECONDS
        kill -INT "$start_pid"
        within 20 gone "$start_pid" || die "scripts/start --docker still runs 20 seconds after Ctrl-C"
        status_of_start=0
        wait "$start_pid" || status_of_start=$?
        ((status_of_start == 0)) || die "scripts/start --docker has ended with code $status_of_start"
        container=''
        no_container || die "a container is left behind Ctrl-C"
        for worker in "${workers[@]}"; do
            gone "$worker" || die "a process of scripts/start is left behind Ctrl-C: $worker"
        done
        ! listens "$api_port" || die "port $api_port is still open"
        ok "Ctrl-C has ended --mode $mode and its container in $((SECONDS - began)) s"
    done
    pids=()
}
