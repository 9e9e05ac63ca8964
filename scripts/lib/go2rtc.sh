# shellcheck shell=bash
# go2rtc of a pinned version: from $GO2RTC, PATH or the cache, else built with Go, else its release file.
# Needs say.sh and packages.sh, and $root, the repository.
# shellcheck disable=SC2154

# shellcheck source=scripts/lib/cache.sh
source "$root/scripts/lib/cache.sh"
# shellcheck source=scripts/lib/go.sh
source "$root/scripts/lib/go.sh"

GO2RTC_MODULE=github.com/AlexxIT/go2rtc
GO2RTC_VERSION=1.9.14
GO2RTC_MODULE_SUM=h1:HjaZ2pR64nTkoTZcKM8Zjybg7swyCZbA8Biru1mbqcY=
# The go line of its go.mod.
GO2RTC_NEEDS_GO=1.24.0

# go2rtc_release ARCHITECTURE: name and SHA-256 of the release file, as `uname -m` calls the machine.
go2rtc_release() {
    case $1 in
        x86_64) echo go2rtc_linux_amd64 32d616af226bd731678ffde328b94cfb94e30339bfefc469cfb76323144615a6 ;;
        aarch64) echo go2rtc_linux_arm64 359fabade8a7a51e81a55fe6df6b0ef81764a5e1d63179577534eaaa71904b50 ;;
        *) return 1 ;;
    esac
}

# is_go2rtc FILE: whether it runs and has the wanted version.
is_go2rtc() {
    [[ $("$1" -version 2>/dev/null) == "go2rtc version $GO2RTC_VERSION "* ]]
}

# need_go2rtc: sets and exports GO2RTC.
need_go2rtc() {
    local cached=$PROJECT_CACHE/go2rtc-$GO2RTC_VERSION
    if [[ -n ${GO2RTC:-} ]]; then
        GO2RTC=$(command -v "$GO2RTC") || die "GO2RTC names no program that can be run: $GO2RTC"
        is_go2rtc "$GO2RTC" || note "GO2RTC is not version $GO2RTC_VERSION: using it anyway"
    elif have go2rtc && is_go2rtc go2rtc; then
        GO2RTC=$(command -v go2rtc)
    else
        if ! is_go2rtc "$cached"; then
            have go2rtc && note "the go2rtc on PATH is not version $GO2RTC_VERSION: getting that one"
            fetch_go2rtc "$cached"
        fi
        GO2RTC=$cached
    fi
    export GO2RTC
}

fetch_go2rtc() {
    make_cached "$1" make_go2rtc_program ||
        die "cannot get go2rtc $GO2RTC_VERSION: it could be neither built nor downloaded" \
            "Get it from https://github.com/AlexxIT/go2rtc/releases/tag/v$GO2RTC_VERSION" \
            "and start again with GO2RTC=/path/to/go2rtc in the environment."
}

# make_go2rtc_program FOLDER
make_go2rtc_program() {
    build_with_go $GO2RTC_NEEDS_GO $GO2RTC_MODULE $GO2RTC_VERSION $GO2RTC_MODULE $GO2RTC_MODULE_SUM "$1" ||
        download_go2rtc "$1" || return
    is_go2rtc "$1/program"
}

# download_go2rtc FOLDER
download_go2rtc() {
    local name sum
    read -r name sum < <(go2rtc_release "$(uname -m)") || {
        note "go2rtc has no release file with a known checksum for $(uname -m)"
        return 1
    }
    need curl certificates
    say "Getting $name $GO2RTC_VERSION"
    curl --proto '=https' -fL --retry 3 --connect-timeout 20 --progress-bar -o "$1/program" \
        "https://github.com/AlexxIT/go2rtc/releases/download/v$GO2RTC_VERSION/$name" || return 1
    sha256sum --quiet --check <<<"$sum  $1/program" || {
        note "$name has an unexpected checksum (SHA-256): not used"
        return 1
    }
    chmod +x "$1/program"
}
