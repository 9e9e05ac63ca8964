# shellcheck shell=bash
# Who is who in the cluster: one authority, a certificate each, and the files with which programs find the API server.
# Needs settings.sh and $work, a folder.
# shellcheck disable=SC2154

# new_authority: a new one for each cluster, which lives a day.
new_authority() {
    pki=$work/pki
    mkdir -p "$pki"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$pki/ca.key" -out "$pki/ca.crt" \
        -subj "/CN=$CLUSTER" -days 2 -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$pki/accounts.key" 2>/dev/null
    openssl pkey -in "$pki/accounts.key" -pubout -out "$pki/accounts.pub"
}

# certify NAME SUBJECT [ALTERNATIVE-NAMES]
certify() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$pki/$1.key" -subj "$2" 2>/dev/null |
        openssl x509 -req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -set_serial "0x$(openssl rand -hex 8)" -days 2 \
            -extfile <(printf '%s\n' keyUsage=digitalSignature extendedKeyUsage=serverAuth,clientAuth \
                ${3:+"subjectAltName=$3"}) -out "$pki/$1.crt" 2>/dev/null
}

# introduce NAME: the file with which the owner of that certificate finds the API server.
introduce() {
    cat >"$work/$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: $CLUSTER, cluster: {server: "$API", certificate-authority: "$pki/ca.crt"}}]
users: [{name: $1, user: {client-certificate: "$pki/$1.crt", client-key: "$pki/$1.key"}}]
contexts: [{name: $CLUSTER, context: {cluster: $CLUSTER, user: $1, namespace: mb-encode}}]
current-context: $CLUSTER
END
}

# certify_everybody: who is of a group that Kubernetes has roles for gets its rights with the name.
certify_everybody() {
    local n name
    new_authority
    name=kubernetes.default
    certify apiserver /CN=kube-apiserver "IP:$MACHINE,IP:$SERVICES.1,DNS:kubernetes,DNS:$name,DNS:$name.svc,DNS:$name.svc.cluster.local"
    certify etcd /CN=etcd "IP:$MACHINE"
    certify admin /O=system:masters/CN=admin
    certify scheduler /CN=system:kube-scheduler
    certify controller-manager /CN=system:kube-controller-manager
    certify proxy /CN=system:kube-proxy
    certify policies /CN=kube-router
    certify simulator /O=system:masters/CN=kwok
    for name in admin scheduler controller-manager proxy policies simulator; do
        introduce $name
    done
    for ((n = 1; n <= NODES; n++)); do
        certify "node-$n" "/O=system:nodes/CN=system:node:node-$n" "IP:$(node_address $n),DNS:node-$n"
        introduce "node-$n"
    done
}
