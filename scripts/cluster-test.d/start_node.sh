#!/usr/bin/env bash
# Starts node N in namespaces of its own and plugs it into the cluster's network.   start_node.sh N
# shellcheck disable=SC2154 # What comes with the environment.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cluster-test.d/settings.sh
source "$here/settings.sh"

n=$1
mkdir -p "$work/log/node-$n"
# All of it ends with its first process: kubelet, containerd, pods and whatever they have started.
setsid unshare --net --mount --pid --uts --ipc --fork --kill-child --mount-proc "$here/node.sh" "$n" \
    >"$work/log/node-$n/node.log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$work/node-$n.pid"
# Once that process has a network, and not this one. There are moments in which it shows none.
other_network() {
    local theirs
    theirs=$(readlink "/proc/$pid/ns/net") && [[ -n $theirs && $theirs != "$(readlink /proc/self/ns/net)" ]]
}
within 10 quietly other_network
ip link add "node-$n" type veth peer name eth0 netns "$pid"
ip link set "node-$n" master cluster up
ip route replace "$PODS.$n.0/24" via "$(node_address "$n")" dev cluster onlink
