# shellcheck shell=bash
# What a cluster might leave behind, and that it leaves nothing.
# Needs say.sh, settings.sh, and $work, $node_cache and $programs_cache, folders.
# shellcheck disable=SC2154

# record_machine: what this machine's network is before.
record_machine() {
    ip -o link | awk -F': ' '{print "interface " $2}' | sed 's/@.*//' | sort >"$work/before"
    ip route show table all | sed 's/^/route /' | sort >>"$work/before"
}

# end_cluster: its first process, and with it all others, whatever they do.
end_cluster() {
    [[ -n $cluster_pid ]] || return 0
    kill -KILL "$cluster_pid" 2>/dev/null || true
    wait "$cluster_pid" 2>/dev/null || true
    cluster_pid=''
    within 10 no_processes || true
    within 10 remove_groups || true
}

# processes: of a cluster, by the program that they run or the control group that they are in.
processes() {
    local process
    for process in /proc/[0-9]*; do
        if [[ $(readlink "$process/exe" 2>/dev/null) == "$programs_cache"/* ]] ||
            grep -qs "/$CLUSTER/" "$process/cgroup"; then
            alive "${process#/proc/}" || continue
            printf 'process %s %s\n' "${process#/proc/}" "$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null | cut -c 1-80)"
        fi
    done
}

no_processes() {
    [[ -z $(processes) ]]
}

groups_left() {
    local at
    while read -r at; do
        [[ ! -d $at/$CLUSTER ]] || echo "$at/$CLUSTER"
    done < <(control_groups)
}

# remove_groups: also those that an earlier run had no time to remove, which would cost each kubelet seconds.
remove_groups() {
    local at
    while read -r at; do
        find "$at" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done < <(groups_left)
    [[ -z $(groups_left) ]]
}

# leftovers: one a line, nothing if all is as before.
leftovers() {
    processes
    groups_left | sed 's/^/control group /'
    awk -v a="$work/" -v b="$node_cache/" 'index($2, a) == 1 || index($2, b) == 1 {print "mount " $2}' /proc/mounts
    {
        ip -o link | awk -F': ' '{print "interface " $2}' | sed 's/@.*//'
        ip route show table all | sed 's/^/route /'
    } | sort | comm -13 "$work/before" -
}
