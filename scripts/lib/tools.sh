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
    local cached=$PROJECT_CACHE/geckodriver-$GECKODRIVER_VERSION
    GECKODRIVER=${GECKODRIVER:-$(command -v geckodriver || echo "$cached")}
    is_geckodriver || { GECKODRIVER=$cached && is_geckodriver; } || make_cached "$cached" build_geckodriver ||
        die "geckodriver $GECKODRIVER_VERSION could not be built" "Name one that is there: GECKODRIVER=/path/to/geckodriver"
    export GECKODRIVER
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
