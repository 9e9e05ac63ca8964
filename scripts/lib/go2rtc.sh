# shellcheck shell=bash
# go2rtc of exactly one version: from $GO2RTC, PATH or the cache, else built with Go, else its release file.
# Needs say.sh and packages.sh.

GO2RTC_MODULE=github.com/AlexxIT/go2rtc
GO2RTC_VERSION=1.9.14
# What go.sum says of this version; a built executable carries it too.
GO2RTC_MODULE_SUM=h1:HjaZ2pR64nTkoTZcKM8Zjybg7swyCZbA8Biru1mbqcY=
# The go line of its go.mod.
GO2RTC_NEEDS_GO=1.24.0
GO2RTC_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/mb-encode

# go2rtc_release ARCHITECTURE: name and SHA-256 of the release file, as `uname -m` calls the machine.
go2rtc_release() {
    case $1 in
        x86_64) echo go2rtc_linux_amd64 32d616af226bd731678ffde328b94cfb94e30339bfefc469cfb76323144615a6 ;;
        aarch64) echo go2rtc_linux_arm64 359fabade8a7a51e81a55fe6df6b0ef81764a5e1d63179577534eaaa71904b50 ;;
        *) return 1 ;;
    esac
}

# is_go2rtc FILE: whether it runs and is of the version wanted.
is_go2rtc() {
    [[ $("$1" -version 2>/dev/null) == "go2rtc version $GO2RTC_VERSION "* ]]
}

# need_go2rtc: sets and exports GO2RTC.
need_go2rtc() {
    local cached=$GO2RTC_CACHE/go2rtc-$GO2RTC_VERSION
    if [[ -n ${GO2RTC:-} ]]; then
        GO2RTC=$(command -v "$GO2RTC") || die "GO2RTC names no program that can be run: $GO2RTC"
        is_go2rtc "$GO2RTC" || note "GO2RTC is not version $GO2RTC_VERSION: using it as you ask"
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
    local made
    mkdir -p "$GO2RTC_CACHE"
    made=$(mktemp -d "$GO2RTC_CACHE/making.XXXXXX")
    # Whole or not at all: another script may be doing the same.
    if (build_go2rtc "$made" || download_go2rtc "$made") && is_go2rtc "$made/go2rtc"; then
        mv -f "$made/go2rtc" "$1"
        clear_away "$made"
    else
        clear_away "$made"
        die "go2rtc $GO2RTC_VERSION could not be had, neither through Go nor as a release file" \
            "Get it from https://github.com/AlexxIT/go2rtc/releases/tag/v$GO2RTC_VERSION" \
            "and start again with GO2RTC=/path/to/go2rtc in the environment."
    fi
}

# Go makes what it downloads read-only.
clear_away() {
    chmod -R u+w "$1"
    rm -rf "$1"
}

# Whether a Go that can build it is here. From 1.21 on, Go gets itself a newer one where it needs it.
go_works() {
    local version
    version=$(go env GOVERSION 2>/dev/null) || return 1
    version=${version#go}
    at_least "${version%%[ -]*}" "$GO2RTC_NEEDS_GO" ||
        { at_least "$version" 1.21 && [[ $(go env GOTOOLCHAIN) != local ]]; }
}

# build_go2rtc FOLDER
build_go2rtc() {
    local version
    if ! go_works; then
        refresh_packages
        version=$(candidate golang-go)
        if have go || ! at_least "${version:-0}" "${GO2RTC_NEEDS_GO%.*}"; then
            return 1
        fi
        need certificates
        install_packages golang-go
        hash -r
        go_works || return 1
    fi
    say "Building go2rtc $GO2RTC_VERSION with $(go env GOVERSION) (once; about two minutes)"
    if ! GOBIN=$1 CGO_ENABLED=0 go install -trimpath -ldflags "-s -w" "$GO2RTC_MODULE@v$GO2RTC_VERSION" \
        >"$1/log" 2>&1; then
        # `go install` also asks for the list of all versions, which some proxies refuse; a module of our own does not.
        build_go2rtc_in_a_module "$1" >>"$1/log" 2>&1 || {
            note "Go could not build it:"
            tail -n 5 "$1/log" >&2
            return 1
        }
    fi
    go version -m "$1/go2rtc" | grep -qF "$GO2RTC_MODULE_SUM" || {
        note "what Go built is not the go2rtc $GO2RTC_VERSION that is known here (checksum)"
        return 1
    }
}

build_go2rtc_in_a_module() {
    mkdir -p "$1/module"
    cd "$1/module" || return
    printf '%s\n' 'module demo' "go $GO2RTC_NEEDS_GO" "require $GO2RTC_MODULE v$GO2RTC_VERSION" >go.mod
    CGO_ENABLED=0 go build -mod=mod -trimpath -ldflags "-s -w" -o "$1/go2rtc" "$GO2RTC_MODULE"
}

# download_go2rtc FOLDER
download_go2rtc() {
    local name sum
    read -r name sum < <(go2rtc_release "$(uname -m)") || {
        note "there is no release file of go2rtc with a known checksum for $(uname -m)"
        return 1
    }
    need curl certificates
    say "Getting $name $GO2RTC_VERSION"
    curl --proto '=https' -fL --retry 3 --connect-timeout 20 --progress-bar -o "$1/go2rtc" \
        "https://github.com/AlexxIT/go2rtc/releases/download/v$GO2RTC_VERSION/$name" || return 1
    sha256sum --quiet --check <<<"$sum  $1/go2rtc" || {
        note "$name is not the file that is known here (SHA-256): not used"
        return 1
    }
    chmod +x "$1/go2rtc"
}
