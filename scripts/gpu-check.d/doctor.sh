# shellcheck shell=bash
# What the drivers say of themselves, and whether each of them works: on this rests everything else.
# Needs part.sh and drivers.sh.
# shellcheck disable=SC2034,SC2154

part_strings() {
    local file
    local -a lines
    kernel_says
    while read -r file; do
        [[ -n $file ]] || continue
        printf '\nwith %s alone\n' "$file"
        __EGL_VENDOR_LIBRARY_FILENAMES=$file measure "$(basename "$file")" strings ||
            printf 'it does not work: %s\n' "$(complaint "$work/strings.log")"
    done < <(vendor_files)
    printf '\nall together\n'
    measure all strings || fails "EGL says nothing: $(complaint "$work/strings.log")"
    mapfile -t lines < <(vendor_files)
    passes "${#lines[@]} EGL vendors, by themselves and together"
}

# The driver's version and GPUs, by the kernel and by nvidia-smi.
kernel_says() {
    local line
    if [[ -r /proc/driver/nvidia/version ]]; then
        read -r line </proc/driver/nvidia/version
        echo "$line"
        figure kernel_module "$(json_text "$line")"
    else
        echo "there is no /proc/driver/nvidia/version"
    fi
    ls -ld /dev/nvidia* /dev/dri/* /dev/dxg 2>/dev/null || true
    line=$(nvidia_smi --query-gpu=index,name,driver_version,persistence_mode,pstate,memory.total,mig.mode.current \
        --format=csv,noheader) || line='nvidia-smi does not answer'
    echo "$line"
    figure nvidia_smi "$(json_text "$line")"
}

# nvidia_smi ARGUMENT...: it may hang where the driver does.
nvidia_smi() {
    have nvidia-smi && timeout -k 1 10 nvidia-smi "$@" 2>/dev/null
}

part_doctor() {
    "${encode[@]}" doctor --json --timeout 20 "${device_option[@]}" >"$work/doctor.json" || true
    grep -q '"checks"' "$work/doctor.json" || fails "mb-encode doctor made no report: $(complaint "$work/doctor.log")"
    figure report "$(tr -d '\n' <"$work/doctor.json")"
    local check state name found remedy
    while read -r check; do
        state=$(told "$check" state) name=$(told "$check" name) found=$(told "$check" found) remedy=$(told "$check" remedy)
        printf '%-4s  %-17s  %s\n' "$state" "$name" "$found"
        [[ -z $remedy ]] || printf '%25s%s\n' '' "-> $remedy"
    done < <(checks)
    look_for_failures
    [[ -z $no_way ]] || fails "$no_way"
    [[ -z $nvenc || -n $no_chip ]] || fails "everything works up to the encoder, and that does not ($nvenc)"
    # What is no step on the way, such as pictures from host memory.
    while read -r check; do
        [[ $(told "$check" state) == FAIL ]] || continue
        [[ -n $no_chip && $check == nvenc-* ]] || fails "$(told "$check" name): $(told "$check" found)"
    done < <(checks)
    if [[ -n $nvenc ]]; then
        passes "everything works up to the encoder, and this GPU has none ($nvenc)"
    fi
    passes "$(told interop found)"
}

# The names of all checks, one a line.
checks() {
    sed -n 's/.*"check": *"\([^"]*\)".*/\1/p' "$work/doctor.json"
}

# told CHECK KEY: what the doctor says about one check.
told() {
    told_by doctor.json "$@"
}

# told_by FILE CHECK KEY: the same of another report. Each check is on a line of its own.
told_by() {
    sed -n "/\"check\": *\"$2\"/s/.*\"$3\": *\"\(\([^\"\\\\]\|\\\\.\)*\)\".*/\1/p" "$work/$1" |
        sed 's/\\n/ /g; s/\\\(.\)/\1/g'
}

works() {
    [[ $(told "$1" state) == @(OK|WARN) ]]
}

# Sets $no_way to why there is nothing to check, and $nvenc to why NVENC does not work, with $no_chip where that is because
# this GPU has none.
look_for_failures() {
    local each
    no_way='' nvenc='' no_chip=''
    if ! works nvidia-driver; then
        no_way="no NVIDIA GPU to check: $(told nvidia-driver found)"
        return
    fi
    for each in cuda-devices gl-renderer gl-on-cuda interop; do
        works "$each" && continue
        no_way="the way from GL to CUDA does not work ($(told "$each" name)): $(told "$each" found)"
        return
    done
    for each in nvenc-library nvenc-session nvenc-h264 nvenc-picture; do
        works "$each" && continue
        nvenc="$(told "$each" name): $(told "$each" found)"
        # The statuses of a GPU that has none.
        [[ $nvenc != *@(NO_ENCODE_DEVICE|UNSUPPORTED_DEVICE)* ]] || no_chip=yes
        return
    done
}

# read_findings: takes over what the part found, and puts a simulated encoder in the place of one that does not work.
read_findings() {
    if [[ ! -s $work/doctor.result ]] || ! grep -q '"checks"' "$work/doctor.json"; then
        no_way="mb-encode doctor came to no end: ${failures[-1]:-}"
        return
    fi
    look_for_failures
    gpu=$(told gl-on-cuda found)
    if [[ -n $no_way ]]; then
        say_remedy
    elif [[ -n $nvenc ]]; then
        note "NVENC does not work ($nvenc): a simulated encoder goes on in its place"
        [[ -n $simulated ]] || use_libraries "$parts/encoder"
        # The simulated drivers did as they were told.
        unset MB_SIM_FAULT
    fi
}

say_remedy() {
    local each remedy=''
    for each in nvidia-driver cuda-devices gl-renderer gl-on-cuda interop; do
        works "$each" && continue
        remedy=$(told "$each" remedy)
        break
    done
    say "What to do: ${remedy:-install NVIDIA driver 530.41.03 or newer where there is a GPU; in a container start it with\
 --gpus all and NVIDIA_DRIVER_CAPABILITIES=compute,video,graphics,utility}"
}

part_choice() {
    measure devices choice || fails "$(complaint "$work/choice.log")"
    passes "each of $(grep -c '^--device' "$work/choice.txt" || true) is found by its number"
}
