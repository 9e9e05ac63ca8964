# shellcheck shell=bash
# Names and addresses of the cluster, which live in network namespaces of their own and so clash with nobody's. Sourced by
# every script of a cluster, whose $work, $programs and $node_cache come with the environment.
# shellcheck disable=SC2034,SC2154

# shellcheck source=scripts/docker-test.d/process.sh
source "$(dirname "${BASH_SOURCE[0]}")/../docker-test.d/process.sh"

# Also the folder of its pods' control groups.
readonly CLUSTER=mb-encode-cluster
readonly NODES=2
# The machine that viewers sit at and the control plane runs on; node N is .1N.
readonly MACHINE=10.99.0.1
# Pods of node N are PODS.N.0/24.
readonly PODS=10.244
readonly SERVICES=10.96.0
readonly API=https://$MACHINE:6443
readonly PAUSE_IMAGE=docker.io/library/mb-encode-cluster-pause:1
readonly COREDNS_IMAGE=docker.io/library/mb-encode-cluster-coredns:1

node_address() {
    echo "${MACHINE%.*}.1$1"
}

# control_groups: where each hierarchy is mounted.
control_groups() {
    awk '$3 ~ /^cgroup2?$/ {print $2}' /proc/mounts | grep '^/sys/fs/cgroup' | sort -u
}

quietly() {
    "$@" >/dev/null 2>&1
}

# keep NAME COMMAND...: runs it in the background with a log, and starts it again when it ends, as an init system would.
keep() {
    local name=$1
    shift
    while :; do
        "$@" >>"$logs/$name.log" 2>&1 || true
        echo "$(date -u +%T) $name ended" >>"$logs/restarts"
        sleep 0.5
    done &
}
