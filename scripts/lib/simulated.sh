# shellcheck shell=bash
# Builds the simulated drivers (tests/sim-*) and lays them out as folders for LD_LIBRARY_PATH. For measuring and tests only.
# Needs say.sh and rust.sh, and $root, the repository.
# shellcheck disable=SC2154

build_simulated() {
    say "Building the simulated drivers"
    (cd "$root" && cargo build --release --locked --quiet -p sim-cuda -p sim-egl -p sim-nvenc -p sim-gl) >&2 ||
        die "the build of the simulated drivers failed: see above"
}

# simulated_encoder FOLDER: libnvidia-encode alone, beside whatever CUDA the machine has.
simulated_encoder() {
    mkdir -p "$1"
    cp "$(release libsim_nvenc.so)" "$1/libnvidia-encode.so.1"
}

# simulated_drivers FOLDER: CUDA and the encoder.
simulated_drivers() {
    simulated_encoder "$1"
    cp "$(release libsim_cuda.so)" "$1/libcuda.so.1"
    # Some look for the unversioned name first.
    ln -sf libcuda.so.1 "$1/libcuda.so"
}

# simulated_vendor FOLDER: an EGL vendor with simulated GPUs, for a vendor file that names it.
simulated_vendor() {
    mkdir -p "$1"
    cp "$(release libsim_egl.so)" "$1"
}

# simulated_machine FOLDER: CUDA, the encoder, and a GL that draws nothing.
simulated_machine() {
    simulated_drivers "$1"
    cp "$(release libsim_gl.so)" "$1/libEGL.so.1"
}
