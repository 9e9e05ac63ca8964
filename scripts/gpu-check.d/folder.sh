# shellcheck shell=bash
# The folder that holds everything that a check needs: made here, and looked at where it is used.
# Needs say.sh, and $here, the folder of this script.
# shellcheck disable=SC2154

# Where it lies, there are the programs.
readonly FIRST_FILE=mb-encode
readonly FOLDER_FILES=("$FIRST_FILE" gpu_probe stage_times check_clip busy.glsl encoder/libnvidia-encode.so.1
    drivers/libcuda.so.1 drivers/libnvidia-encode.so.1 drivers/libsim_egl.so)
readonly EXAMPLES=(gpu_probe stage_times check_clip)

# With these a machine has EGL, if it has a driver for it.
readonly LOADER_PACKAGES=(libegl1 libglvnd0 libopengl0 libgl1 libglx0)

# build_folder FOLDER: the programs and the simulated drivers.
build_folder() {
    local each root
    local -a examples=()
    root=$(cd "$here/.." && pwd)
    # shellcheck source-path=SCRIPTDIR source=lib/packages.sh
    source "$here/lib/packages.sh"
    # shellcheck source-path=SCRIPTDIR source=lib/rust.sh
    source "$here/lib/rust.sh"
    # shellcheck source-path=SCRIPTDIR source=lib/simulated.sh
    source "$here/lib/simulated.sh"
    need_to_build
    need egl
    need_rust
    for each in "${EXAMPLES[@]}"; do
        examples+=(--example "$each")
    done
    build_release --bin mb-encode "${examples[@]}"
    build_simulated
    mkdir -p "$1"
    cp "$(release mb-encode)" "$1"
    for each in "${EXAMPLES[@]}"; do
        cp "$(release "examples/$each")" "$1"
    done
    cp "$root/examples/gpu_probe/busy.glsl" "$1"
    simulated_encoder "$1/encoder"
    simulated_drivers "$1/drivers"
    simulated_vendor "$1/drivers"
}

# pack_folder FOLDER: everything that a machine without compilers needs, this script among it.
pack_folder() {
    local folder
    [[ ! -f $here/$FIRST_FILE ]] || wrong_use "--pack packs where the source is, and this is a packed folder"
    mkdir -p "$1"
    folder=$(cd "$1" && pwd)
    build_folder "$folder"
    ! have strip || strip --strip-unneeded "$folder"/{"$FIRST_FILE",gpu_probe,stage_times,check_clip}
    mkdir -p "$folder/lib" "$folder/gpu-check.d"
    cp "$here/gpu-check" "$folder"
    cp "$here/lib/say.sh" "$folder/lib"
    cp "$here"/gpu-check.d/*.sh "$folder/gpu-check.d"
    get_loaders "$folder/loaders"
    say "Everything is in $folder ($(du -sh "$folder" | cut -f 1)): copy it there, and run gpu-check in it"
    ! have objdump || note "needs glibc $(objdump -T "$folder/$FIRST_FILE" "$folder/gpu_probe" | grep -o 'GLIBC_[0-9.]*' |
        sort -Vu | tail -n 1 | sed 's/GLIBC_//') or newer"
}

# get_loaders FOLDER: libEGL and its company, for machines that have a driver and nobody who loads it.
get_loaders() {
    local download
    rm -rf "$1"
    download=$(mktemp -d)
    mkdir -p "$1"
    # apt checks what it gets.
    if (cd "$download" && apt-get download -qq -o APT::Sandbox::User=root "${LOADER_PACKAGES[@]}" >log 2>&1 &&
        for each in *.deb; do dpkg-deb --extract "$each" files; done >>log 2>&1); then
        find "$download/files" -name 'lib*.so*' -exec cp -a {} "$1" \;
        mkdir "$1/copyright"
        cp "$download"/files/usr/share/doc/libglvnd0/copyright "$1/copyright/libglvnd" 2>/dev/null || true
        note "with EGL's loaders, for a machine that has none"
    else
        note "without EGL's loaders, which a machine with a driver for EGL mostly has: $(tail -n 1 "$download/log" 2>&1)"
    fi
    rm -rf "$download"
}

# Whether everything is in $parts, and runs on this machine.
check_folder() {
    local each said
    for each in "${FOLDER_FILES[@]}"; do
        [[ -f $parts/$each ]] ||
            die "$parts lacks $each" "Make it where there are compilers: scripts/gpu-check --pack DIR"
    done
    said=$("$parts/mb-encode" --version 2>&1) || die "what is in $parts does not run here: $said" \
        "Make it on a machine like this one, with a C library that is not newer: scripts/gpu-check --pack DIR"
    note "$said"
}
