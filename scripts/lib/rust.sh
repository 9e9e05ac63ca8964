# shellcheck shell=bash
# A Rust that is new enough: the installed one, Debian's, or rustup's, in that order.
# Needs say.sh and packages.sh, and $root, the repository.
# shellcheck disable=SC2154

rust_wanted() {
    sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml"
}

# Whether cargo and rustc are here and new enough.
rust_works() {
    local version
    version=$(rustc --version 2>/dev/null) && cargo --version >/dev/null 2>&1 || return 1
    version=${version#rustc }
    at_least "${version%%[ -]*}" "$(rust_wanted)"
}

# A Rust that builds this, on PATH.
need_rust() {
    local cargo_home=${CARGO_HOME:-$HOME/.cargo} wanted
    rust_works && return
    # Where rustup puts it, which a shell from before does not have on its PATH.
    export PATH="$cargo_home/bin:$PATH"
    rust_works && return

    wanted=$(rust_wanted)
    refresh_packages
    if at_least "$(candidate cargo)" "$wanted" && ! have rustup; then
        install_packages cargo rustc
    else
        have rustup || [[ -z $(candidate rustup) ]] || install_packages rustup
        have rustup || install_rustup
        say "Getting Rust (rustup, stable, minimal)"
        rustup toolchain install stable --profile minimal --no-self-update >&2 ||
            die "rustup could not get Rust" "Install Rust $wanted or newer by hand: https://rustup.rs"
        export RUSTUP_TOOLCHAIN=stable
    fi
    hash -r
    rust_works || die "Rust $wanted or newer is needed; found: $(rustc --version 2>&1 | head -n 1)" \
        "Install it by hand: https://rustup.rs"
}

install_rustup() {
    need curl certificates
    say "Getting rustup"
    curl --proto '=https' --tlsv1.2 -fsS --retry 3 https://sh.rustup.rs |
        sh -s -- -y --quiet --profile minimal --no-modify-path --default-toolchain none >&2 ||
        die "cannot download https://sh.rustup.rs" \
            "Install Rust $(rust_wanted) or newer by hand (https://rustup.rs), then start again."
    hash -r
}

# The rustfmt and clippy that go with it.
need_rust_checks() {
    need_rust
    if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then
        return
    fi
    if have rustup; then
        say "Getting rustfmt and clippy"
        rustup component add rustfmt clippy >&2 || die "rustup could not get rustfmt and clippy"
    else
        install_packages rustfmt rust-clippy
    fi
}

# build_release [CARGO-OPTION...]
build_release() {
    say "Building mb-encode (release; the first time takes minutes)"
    (cd "$root" && cargo build --release --locked "$@") >&2 || die "the build failed: see above"
}

# release PATH: where a release build puts it.
release() {
    printf '%s/release/%s\n' "$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")" "$1"
}
