#!/usr/bin/env bash
# The machine that the cluster is on: the first process of network, mount and pid namespaces of their own, so that all of it
# ends with this. Brings the cluster up, and hands over to the command it is given.   inside.sh COMMAND...
# shellcheck disable=SC2154 # What comes with the environment.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib/say.sh
source "$here/../lib/say.sh"
# shellcheck source=scripts/cluster-test.d/settings.sh
source "$here/settings.sh"
# shellcheck source=scripts/cluster-test.d/certificates.sh
source "$here/certificates.sh"

began=$(date +%s.%N)
seconds() {
    printf '%.1f' "$(bc <<<"$(date +%s.%N) - $began")"
}

# Without which a cluster says nothing of why it does not come up.
last_words() {
    local log
    for log in "$work"/log/*.log "$work"/log/*/*.log; do
        [[ -s $log ]] || continue
        note "the end of ${log#"$work"/log/}:"
        tail -n 4 "$log" | cut -c 1-400 >&2
    done
}

make_network() {
    ip link set lo up
    # The machine's own packet filter stays out of what passes from node to node.
    ip link add cluster type bridge nf_call_iptables 0 nf_call_ip6tables 0
    ip addr add "$MACHINE/24" dev cluster
    ip link set cluster up
}

start_control_plane() {
    setsid unshare --mount --pid --fork --kill-child --mount-proc "$here/control_plane.sh" \
        >"$work/log/control-plane.log" 2>&1 </dev/null &
    echo $! >"$work/control-plane.pid"
}

# Whether nothing is to be waited for: the nodes are ready, or one has ended.
nodes_settled() {
    local n
    for ((n = 1; n <= NODES; n++)); do
        alive "$(<"$work/node-$n.pid")" || return 0
    done
    ready_nodes
}

ready_nodes() {
    [[ $(kubectl get nodes --no-headers | awk '$2 == "Ready"' | wc -l) -ge $NODES ]]
}

bring_up() {
    local n
    mkdir -p "$work/log"
    mount -t tmpfs -o mode=0755 tmpfs /run
    make_network
    certify_everybody
    start_control_plane
    # Images are unpacked meanwhile.
    for ((n = 1; n <= NODES; n++)); do
        "$here/start_node.sh" "$n"
    done
    # Addresses of services, by way of the first node.
    ip route add "$SERVICES.0/24" via "$(node_address 1)" dev cluster
    within 60 quietly kubectl get --raw /readyz || die "the API server is not ready after 60 s"
    note "API server ready ($(seconds) s)"
    kubectl apply -f "$here/system" >/dev/null
    within 240 quietly nodes_settled || true
    quietly ready_nodes || die "a node has ended, or is not ready after 240 s:" "$(kubectl get nodes 2>&1)"
    note "$NODES nodes Ready ($(seconds) s)"
    kubectl -n kube-system rollout status deployment/coredns --timeout=60s >/dev/null ||
        die "the cluster's DNS does not come up:" "$(kubectl -n kube-system describe pods 2>&1 | tail -n 20)"
    note "names are answered ($(seconds) s)"
}

export PATH=$programs/bin:$PATH KUBECONFIG=$work/admin.kubeconfig
# What is measured is the cluster, not what else this machine does meanwhile.
renice --priority -20 --pid $$ >/dev/null 2>&1 || true
trap '(($? == 0)) || last_words' EXIT
bring_up
trap - EXIT
"$@"
