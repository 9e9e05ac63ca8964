# shellcheck shell=bash
# A Docker engine: the one that runs, or one of this test's own, and the client and Compose that drive it.
# Needs say.sh, packages.sh, process.sh, and $work and $cache, folders.

# docker's client. Only a build or a pull takes long.
engine() {
    limited 120 "$docker" "$@"
}

# install_known PACKAGE...: those of them that this release of Debian or Ubuntu has.
install_known() {
    local name
    local -a known=()
    refresh_packages
    for name in "$@"; do
        [[ -z $(candidate "$name") ]] || known+=("$name")
    done
    ((${#known[@]})) || die "apt has none of these packages here: $*"
    install_packages "${known[@]}"
    hash -r
}

# A client that can drive BuildKit. One without its build component says so at once, and another may be installed beside it.
find_client() {
    local each
    for each in docker /usr/bin/docker; do
        if DOCKER_BUILDKIT=1 limited 20 "$each" build --help >/dev/null 2>&1; then
            docker=$(command -v "$each")
            return
        fi
    done
    return 1
}

find_compose() {
    if limited 20 "$docker" compose version >/dev/null 2>&1; then
        compose=("$docker" compose)
    elif have docker-compose; then
        compose=(docker-compose)
    else
        return 1
    fi
}

answers() {
    limited 20 "$docker" version >/dev/null 2>&1
}

answers_or_ended() {
    answers || gone "$engine_pid"
}

# Mounts the control groups where nobody has yet, as Debian's docker service does.
# It runs by itself, in a mount namespace that ends with the engine.
mount_control_groups() {
    local name enabled
    mount -t tmpfs -o mode=0755 cgroup /sys/fs/cgroup || return
    while read -r name _ _ enabled; do
        [[ $enabled == 1 ]] || continue
        mkdir -p "/sys/fs/cgroup/$name"
        mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" 2>/dev/null || rmdir "/sys/fs/cgroup/$name"
    done </proc/cgroups
    # A kernel that has these in version 2 alone.
    if ! [[ -d /sys/fs/cgroup/devices ]]; then
        umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
    fi
}

start_engine() {
    local free_mib ids
    local -a in_front=()
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    if ! flock -n 9; then
        say "Another run uses $cache: waiting for its end"
        flock -w 1200 9 || die "the other run that uses $cache has not ended within 20 minutes" \
            "Try again later, or name another folder in DOCKER_TEST_CACHE."
    fi
    free_mib=$(df -Pm "$cache" | awk 'NR == 2 {print $4}')
    ((free_mib > 6144)) || die "$cache has only $free_mib MiB free, and the images need 6 GiB" \
        "Make room, or name a folder on another disk in DOCKER_TEST_CACHE."

    if ! has ' /sys/fs/cgroup[^ ]* cgroup' </proc/mounts; then
        note "no control groups are mounted: mounting them for the engine alone"
        # shellcheck disable=SC2016 # For the shell that is started.
        in_front=(unshare --mount bash -c "$(declare -f mount_control_groups)"'; mount_control_groups; exec "$@"' bash)
    fi
    # No bridge and no packet filter rules: every container here uses the host's network. It ends with this script,
    # however that ends.
    setsid setpriv --pdeathsig TERM "${in_front[@]}" dockerd \
        --host "unix://$work/engine.sock" --data-root "$cache/data" \
        --exec-root "$work/engine" --pidfile "$work/engine.pid" \
        --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
        9>&- >"$work/engine.log" 2>&1 </dev/null &
    engine_pid=$!
    export DOCKER_HOST=unix://$work/engine.sock
    within 90 answers_or_ended || true
    if ! answers; then
        grep -v level=info "$work/engine.log" | tail -n 15 | sed 's/^/    dockerd: /' >&2 || true
        die "no Docker engine can be started here: its own words are above" \
            "It needs root with all capabilities, control groups, and a file system that can hold images." \
            "Where one runs elsewhere on this machine, name its socket in DOCKER_HOST."
    fi
    # Left over from a run that was killed: this engine is this run's alone.
    ids=$(engine ps -aq)
    # shellcheck disable=SC2086 # One id a word.
    [[ -z $ids ]] || engine rm -f -v $ids >/dev/null
    note "started one, version $(engine version --format '{{.Server.Version}}')," \
        "its storage is $(engine info --format '{{.Driver}}' 2>/dev/null)"
}

find_engine() {
    say "Looking for a Docker engine"
    docker=docker
    find_client || docker=$(command -v docker || echo docker)
    if ! answers; then
        ((EUID == 0)) || die "no Docker engine answers, and only root can start one"
        # Installed as a service it may have been started, too.
        have dockerd || install_known docker.io docker-cli docker-buildx docker-compose
        find_client || true
        answers || start_engine
    fi
    find_client || install_known docker.io docker-cli docker-buildx
    find_client || die "no docker client here can build with BuildKit" "Install Docker's buildx plugin."
    find_compose || install_known docker-compose
    find_compose || die "there is neither 'docker compose' nor docker-compose" "Install Docker's compose plugin."
    # Compose 1 calls the client by its name.
    PATH=$(dirname "$docker"):$PATH
    # The build, too, on the host's network: an engine may be without a bridge.
    export PATH DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1 BUILDKIT_PROGRESS=plain MB_ENCODE_BUILD_NETWORK=host
    note "compose is version $(limited 20 "${compose[@]}" version --short)"
}
