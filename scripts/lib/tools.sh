# shellcheck shell=bash
# What packaging and checking need beyond Debian's packages, each of a pinned version and kept in the cache.
# Needs say.sh, packages.sh and go2rtc.sh.

# 3.8.0 promises Rust 1.85 and needs a later one.
CARGO_DEB_VERSION=3.6.3

ACTIONLINT_MODULE=github.com/rhysd/actionlint
ACTIONLINT_VERSION=1.7.7
ACTIONLINT_MODULE_SUM=h1:0KgkoNTrYY7vmOCs9BW2AHxLvvpoY9nEUzgBHiPUr0k=
# The go line of its go.mod.
ACTIONLINT_NEEDS_GO=1.18

# is_tool PROGRAM VERSION: whether it runs and has that version.
is_tool() {
    "$1" --version 2>/dev/null | head -n 1 | grep -xE "(cargo-deb |v)$2" >/dev/null
}

# find_or_build VARIABLE PROGRAM CACHED: sets and exports VARIABLE, to the PROGRAM that it names already, the one on PATH or
# CACHED, whichever is_PROGRAM takes; else build_PROGRAM makes CACHED.
find_or_build() {
    local -n found=$1
    found=${found:-$(command -v "$2" || echo "$3")}
    "is_$2" || { found=$3 && "is_$2"; } || make_cached "$3" "build_$2" || return
    export "${1?}"
}

# need_cargo_deb: sets CARGO_DEB.
need_cargo_deb() {
    # shellcheck disable=SC2034 # For whoever called.
    CARGO_DEB=$PROJECT_CACHE/cargo-deb-$CARGO_DEB_VERSION
    is_tool "$CARGO_DEB" $CARGO_DEB_VERSION || make_cached "$CARGO_DEB" build_cargo_deb ||
        die "cargo-deb $CARGO_DEB_VERSION could not be built"
}

# build_cargo_deb FOLDER
build_cargo_deb() {
    say "Building cargo-deb $CARGO_DEB_VERSION (once; about a minute)"
    cargo install --quiet --locked --no-track --root "$1" --target-dir "$1/target" "cargo-deb@$CARGO_DEB_VERSION" >&2 &&
        mv "$1/bin/cargo-deb" "$1/program"
}

# 0.13.1 is the newest that Rust 1.85 builds.
CARGO_FUZZ_VERSION=0.13.1

# need_cargo_fuzz: sets CARGO_FUZZ. It wants a nightly compiler, which rustup brings.
need_cargo_fuzz() {
    have rustup || die "fuzzing needs a nightly Rust, which comes with rustup" "Install it: https://rustup.rs"
    if ! rustup run nightly rustc --version >/dev/null 2>&1; then
        say "Getting a nightly Rust (rustup, minimal)"
        rustup toolchain install nightly --profile minimal --no-self-update >&2 || die "rustup could not get a nightly Rust"
    fi
    # shellcheck disable=SC2034 # For whoever called.
    CARGO_FUZZ=$PROJECT_CACHE/cargo-fuzz-$CARGO_FUZZ_VERSION
    [[ $("$CARGO_FUZZ" --version 2>/dev/null) == "cargo-fuzz $CARGO_FUZZ_VERSION" ]] ||
        make_cached "$CARGO_FUZZ" build_cargo_fuzz || die "cargo-fuzz $CARGO_FUZZ_VERSION could not be built"
}

# build_cargo_fuzz FOLDER
build_cargo_fuzz() {
    say "Building cargo-fuzz $CARGO_FUZZ_VERSION (once; about a minute)"
    cargo install --quiet --locked --no-track --root "$1" --target-dir "$1/target" "cargo-fuzz@$CARGO_FUZZ_VERSION" >&2 &&
        mv "$1/bin/cargo-fuzz" "$1/program"
}

# As tests/support/browser.rs names it.
GECKODRIVER_VERSION=0.36.0

# need_geckodriver: sets and exports GECKODRIVER, which drives Firefox.
need_geckodriver() {
    find_or_build GECKODRIVER geckodriver "$PROJECT_CACHE/geckodriver-$GECKODRIVER_VERSION" ||
        die "geckodriver $GECKODRIVER_VERSION could not be built" "Name one that is there: GECKODRIVER=/path/to/geckodriver"
}

is_geckodriver() {
    [[ $("$GECKODRIVER" --version 2>/dev/null) == "geckodriver "* ]]
}

# build_geckodriver FOLDER
build_geckodriver() {
    say "Building geckodriver $GECKODRIVER_VERSION (once; about two minutes)"
    cargo install --quiet --locked --no-track --root "$1" --target-dir "$1/target" \
        "geckodriver@$GECKODRIVER_VERSION" >&2 && mv "$1/bin/geckodriver" "$1/program"
}

# need_actionlint: sets ACTIONLINT.
need_actionlint() {
    # shellcheck disable=SC2034 # For whoever called.
    ACTIONLINT=$PROJECT_CACHE/actionlint-$ACTIONLINT_VERSION
    is_tool "$ACTIONLINT" $ACTIONLINT_VERSION || make_cached "$ACTIONLINT" build_actionlint ||
        die "actionlint $ACTIONLINT_VERSION could not be built" "It needs Go $ACTIONLINT_NEEDS_GO or newer."
}

