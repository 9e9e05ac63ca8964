# shellcheck shell=bash
# The base images, pulled or stood in for, and the exec image built on them.
# Needs engine.sh, go2rtc.sh, and $work and $cache, folders.

readonly FIFO_IMAGE=alexxit/go2rtc:$GO2RTC_VERSION
readonly EXEC_BASE_IMAGE=$FIFO_IMAGE-hardware
readonly BUILD_IMAGE=debian:13-slim
readonly STANDIN_BARE=mb-encode-standin/bare:13
readonly STANDIN_DEBIAN=mb-encode-standin/debian:13
readonly STANDIN_GO2RTC=mb-encode-standin/go2rtc:$GO2RTC_VERSION

have_image() {
    engine image inspect "$1" >/dev/null 2>&1
}

pull() {
    have_image "$1" && return
    note "pulling $1"
    limited 600 "$docker" pull -q "$1" >/dev/null 2>"$work/pull.log"
}

choose_images() {
    say "Getting the base images"
    if [[ -z ${DOCKER_TEST_STANDINS:-} ]] && pull "$FIFO_IMAGE" && pull "$EXEC_BASE_IMAGE" && pull "$BUILD_IMAGE"; then
        fifo_image=$FIFO_IMAGE base_image=$EXEC_BASE_IMAGE build_image=$BUILD_IMAGE
        return
    fi
    [[ ! -s $work/pull.log ]] || note "no image can be pulled: $(tail -n 1 "$work/pull.log")"
    make_bare_debian
    make_debian
    make_go2rtc
    fifo_image=$STANDIN_GO2RTC base_image=$STANDIN_GO2RTC build_image=$STANDIN_DEBIAN
}

# The mirror of Debian's main archive that this host's apt uses; on Ubuntu, Debian's own.
debian_mirror() {
    local mirror
    # shellcheck disable=SC2016 # apt's variables
    mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' 2>/dev/null |
        awk -F'|' '$1 == "Debian" && $2 == "Debian" && $3 == "main" && !found++ {print $4}')
    echo "${mirror:-http://deb.debian.org/debian}"
}

# Removes a folder of this run in which something may still be mounted.
remove_folder() {
    local at
    while read -r at; do
        umount -l "$at" || true
    done < <(awk -v p="$1/" 'index($2, p) == 1 {print $2}' /proc/mounts | sort -r)
    rm -rf --one-file-system "$1"
}

make_bare_debian() {
    local mirror
    if have_image "$STANDIN_BARE"; then
        return
    fi
    ((EUID == 0)) || die "only root can make the stand-in for $BUILD_IMAGE"
    have debootstrap || install_known debootstrap
    any_file /usr/share/keyrings/debian-archive-keyring.gpg || install_known debian-archive-keyring
    refresh_packages
    mirror=$(debian_mirror)
    note "making a small Debian 13 from $mirror"
    mkdir -p "$cache"
    bootstrap=$(mktemp -d "$cache/bootstrap.XXXXXX")
    limited 600 debootstrap --variant=minbase trixie "$bootstrap" "$mirror" >"$work/debootstrap.log" 2>&1 || {
        tail -n 5 "$work/debootstrap.log" >&2
        die "debootstrap could not make a Debian 13 from $mirror: its own words are above"
    }
    # mktemp's folder is for its owner alone, and becomes the root that every user has to pass.
    chmod 0755 "$bootstrap"
    rm -f "$bootstrap"/var/cache/apt/archives/*.deb "$bootstrap"/var/lib/apt/lists/*_*
    tar -C "$bootstrap" --numeric-owner -c . | limited 300 "$docker" import - "$STANDIN_BARE" >/dev/null
    remove_folder "$bootstrap"
    bootstrap=''
}

# build NAME FOLDER
build() {
    limited 900 "$docker" build --network host -t "$1" "$2" >"$work/build.log" 2>&1 || {
        tail -n 30 "$work/build.log" >&2
        die "building $1 failed: see above"
    }
}

# With the host's certificates and apt settings, so that apt and cargo in the container reach what the host's do.
make_debian() {
    local context=$work/debian bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
    mkdir -p "$context/certificates"
    if [[ -r $bundle ]]; then
        awk -v to="$context/certificates/host" \
            '/BEGIN CERTIFICATE/ {n++} n {print > sprintf("%s-%03d.crt", to, n)}' "$bundle"
        cp "$bundle" "$context/bundle.crt"
    else
        : >"$context/bundle.crt"
    fi
    apt-config dump | grep -E '^Acquire::(Check-|https?::Proxy)' >"$context/apt.conf" || true
    cat >"$context/Dockerfile" <<END
FROM $STANDIN_BARE
COPY certificates /usr/local/share/ca-certificates
COPY bundle.crt /etc/ssl/certs/ca-certificates.crt
COPY apt.conf /etc/apt/apt.conf.d/99host
CMD ["bash"]
END
    build "$STANDIN_DEBIAN" "$context"
}

make_go2rtc() {
    local context=$work/go2rtc
    need_go2rtc
    is_go2rtc "$GO2RTC" || die "the stand-in for $FIFO_IMAGE needs go2rtc $GO2RTC_VERSION, and GO2RTC names another one"
    note "making the stand-in for go2rtc's images"
    mkdir -p "$context"
    cp "$GO2RTC" "$context/go2rtc"
    cat >"$context/Dockerfile" <<END
FROM $STANDIN_DEBIAN
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl tini \
 && apt-get clean && rm -rf /var/lib/apt/lists/*
COPY go2rtc /usr/local/bin/go2rtc
ENTRYPOINT ["/usr/bin/tini", "--"]
VOLUME /config
WORKDIR /config
CMD ["go2rtc", "-config", "/config/go2rtc.yaml"]
END
    build "$STANDIN_GO2RTC" "$context"
}

build_exec_image() {
    local size base
    say "Building the exec image (minutes, the first time)"
    export MB_ENCODE_BUILD_IMAGE=$build_image MB_ENCODE_BASE_IMAGE=$base_image METABONK_GO2RTC_IMAGE=$TEST_IMAGE
    # The steps, not every line of them.
    limited 1800 "${compose[@]}" -f "$EXEC_FILE" build 2>&1 | tee "$work/build.log" |
        awk '/\[[^]]* [0-9]+\/[0-9]+\] [A-Z]|Compiling mb-encode|cargo [0-9]|Finished/ {
            print "    " substr($0, 1, 100); fflush() }' >&2 || {
        tail -n 40 "$work/build.log" >&2
        die "building the exec image failed: see above"
    }
    have_image "$TEST_IMAGE" || die "compose has built no $TEST_IMAGE: $(tail -n 5 "$work/build.log")"
    size=$(image_size "$TEST_IMAGE")
    base=$(image_size "$base_image")
    ok "the exec image has $((size / 1000000)) MB, $(((size - base) / 1000000)) MB of it above its base $base_image"
}

image_size() {
    engine image inspect -f '{{.Size}}' "$1"
}

# build_stage NAME STAGE [ARGUMENT...]: an image for clusters.
build_stage() {
    local name=$1 stage=$2
    shift 2
    limited 1800 "$docker" build --network host -f docker/mb-encode.Dockerfile --target "$stage" -t "$name" \
        --build-arg "BUILD_IMAGE=$build_image" --build-arg "BASE_IMAGE=$build_image" --build-arg "GO2RTC_IMAGE=$fifo_image" \
        "$@" . >"$work/build.log" 2>&1 || {
        tail -n 40 "$work/build.log" >&2
        die "building the image $name failed: see above"
    }
}
