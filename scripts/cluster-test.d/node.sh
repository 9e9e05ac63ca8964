#!/usr/bin/env bash
# A node: the first process of its network, mount, pid, uts and ipc namespaces, started by start_node.sh.   node.sh N
# containerd and the images that it has unpacked stay in $node_cache/N from run to run; all else is in memory.
# shellcheck disable=SC2154 # What comes with the environment.
set -euo pipefail
# shellcheck source=scripts/cluster-test.d/settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"

n=$1 node=node-$1 address=$(node_address "$1") pki=$work/pki logs=$work/log/node-$1
exec </dev/null
hostname "$node"

make_folders() {
    local groups=$work/groups-$n folder
    # A sysfs that shows this network, with the machine's control groups in it.
    mkdir -p "$groups"
    mount --rbind /sys/fs/cgroup "$groups"
    mount -t sysfs sysfs /sys
    mount --rbind "$groups" /sys/fs/cgroup
    umount -l "$groups"
    # The fixed paths of kubelet, containerd and the network plugins.
    for folder in /run /var/lib /var/log; do
        mount -t tmpfs -o mode=0755 tmpfs "$folder"
    done
    mkdir -p "$node_cache/$n" /var/lib/{containerd,kubelet,cni}
    mount --bind "$node_cache/$n" /var/lib/containerd
    # kubelet writes these where they differ, and they are the whole machine's: it finds what it wants.
    local file value
    while read -r file value; do
        echo "$value" >"/run/${file//\//.}"
        mount --bind "/run/${file//\//.}" "/proc/sys/$file"
    done <<'END'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
END
    mount --make-rshared /
}

plug_in() {
    local other
    within 60 quietly ip link show eth0
    ip link set lo up
    ip addr add "$address/24" dev eth0
    ip link set eth0 up
    ip route add default via "$MACHINE"
    for ((other = 1; other <= NODES; other++)); do
        ((other == n)) || ip route add "$PODS.$other.0/24" via "$(node_address $other)"
    done
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.disable_ipv6=1 net.bridge.bridge-nf-call-iptables=1 || true
}

# containerd_settings PLUGINS-TO-LEAVE-OUT...
containerd_settings() {
    cat <<END
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [$(printf '"io.containerd.%s", ' "$@" snapshotter.v1.btrfs snapshotter.v1.zfs snapshotter.v1.devmapper snapshotter.v1.aufs internal.v1.opt)]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  disable_apparmor = true
  # Root within a container may lack the right to lower this.
  restrict_oom_score_adj = true
  enable_unprivileged_ports = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$programs/cni"
    conf_dir = "/run/cni"
END
}

# What an earlier run has left in containerd's books goes, and images that are new come in, while nobody looks.
prepare_images() {
    local pid archive stamp
    containerd_settings grpc.v1.cri >/run/prepare.toml
    containerd --config /run/prepare.toml >>"$logs/prepare.log" 2>&1 &
    pid=$!
    within 30 quietly ctr version
    ctr -n k8s.io containers ls -q | xargs --no-run-if-empty ctr -n k8s.io containers rm >>"$logs/prepare.log" 2>&1 || true
    rm -rf /var/lib/containerd/io.containerd.grpc.v1.cri
    for archive in "$images"/*.tar; do
        # Named after what is in it.
        stamp=/var/lib/containerd/.has-$(basename "$archive" .tar)
        [[ ! -e $stamp ]] || continue
        ctr -n k8s.io images import --all-platforms=false "$archive" >>"$logs/prepare.log" 2>&1 ||
            ctr -n k8s.io images import "$archive" >>"$logs/prepare.log" 2>&1
        touch "$stamp"
    done
    kill "$pid"
    wait "$pid" || true
}

start_containerd() {
    mkdir -p /run/cni
    containerd_settings >/run/containerd.toml
    cat >/run/cni/10-pods.conflist <<END
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$PODS.$n.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
    keep containerd containerd --config /run/containerd.toml
    within 30 quietly ctr version
}

start_kubelet() {
    : >/run/resolv.conf
    cat >/run/kubelet.yaml <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $address
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/$node.crt
tlsPrivateKeyFile: $pki/$node.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CLUSTER/$node
failCgroupV1: false
failSwapOn: false
clusterDomain: cluster.local
clusterDNS: [$SERVICES.10]
resolvConf: /run/resolv.conf
healthzBindAddress: $address
# No registry can give an image back, however full the disk is.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
nodeStatusUpdateFrequency: 2s
nodeLeaseDurationSeconds: 8
END
    keep kubelet kubelet --config /run/kubelet.yaml --kubeconfig "$work/$node.kubeconfig" --hostname-override "$node" \
        --node-ip "$address" --node-labels "topology.kubernetes.io/zone=zone-$n"
}

start_network() {
    cat >/run/proxy.yaml <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: $address
healthzBindAddress: $address:10256
metricsBindAddress: $address:10249
clientConnection: {kubeconfig: $work/proxy.kubeconfig}
mode: iptables
clusterCIDR: $PODS.0.0/16
# Numbers of the whole machine, which no node changes.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
END
    keep kube-proxy kube-proxy --config /run/proxy.yaml --hostname-override "$node"
    keep kube-router kube-router --run-firewall=true --run-router=false --run-service-proxy=false \
        --kubeconfig "$work/policies.kubeconfig" --hostname-override "$node" --service-cluster-ip-range "$SERVICES.0/24" \
        --health-port 0 --metrics-port 0
}

make_control_groups() {
    local at file
    while read -r at; do
        mkdir -p "$at/$CLUSTER/$node" 2>/dev/null || continue
        # A node weighs as much as a machine would, not as much as one process of this one.
        for file in "$at/$CLUSTER" "$at/$CLUSTER/$node"; do
            { echo 20480 >"$file/cpu.shares" || echo 2000 >"$file/cpu.weight"; } 2>/dev/null || true
        done
    done < <(control_groups)
}

export LD_LIBRARY_PATH=$programs/lib XTABLES_LIBDIR=$programs/lib CONTAINERD_ADDRESS=/run/containerd/containerd.sock
make_folders
plug_in
make_control_groups
ulimit -n 1048576 2>/dev/null || ulimit -n "$(ulimit -Hn)"
cd /
prepare_images
start_containerd
start_kubelet
start_network
wait