# build_actionlint FOLDER
build_actionlint() {
    build_with_go $ACTIONLINT_NEEDS_GO $ACTIONLINT_MODULE $ACTIONLINT_VERSION $ACTIONLINT_MODULE/cmd/actionlint \
        $ACTIONLINT_MODULE_SUM "$1"
}

# What kubectl 1.34 has within it.
KUSTOMIZE_MODULE=sigs.k8s.io/kustomize/kustomize/v5
KUSTOMIZE_VERSION=5.7.1
KUSTOMIZE_MODULE_SUM=h1:sYJsarwy/SDJfjjLMUqwFDGPwzUtMOQ1i1Ed49+XSbw=
# The go line of its go.mod.
KUSTOMIZE_NEEDS_GO=1.22.7

# need_kustomize: sets and exports KUSTOMIZE.
need_kustomize() {
    find_or_build KUSTOMIZE kustomize "$PROJECT_CACHE/kustomize-$KUSTOMIZE_VERSION" ||
        die "kustomize $KUSTOMIZE_VERSION could not be built" "It needs Go $KUSTOMIZE_NEEDS_GO or newer." \
            "Name one that is there: KUSTOMIZE=/path/to/kustomize"
}

is_kustomize() {
    [[ $("$KUSTOMIZE" version 2>/dev/null) == "v$KUSTOMIZE_VERSION" ]]
}

# build_kustomize FOLDER
build_kustomize() {
    build_with_go $KUSTOMIZE_NEEDS_GO $KUSTOMIZE_MODULE $KUSTOMIZE_VERSION $KUSTOMIZE_MODULE $KUSTOMIZE_MODULE_SUM "$1"
}

MEDIAMTX_MODULE=github.com/bluenviron/mediamtx
MEDIAMTX_VERSION=1.12.3
MEDIAMTX_MODULE_SUM=h1:NfHiMm6UQKQZEVhJhypl8Ccp+i8ZGt/IASqB2bSA7Gw=
# The go line of its go.mod.
MEDIAMTX_NEEDS_GO=1.24.0

# need_mediamtx: sets and exports MEDIAMTX.
need_mediamtx() {
    find_or_build MEDIAMTX mediamtx "$PROJECT_CACHE/mediamtx-$MEDIAMTX_VERSION" ||
        die "MediaMTX $MEDIAMTX_VERSION could not be built" "It needs Go $MEDIAMTX_NEEDS_GO or newer." \
            "Name one that is there: MEDIAMTX=/path/to/mediamtx"
}

is_mediamtx() {
    [[ $("$MEDIAMTX" --version 2>/dev/null) == "v$MEDIAMTX_VERSION" ]]
}

# build_mediamtx FOLDER
build_mediamtx() {
    local module=$1/module folder sum
    find_go $MEDIAMTX_NEEDS_GO || return
    say "Building MediaMTX $MEDIAMTX_VERSION with $(go env GOVERSION) (once; about a minute)"
    # Its module has no place for what `go install` misses: two files that its own release makes.
    go mod download -json "$MEDIAMTX_MODULE@v$MEDIAMTX_VERSION" >"$1/module.json" || return
    sum=$(sed -n 's/^\t"Sum": "\(.*\)",*$/\1/p' "$1/module.json")
    [[ $sum == "$MEDIAMTX_MODULE_SUM" ]] || {
        note "the module of MediaMTX $MEDIAMTX_VERSION has another checksum than expected: $sum"
        return 1
    }
    folder=$(sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p' "$1/module.json")
    cp -r "$folder" "$module" && chmod -R u+w "$module" || return
    echo "v$MEDIAMTX_VERSION" >"$module/internal/core/VERSION"
    # The player of its HLS page, which nothing here opens.
    : >"$module/internal/servers/hls/hls.min.js"
    (cd "$module" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$1/program" .) >"$1/log" 2>&1 || {
        note "Go could not build it:"
        tail -n 5 "$1/log" >&2
        return 1
    }
}

# need_prometheus: sets and exports PROMETHEUS, a folder with prometheus and promtool. Debian's package is unpacked and not
# installed, for it would start one.
need_prometheus() {
    local cached=$PROJECT_CACHE/prometheus
    if [[ -z ${PROMETHEUS:-} ]]; then
        PROMETHEUS=$cached
        ! have prometheus || ! have promtool || PROMETHEUS=$(dirname "$(command -v prometheus)")
    fi
    is_prometheus || { PROMETHEUS=$cached && is_prometheus; } || make_cached "$cached" unpack_prometheus ||
        die "Debian's package prometheus could not be unpacked" \
            "Name a folder with prometheus and promtool: PROMETHEUS=/path/to/folder"
    export PROMETHEUS
}

is_prometheus() {
    "$PROMETHEUS/prometheus" --version >/dev/null 2>&1 && "$PROMETHEUS/promtool" --version >/dev/null 2>&1
}

# unpack_prometheus FOLDER
unpack_prometheus() {
    have apt-get || return
    refresh_packages
    say "Getting Prometheus $(candidate prometheus)"
    # apt checks what it gets.
    (cd "$1" && apt-get download -qq -o APT::Sandbox::User=root prometheus >"$1/log" 2>&1) || {
        tail -n 5 "$1/log" >&2
        return 1
    }
    dpkg-deb --extract "$1"/prometheus_*.deb "$1/package" && mkdir "$1/program" &&
        mv "$1/package/usr/bin/prometheus" "$1/package/usr/bin/promtool" "$1/program/"
}
