# shellcheck shell=bash
# A container of a Compose project: up, down, and what must hold inside.
# Needs engine.sh, process.sh, and $work, a folder.

inspect() {
    engine inspect -f "$1" "$container"
}

inside() {
    engine exec "$container" "$@"
}

healthy() {
    [[ $(inspect '{{.State.Health.Status}}') == healthy ]]
}

# bring_up NAME COMPOSE-OPTION...: under a name of this run's own; sets container.
bring_up() {
    local name=mb-docker-test-$1-$$
    shift
    projects+=("$name")
    export METABONK_GO2RTC_CONTAINER=$name
    limited 300 "${compose[@]}" -p "$name" "$@" >"$work/compose.log" 2>&1 || {
        tail -n 40 "$work/compose.log" >&2
        die "compose could not bring $name up: see above"
    }
    container=$(engine ps -aq --filter "label=com.docker.compose.project=$name")
    [[ -n $container ]] || die "compose has made no container for $name"
}

# Everything of one compose project.
take_down() {
    local ids
    ids=$(engine ps -aq --filter "label=com.docker.compose.project=$1")
    # shellcheck disable=SC2086 # One id a word.
    [[ -z $ids ]] || engine rm -f -v $ids >/dev/null
    ids=$(engine volume ls -q --filter "label=com.docker.compose.project=$1")
    # shellcheck disable=SC2086 # One name a word.
    [[ -z $ids ]] || engine volume rm $ids >/dev/null
}

# Ends the project that was brought up last.
bring_down() {
    container=''
    take_down "${projects[-1]}"
}

check_health() {
    within 60 healthy || die "the container is not healthy after a minute: $(inspect '{{json .State.Health.Log}}')"
    ok "the container is healthy"
}

# Whether no process runs in the container whose command line begins with these words.
not_inside() {
    ! engine top "$container" -eo args | has -E "^([^ ]*/)?$1( |\$)"
}

# After the last viewer has left, go2rtc ends what it started.
check_stopped() {
    within 5 not_inside "$1" || die "$1 still runs in the container 5 seconds after the last viewer left"
    ok "$1 has ended with its last viewer"
}

http_status() {
    inside curl -s -o /dev/null -w '%{http_code}' --noproxy '*' -m 5 "$@" || true
}

# check_posture UID
check_posture() {
    local uid=$1 path
    [[ $(inside id -u) == "$uid" ]] || die "the container runs as user $(inside id -u), not $uid"
    [[ $(inspect '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Privileged}} {{.HostConfig.CapDrop}}') == 'true false [ALL]' ]] ||
        die "the container is not locked: $(inspect '{{json .HostConfig}}')"
    inspect '{{.HostConfig.SecurityOpt}}' | has no-new-privileges || die "new privileges are allowed"
    # shellcheck disable=SC2016 # awk's variable
    [[ $(inside awk '/^CapEff|^CapPrm|^CapBnd/ {print $2}' /proc/self/status | sort -u) == 0000000000000000 ]] ||
        die "the container has capabilities: $(inside grep ^Cap /proc/self/status)"
    for path in /config/go2rtc.yaml /config/new /streams/new /new; do
        if inside sh -c "echo x >>$path" 2>/dev/null; then
            die "$path can be written in the container"
        fi
    done
    ok "user $uid, no capability, nothing writable"
}

# check_gate ADDRESS: what a viewer can do there, and cannot.
check_gate() {
    local api=$1 path method
    [[ $(http_status "$api/api/streams") == 200 ]] || die "the gate does not list the streams"
    for path in config restart exit log exec; do
        [[ $(http_status -X POST -d x "$api/api/$path") == 404 ]] || die "/api/$path answers"
    done
    for method in PUT PATCH DELETE POST; do
        [[ $(http_status -X $method "$api/api/streams?name=x&src=exec:id") == 405 ]] ||
            die "$method can change the streams"
    done
    [[ $(http_status -H 'Host: evil.example' "$api/") == 421 ]] || die "any name is taken for this machine's"
    ok "viewers watch through the gate, and change nothing"
}
