# shellcheck shell=bash
# Which drivers the programs load: the machine's, wherever it has them, or simulated ones. What it lacks to load its own
# comes from the packed folder.
# Needs say.sh, and $parts, $work, $simulated and $device.
# shellcheck disable=SC2034,SC2154

# Where containers and distributions of their own kind keep the driver.
readonly DRIVER_FOLDERS=(/usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu /usr/lib64 /usr/lib /usr/local/nvidia/lib64
    /run/opengl-driver/lib /usr/lib/wsl/lib)
readonly VENDOR_FOLDERS=(/etc/glvnd/egl_vendor.d /usr/share/glvnd/egl_vendor.d /usr/local/share/glvnd/egl_vendor.d
    /usr/local/nvidia/share/glvnd/egl_vendor.d /run/opengl-driver/share/glvnd/egl_vendor.d)

# use_libraries FOLDER: its libraries before all others.
use_libraries() {
    libraries=$1${libraries:+:$libraries}
    choose_commands
}

choose_commands() {
    local -a with
    with=(env "LD_LIBRARY_PATH=$libraries")
    encode=("${with[@]}" "$parts/mb-encode")
    probe=("${with[@]}" "$parts/gpu_probe")
    stage_times=("${with[@]}" "$parts/stage_times")
    check=("$parts/check_clip")
}

# lacks LIBRARY...: whether one of them cannot be loaded.
lacks() {
    [[ -n $("${probe[@]}" missing "$@" 2>/dev/null) ]]
}

# vendor_file FILE LIBRARY: has libEGL load this vendor.
vendor_file() {
    printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s"}}\n' "$2" >"$1"
    export __EGL_VENDOR_LIBRARY_FILENAMES=$1
}

# Sets $encode, $chosen, $probe, $stage_times and $check, which run the programs.
choose_drivers() {
    device_option=()
    [[ -z $device ]] || device_option=(--device "$device")
    libraries=${LD_LIBRARY_PATH:-}
    choose_commands
    # NVIDIA's EGL stands on them.
    if lacks libEGL.so.1 && [[ -f $parts/loaders/libEGL.so.1 ]]; then
        note "this machine has no libEGL: taking the one that was packed"
        use_libraries "$parts/loaders"
    fi
    if [[ -n $simulated ]]; then
        use_libraries "$parts/drivers"
        # Who says which GPU draws, says it of Mesa.
        if [[ -z ${MB_SIM_GL_DEVICE:-}${__EGL_VENDOR_LIBRARY_FILENAMES:-} ]]; then
            vendor_file "$work/10_sim.json" "$parts/drivers/libsim_egl.so"
            export MB_SIM_EGL_DEVICES=${MB_SIM_EGL_DEVICES:-0}
        fi
    else
        find_driver
    fi
    # With the machine's own encoder, also where a simulated one takes its place later.
    chosen=("${encode[@]}")
}

# The machine's own driver, where no loader would look for it.
find_driver() {
    local folder library
    local -a vendors=()
    for library in libcuda.so.1 libEGL_nvidia.so.0; do
        lacks $library || continue
        for folder in "${DRIVER_FOLDERS[@]}"; do
            [[ -e $folder/$library ]] || continue
            note "$library is in $folder"
            use_libraries "$folder"
            break
        done
    done
    [[ -z ${__EGL_VENDOR_LIBRARY_FILENAMES:-}${__EGL_VENDOR_LIBRARY_DIRS:-} ]] || return 0
    # Where libEGL looks by itself.
    ! compgen -G '/etc/glvnd/egl_vendor.d/*nvidia*.json' >/dev/null || return 0
    ! compgen -G '/usr/share/glvnd/egl_vendor.d/*nvidia*.json' >/dev/null || return 0
    lacks libEGL_nvidia.so.0 && return
    for folder in "${VENDOR_FOLDERS[@]}"; do
        mapfile -t -O "${#vendors[@]}" vendors < <(compgen -G "$folder/*nvidia*.json" || true)
    done
    if ((${#vendors[@]})); then
        note "NVIDIA's vendor file is ${vendors[0]}"
        export __EGL_VENDOR_LIBRARY_FILENAMES=${vendors[0]}
    else
        note "nothing makes NVIDIA's EGL known to libEGL: doing so for this check"
        vendor_file "$work/10_nvidia.json" libEGL_nvidia.so.0
    fi
}

# The vendor files that libEGL reads, one a line.
vendor_files() {
    if [[ -n ${__EGL_VENDOR_LIBRARY_FILENAMES:-} ]]; then
        tr : '\n' <<<"$__EGL_VENDOR_LIBRARY_FILENAMES"
        return
    fi
    local folder
    local -a folders=(/etc/glvnd/egl_vendor.d /usr/share/glvnd/egl_vendor.d)
    [[ -z ${__EGL_VENDOR_LIBRARY_DIRS:-} ]] || IFS=: read -r -a folders <<<"$__EGL_VENDOR_LIBRARY_DIRS"
    for folder in "${folders[@]}"; do
        compgen -G "$folder/*.json" || true
    done
}
