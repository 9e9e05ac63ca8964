# shellcheck shell=bash
# The Debian package on a bare Debian 13: it installs, streams, and leaves nothing behind.
# Needs images.sh and container.sh, and $work, a folder.

readonly PACKAGE_PICTURES=30
readonly PACKAGE_FILES=(
    /usr/bin/mb-encode
    /usr/share/man/man1/mb-encode.1.gz
    /usr/share/bash-completion/completions/mb-encode
    /usr/share/zsh/vendor-completions/_mb-encode
    /usr/share/fish/vendor_completions.d/mb-encode.fish
    /usr/lib/systemd/system/mb-encode@.service
    /usr/lib/systemd/system/mb-encode-nvidia.service
    /usr/lib/systemd/system/go2rtc.service
    /usr/lib/sysusers.d/mb-encode.conf
    /usr/share/doc/mb-encode/copyright
    /usr/share/doc/mb-encode/changelog.gz
    /usr/share/doc/mb-encode/third-party-licences.gz
)

# Its program serves the other parts of this test, too.
make_package() {
    scripts/package --out "$work/packages" >"$work/package.log" 2>&1 || {
        tail -n 30 "$work/package.log" >&2
        die "scripts/package failed: see above"
    }
    (cd "$work/packages" && sha256sum --quiet --check SHA256SUMS) || die "the checksums of the package do not match"
}

# apt_inside COMMAND...: apt-get in the container, with its answers assumed.
apt_inside() {
    limited 600 "$docker" exec -e DEBIAN_FRONTEND=noninteractive "$container" apt-get -y -qq "$@" >"$work/apt.log" 2>&1 || {
        tail -n 15 "$work/apt.log" >&2
        die "apt-get $* failed in the container: see above"
    }
}

test_package() {
    local name=mb-docker-test-package-$$
    say "The Debian package"
    projects+=("$name")
    container=$(engine run -d --name "$name" --label "com.docker.compose.project=$name" --network host \
        --volume "$work/packages:/packages:ro" "$build_image" sleep infinity)
    # Images of Debian leave out what they do not need themselves: manual pages, for one.
    inside sh -c 'rm -f /etc/dpkg/dpkg.cfg.d/docker*'
    ! inside dpkg -s libegl1 >/dev/null 2>&1 || die "$build_image has EGL by itself: this would show nothing of Depends"
    apt_inside update
    apt_inside install "/packages/$(basename "$work"/packages/*.deb)"
    ok "the package installs on $build_image, and brings EGL"

    check_package_streams
    check_package_files
    check_package_purge
    bring_down
}

check_package_streams() {
    local stream=$work/package.h264 start count
    # As a user without rights or a home.
    engine exec --user 65534:65534 "$container" mb-encode --stdout --frames $PACKAGE_PICTURES >"$stream" \
        2>"$work/stream.log" || die "the installed program does not stream: $(cat "$work/stream.log")"
    start=$(head -c 5 "$stream" | od -An -tx1)
    [[ $start == ' 00 00 00 01 67' ]] || die "the stream of the installed program begins with$start"
    count=$(limited 60 ffmpeg -nostdin -hide_banner -loglevel error -xerror -f h264 -i "$stream" -fps_mode passthrough \
        -f framemd5 - | grep -vc '^#' || true)
    ((count == PACKAGE_PICTURES)) || die "the installed program made $count pictures, not $PACKAGE_PICTURES"
    ok "the installed program streams: $count pictures decoded"
}

check_package_files() {
    local file
    for file in "${PACKAGE_FILES[@]}"; do
        inside test -s "$file" || die "the package brings no $file"
    done
    [[ -z $(inside find /etc/systemd/system -name '*mb-encode*' -o -name 'go2rtc*') ]] ||
        die "the package has enabled a unit"

    apt_inside install --no-install-recommends man-db systemd
    inside man --pager=cat mb-encode 2>&1 | has -e '--fifo' || die "the manual page does not open"
    inside bash -c 'source /usr/share/bash-completion/completions/mb-encode && complete -p mb-encode' >/dev/null ||
        die "bash does not take the completions"
    inside head -n 1 /usr/share/zsh/vendor-completions/_mb-encode | has -x '#compdef mb-encode' ||
        die "the completions for zsh are not for mb-encode"
    inside grep -q '^complete -c mb-encode' /usr/share/fish/vendor_completions.d/mb-encode.fish ||
        die "the completions for fish are not for mb-encode"
    ok "its ${#PACKAGE_FILES[@]} files are there; man and bash take theirs"

    inside systemd-sysusers 2>/dev/null || die "systemd-sysusers refuses mb-encode.conf"
    [[ $(inside id -nG mb-encode) == *video* && $(inside id -nG mb-encode) == *render* ]] ||
        die "systemd-sysusers makes no user mb-encode that may use the GPU: $(inside id mb-encode)"
    # A stand-in: no package has it.
    inside ln -s /bin/true /usr/local/bin/go2rtc
    inside systemd-analyze verify --man=yes mb-encode@omega-0.service mb-encode-nvidia.service go2rtc.service >"$work/units.log" 2>&1 ||
        die "systemd refuses the units: $(cat "$work/units.log")"
    ! has -e mb-encode -e go2rtc <"$work/units.log" || die "systemd warns of the units: $(cat "$work/units.log")"
    ok "systemd takes the units and the user"
}

check_package_purge() {
    local left
    apt_inside purge mb-encode
    # man keeps the pages that it has formatted.
    left=$(inside find / -xdev -name '*mb-encode*' -not -path '/var/cache/man/*')
    [[ -z $left ]] || die "the package leaves behind: $left"
    for left in "${PACKAGE_FILES[@]}"; do
        ! inside test -e "$left" || die "the package leaves $left behind"
    done
    ok "the package goes without a trace"
}
