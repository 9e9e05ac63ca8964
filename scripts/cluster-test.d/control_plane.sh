#!/usr/bin/env bash
# etcd, the API server, the scheduler and the controllers, in a pid namespace that ends with this process. They bind the
# machine's address in the cluster's network alone.
# shellcheck disable=SC2154 # What comes with the environment.
set -euo pipefail
# shellcheck source=scripts/cluster-test.d/settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"

pki=$work/pki logs=$work/log/control-plane
mkdir -p "$logs" "$work/etcd"
exec </dev/null

# What is written there is not worth a disk's time.
mount -t tmpfs -o mode=0700 tmpfs "$work/etcd"
keep etcd etcd --name machine --data-dir "$work/etcd" --unsafe-no-fsync \
    --listen-client-urls "https://$MACHINE:2379" --advertise-client-urls "https://$MACHINE:2379" \
    --listen-peer-urls "https://$MACHINE:2380" --initial-advertise-peer-urls "https://$MACHINE:2380" \
    --initial-cluster "machine=https://$MACHINE:2380" \
    --client-cert-auth --trusted-ca-file "$pki/ca.crt" --cert-file "$pki/etcd.crt" --key-file "$pki/etcd.key" \
    --peer-client-cert-auth --peer-trusted-ca-file "$pki/ca.crt" --peer-cert-file "$pki/etcd.crt" --peer-key-file "$pki/etcd.key"
keep apiserver kube-apiserver --advertise-address "$MACHINE" --bind-address "$MACHINE" --secure-port 6443 \
    --etcd-servers "https://$MACHINE:2379" --etcd-cafile "$pki/ca.crt" --etcd-certfile "$pki/etcd.crt" \
    --etcd-keyfile "$pki/etcd.key" --client-ca-file "$pki/ca.crt" \
    --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
    --kubelet-client-certificate "$pki/admin.crt" --kubelet-client-key "$pki/admin.key" \
    --kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
    --service-account-key-file "$pki/accounts.pub" --service-account-signing-key-file "$pki/accounts.key" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local --service-cluster-ip-range "$SERVICES.0/24" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --anonymous-auth=false --profiling=false
# Before the API server has made its own roles, these two would end at once.
within 60 quietly kubectl get --raw /readyz
keep scheduler kube-scheduler --kubeconfig "$work/scheduler.kubeconfig" --bind-address "$MACHINE" --leader-elect=false \
    --authentication-kubeconfig "$work/scheduler.kubeconfig" --authorization-kubeconfig "$work/scheduler.kubeconfig"
# A node is lost after 12 s of silence, not 50: what a viewer waits for beyond that is what is measured.
keep controller-manager kube-controller-manager --kubeconfig "$work/controller-manager.kubeconfig" \
    --bind-address "$MACHINE" --leader-elect=false --authentication-kubeconfig "$work/controller-manager.kubeconfig" \
    --authorization-kubeconfig "$work/controller-manager.kubeconfig" --root-ca-file "$pki/ca.crt" \
    --service-account-private-key-file "$pki/accounts.key" --use-service-account-credentials --allocate-node-cidrs=false \
    --node-monitor-grace-period 12s --node-monitor-period 1s
wait
