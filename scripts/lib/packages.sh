# shellcheck shell=bash
# What the scripts need from the system, and the Debian or Ubuntu package that has it.
# Needs say.sh.

# Whether a file of one of these patterns is there.
any_file() {
    local pattern
    for pattern in "$@"; do
        if compgen -G "$pattern" >/dev/null; then
            return 0
        fi
    done
    return 1
}

# any_library START...: whether a library of such a name lies where LLVM's are.
any_library() {
    local start
    for start in "$@"; do
        ! any_file "/usr/lib/llvm-*/lib/$start*" "/usr/lib/*/$start*" "/usr/lib*/$start*" || return 0
    done
    return 1
}

# present NEED: whether it is installed. A need is a command, or one of the libraries named here.
present() {
    case $1 in
        certificates) any_file /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt ;;
        libc-headers) any_file /usr/include/stdlib.h ;;
        # As bindgen looks for it. Clang itself comes with libclang-cpp, which is another library.
        libclang) any_library libclang.so libclang-[0-9] ;;
        firefox) have firefox-esr || have firefox ;;
        egl) any_file '/usr/lib/*/libEGL.so.1' '/usr/lib*/libEGL.so.1' ;;
        egl-driver) any_file '/usr/share/glvnd/egl_vendor.d/*.json' '/etc/glvnd/egl_vendor.d/*.json' ;;
        software-gl)
            any_file '/usr/lib/*/dri/swrast_dri.so' '/usr/lib/*/libgallium-*.so' '/usr/lib*/dri/swrast_dri.so'
            ;;
        gst-gl) any_file '/usr/lib/*/gstreamer-1.0/libgstopengl.so' ;;
        gst-openh264) any_file '/usr/lib/*/gstreamer-1.0/libgstopenh264.so' ;;
        gst-x264) any_file '/usr/lib/*/gstreamer-1.0/libgstx264.so' ;;
        gst-soup) any_file '/usr/lib/*/gstreamer-1.0/libgstsoup.so' ;;
        gst-y4menc) any_file '/usr/lib/*/gstreamer-1.0/libgsty4menc.so' ;;
        imagemagick) any_file '/usr/bin/convert*' '/usr/bin/magick*' '/usr/local/bin/magick' ;;
        opengl) any_file '/usr/lib/*/libOpenGL.so.0' '/usr/lib*/libOpenGL.so.0' ;;
        python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
        gst-videoconvert)
            # Its name has got longer over time.
            any_file '/usr/lib/*/gstreamer-1.0/libgstvideoconvert*.so'
            ;;
        *) have "$1" ;;
    esac
}

# package_of NEED: the package that has it.
package_of() {
    case $1 in
        certificates) echo ca-certificates ;;
        cc) echo gcc ;;
        c++) echo g++ ;;
        libc-headers) echo libc6-dev ;;
        libclang) echo libclang-dev ;;
        egl) echo libegl1 ;;
        egl-driver) echo libegl-mesa0 ;;
        software-gl) echo libgl1-mesa-dri ;;
        ffprobe) echo ffmpeg ;;
        systemd-analyze) echo systemd ;;
        strip) echo binutils ;;
        dpkg-shlibdeps) echo dpkg-dev ;;
        chromium) from_ubuntu && echo chromium-browser || echo chromium ;;
        chromedriver) from_ubuntu && echo chromium-chromedriver || echo chromium-driver ;;
        firefox) from_ubuntu && echo firefox || echo firefox-esr ;;
        gst-launch-1.0) echo gstreamer1.0-tools ;;
        ip) echo iproute2 ;;
        gst-gl) echo gstreamer1.0-gl ;;
        gst-openh264) echo gstreamer1.0-plugins-bad ;;
        gst-x264) echo gstreamer1.0-plugins-ugly ;;
        gst-videoconvert) echo gstreamer1.0-plugins-base ;;
        gst-soup | gst-y4menc) echo gstreamer1.0-plugins-good ;;
        node) echo nodejs ;;
        opengl) echo libopengl0 ;;
        *) echo "$1" ;;
    esac
}

from_ubuntu() {
    grep -qs '^ID=ubuntu' /etc/os-release
}

# candidate PACKAGE: the version that apt would install now, such as 1.24 of 2:1.24~2; nothing if it has none.
candidate() {
    have apt-cache || return 0
    apt-cache policy "$1" 2>/dev/null | sed -n '/(none)/d; s/^ *Candidate: \([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p'
}

# as_root COMMAND...: runs it as root, through sudo if need be; fails where neither works.
as_root() {
    if ((EUID == 0)); then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif have sudo && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        return 126
    fi
}

# Updates apt's lists, once a run and only where that is allowed.
refresh_packages() {
    [[ -z ${packages_refreshed:-} ]] || return 0
    packages_refreshed=yes
    if ! have apt-get || { ((EUID != 0)) && ! have sudo; }; then
        return 0
    fi
    # A third-party source that does not answer is no reason to stop: installing will tell what is missing.
    as_root apt-get update -qq -o DPkg::Lock::Timeout=300 || note "apt-get update did not fetch every list"
}

# install_packages PACKAGE...: through apt.
install_packages() {
    local by_hand="apt-get update && apt-get install --no-install-recommends $*"
    have apt-get || die "cannot install $*: there is no apt-get here" \
        "Install what corresponds to these Debian packages, then start again."
    if ((EUID != 0)) && ! have sudo; then
        die "missing: $*, and only root can install it" "Run as root:  $by_hand"
    fi
    say "Installing $*"
    refresh_packages
    as_root apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >&2 ||
        die "could not install: $*" "Run as root:  $by_hand"
}

# need NEED...: installs what is not there.
need() {
    local thing package
    local -a packages=()
    local -A seen=()
    for thing in "$@"; do
        present "$thing" && continue
        package=$(package_of "$thing")
        [[ -n ${seen[$package]:-} ]] || packages+=("$package")
        seen[$package]=yes
    done
    ((${#packages[@]})) || return 0
    install_packages "${packages[@]}"
    hash -r
    for thing in "$@"; do
        present "$thing" ||
            die "$thing is still missing after its package $(package_of "$thing") was installed" \
                "On Ubuntu, browsers come as snaps and need snapd running; on Debian they do not."
    done
}

# What each task needs.
need_to_build() {
    need certificates cc c++ libc-headers libclang nasm
}
need_to_draw() {
    need egl egl-driver software-gl
}
need_to_play() {
    need ffmpeg ffprobe
}
need_to_test() {
    need ccache shellcheck chromium chromedriver firefox systemd-analyze
}
# Programs that make frames.
need_to_produce() {
    need ffmpeg gst-launch-1.0 gst-videoconvert gst-y4menc imagemagick node opengl
}
# Programs that read streams by HTTP.
need_to_read() {
    need curl ffmpeg gst-launch-1.0 gst-openh264 gst-soup gst-y4menc
}
need_to_compare() {
    need python3 gst-launch-1.0 gst-gl gst-openh264 gst-videoconvert gst-x264 gst-y4menc
}
