# shellcheck shell=bash
# What the machine gives and what it loses: memory, rights, libraries, and messages of its kernel.
# Needs part.sh and doctor.sh.
# shellcheck disable=SC2154

# Nobody's, by convention.
readonly NOBODY=65534

part_memory() {
    local stream process until=$((SECONDS + 25)) key value unit before after
    before=$(memory_of_gpu)
    "${encode[@]}" --encoder nvenc "${device_option[@]}" --stdout --scene testcard --width 1920 --height 1080 --stats 1 \
        --log-level info >/dev/null 2>"$work/memory.stream" &
    stream=$!
    beside+=("$stream")
    # It tells of itself once a second.
    until grep -q ' fps, ' "$work/memory.stream"; do
        kill -0 "$stream" 2>/dev/null || fails "the stream ended: $(complaint "$work/memory.stream")"
        ((SECONDS < until)) || fails "the stream does not begin: $(last_words "$work/memory.stream")"
        sleep 0.1
    done
    while read -r key value unit; do
        case $key in
            VmHWM: | VmRSS: | RssAnon:)
                echo "${key%:} of the process: $value $unit"
                figure "${key%:}_kib" "$value"
                ;;
        esac
    done <"/proc/$stream/status"
    after=$(memory_of_gpu)
    process=$(memory_on_gpu "$stream")
    rm -f "$work/memory.stream"
    if [[ -z $before || -z $after ]]; then
        echo "memory of the GPU: nvidia-smi does not say"
        passes "of the process; of the GPU nobody says"
    fi
    echo "memory of the GPU: $before MiB before, $after MiB with one stream of 1920x1080${process:+, $process MiB of it its own}"
    figure gpu_before_mib "$before"
    figure gpu_with_stream_mib "$after"
    [[ -z $process ]] || figure gpu_process_mib "$process"
    passes "$((after - before)) MiB of the GPU for one stream of 1920x1080"
}

# memory_of_gpu: MiB in use; nothing where nvidia-smi does not say.
memory_of_gpu() {
    nvidia_smi "--id=${device:-0}" --query-gpu=memory.used --format=csv,noheader,nounits | grep -xE '[0-9]+' || true
}

# memory_on_gpu PID: MiB of a process. In a container, other numbers are known.
memory_on_gpu() {
    nvidia_smi --query-compute-apps=pid,used_memory --format=csv,noheader,nounits | sed -n "s/^$1, *\([0-9]*\)$/\1/p" || true
}

part_user() {
    local folder
    local -a rights
    ((EUID == 0)) || skips "this is no root, and ran all of it without rights"
    have setpriv || skips "there is no setpriv, which would run it as another user"
    rights=(setpriv "--reuid=$NOBODY" "--regid=$NOBODY" --clear-groups --no-new-privs)
    # What lies in somebody's home, say, nobody else can run.
    "${rights[@]}" test -x /tmp || skips "another user cannot even get into /tmp"
    folder=$(mktemp -d /tmp/gpu-check.XXXXXX)
    # shellcheck disable=SC2064 # This folder, whatever the variable becomes.
    trap "rm -rf '$folder'" EXIT
    cp -L "$parts/mb-encode" "$folder"
    cp -RL "$parts"/{encoder,drivers} "$folder"
    [[ ! -d $parts/loaders ]] || cp -R "$parts/loaders" "$folder"
    if [[ -f ${__EGL_VENDOR_LIBRARY_FILENAMES:-} ]]; then
        sed "s|$parts|$folder|g" "$__EGL_VENDOR_LIBRARY_FILENAMES" >"$folder/vendor.json"
        export __EGL_VENDOR_LIBRARY_FILENAMES=$folder/vendor.json
    fi
    chmod -R go+rX "$folder"
    HOME=/nonexistent LD_LIBRARY_PATH=${libraries//$parts/$folder} "${rights[@]}" "$folder/mb-encode" doctor --json \
        --timeout 20 "${device_option[@]}" >"$work/user.json" || true
    same_as_root user.json
    passes "user $NOBODY, in no group, has all that root has"
}

part_libgl() {
    local folder=$work/without-libgl name
    mkdir -p "$folder"
    # What is no library hides the one behind it.
    for name in libGL.so.1 libGL.so libGLX.so.0 libOpenGL.so.0; do
        echo "this is no library" >"$folder/$name"
    done
    LD_LIBRARY_PATH=$folder${libraries:+:$libraries} "$parts/mb-encode" doctor --json --timeout 20 \
        "${device_option[@]}" >"$work/libgl.json" || true
    rm -rf "$folder"
    same_as_root libgl.json
    passes "libEGL is enough"
}

# same_as_root FILE: fails where the doctor finds less than it did at first.
same_as_root() {
    local each first
    grep -q '"checks"' "$work/$1" || fails "mb-encode doctor made no report: $(complaint "$work/$part.log")"
    for each in nvidia-devices nvidia-driver cuda-devices gl-renderer gl-on-cuda interop nvenc-session nvenc-picture; do
        first=$(told "$each" state)
        [[ $first == @(OK|WARN) ]] || continue
        if [[ $(told_by "$1" "$each" state) != @(OK|WARN) ]]; then
            fails "$(told_by "$1" "$each" name): $(told_by "$1" "$each" found)"
        fi
        echo "$(told "$each" name): $(told_by "$1" "$each" found)"
    done
    rm -f "$work/$1"
}

# Lines of the kernel about the GPU that are no mere greetings.
kernel_complaints() {
    timeout -k 1 10 dmesg 2>/dev/null | grep -E 'NVRM: .*(Xid|[Ee]rror|[Ff]ailed|fallen off)|nvidia-uvm: .*[Ee]rror' || true
}

part_kernel() {
    local after
    timeout -k 1 10 dmesg >/dev/null 2>&1 || skips "the kernel's messages cannot be read here"
    after=$(kernel_complaints)
    figure messages "$(grep -c . <<<"$after" || true)"
    [[ -z $after ]] || tail -n 40 <<<"$after"
    # Only what came while all of this ran.
    after=$(comm -13 <(sort -u "$work/kernel.before") <(sort -u <<<"$after") | grep . | tail -n 1 || true)
    [[ -z $after ]] || fails "the kernel complained meanwhile: $after"
    passes "nothing new about the GPU"
}
