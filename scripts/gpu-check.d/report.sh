# shellcheck shell=bash
# What was found: a report for people on standard output, its last line the verdict, and the same as JSON.
# Needs say.sh, and $work, $json, $simulated and $parts.
# shellcheck disable=SC2034,SC2154

begin_report() {
    failures=() passed=0 part_objects=() no_way='' nvenc='' no_chip='' gpu=''
    : >"$work/report.txt"
    show "mb-encode's check of an NVIDIA GPU, $(date -u '+%Y-%m-%d %H:%M:%S UTC')"
}

# show LINE...: in the report.
show() {
    printf '%s\n' "$@" | tee -a "$work/report.txt"
}

# report_part NAME TITLE STATE FOUND BEGAN
report_part() {
    local name=$1 title=$2 state=$3 found=$4 took text figures
    took=$(awk -v began="$5" -v now="$EPOCHREALTIME" 'BEGIN { printf "%.1f", now - began }')
    {
        printf '\n%s: %s\n\n' "$name" "$title"
        # Without blank lines at its head.
        sed '/./,$!d' "$work/$name.txt" 2>/dev/null || true
        text=ok
        [[ $state == ok ]] || text=${state^^}
        printf '\n%s %s (%s s): %s\n' "$name" "$text" "$took" "$found"
    } | tee -a "$work/report.txt"
    case $state in
        ok) passed=$((passed + 1)) ;;
        failed)
            failures+=("$name: $found")
            [[ ! -s $work/$name.log ]] || tail -n 40 "$work/$name.log" >&2
            ;;
    esac
    figures=$(paste -s -d , "$work/$name.figures" 2>/dev/null || true)
    part_objects+=("{\"part\": $(json_text "$name"), \"state\": $(json_text "$state"), \"found\": $(json_text "$found"),\
 \"seconds\": $took, \"figures\": {$figures}}")
}

# json_text TEXT: as a string of JSON. What is no letter of ASCII becomes a question mark.
json_text() {
    local text=$1
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//$'\n'/ }
    text=${text//$'\t'/ }
    printf '"%s"' "${text//[![:print:]]/?}"
}

# The verdict, in the report and as JSON, and the end.
end_report() {
    local verdict code=1 about='' all
    all=$((passed + ${#failures[@]}))
    [[ -z $simulated ]] || about=' (CUDA and NVENC were simulated: this says nothing of a GPU)'
    if [[ -n $no_way ]]; then
        verdict=$no_way
    elif ((${#failures[@]})); then
        verdict="${#failures[@]} of $all parts failed: $(joined "${failures[@]}")"
    elif [[ -z $nvenc ]]; then
        verdict="everything works, NVENC too: $gpu" code=0
    else
        verdict="everything works up to the encoder, which this GPU does not have ($nvenc): $gpu" code=0
    fi
    [[ $only == ' ' ]] || about+=" (of all parts only:$only)"
    write_json "$verdict$about" "$code"
    show '' "verdict: $verdict$about"
    exit "$code"
}

# joined TEXT...: with semicolons between them.
joined() {
    printf '%s' "$1"
    shift
    (($# == 0)) || printf '; %s' "$@"
}

# write_json VERDICT CODE
write_json() {
    local version works=false is_simulated=false each
    version=$("$parts/mb-encode" --version 2>/dev/null) || true
    (($2 != 0)) || works=true
    [[ -z $simulated ]] || is_simulated=true
    {
        printf '{\n  "version": %s,\n' "$(json_text "${version##* }")"
        printf '  "verdict": %s,\n  "works": %s,\n  "simulated": %s,\n' "$(json_text "$1")" "$works" "$is_simulated"
        printf '  "gpu": %s,\n  "no_nvenc": %s,\n' "$(json_text "$gpu")" "$(json_text "$nvenc")"
        printf '  "kernel": %s,\n  "cpus": %d,\n' "$(json_text "$(uname -srm)")" "$(nproc)"
        printf '  "seconds": %d,\n  "parts": [' "$SECONDS"
        each=''
        ((${#part_objects[@]} == 0)) || each=$(printf ',\n    %s' "${part_objects[@]}")
        printf '%s\n  ]\n}\n' "${each#,}"
    } >"$work/gpu-check.json"
    [[ -z $json ]] || cp "$work/gpu-check.json" "$json"
}
