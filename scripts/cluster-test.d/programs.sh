# shellcheck shell=bash
# The programs that a cluster consists of, each of a pinned version and kept in the cache. Nothing is installed: what is
# Go is built, and Debian's packages are unpacked.
# Needs say.sh, packages.sh, cache.sh and go.sh, and $root, the repository.
# shellcheck disable=SC2154

KUBERNETES_VERSION=1.34.4
KUBERNETES_MODULE_SUM=h1:Yy6R4QB8C9kJPp25GFqEvX5XQwY5qzKeqD0Xx6oAcmk=
KUBERNETES_NEEDS_GO=1.24.0
KUBERNETES_PROGRAMS=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)

COREDNS_MODULE=github.com/coredns/coredns
COREDNS_VERSION=1.14.7
COREDNS_MODULE_SUM=h1:UPDkn4QN+xyNfjz3U5ldgoLszDYpMZEJoy3+ze9au4Q=
COREDNS_NEEDS_GO=1.25.0

# Enforces network policies.
KUBE_ROUTER_MODULE=github.com/cloudnativelabs/kube-router/v2
KUBE_ROUTER_VERSION=2.1.0
KUBE_ROUTER_MODULE_SUM=h1:xWsptKtmZ44L+NjwFKoFAFlVdxCz8fka9A/eYJe95Ok=
KUBE_ROUTER_NEEDS_GO=1.21

# Simulates nodes.
KWOK_MODULE=sigs.k8s.io/kwok
KWOK_VERSION=0.8.0
KWOK_MODULE_SUM=h1:OTIOTwgROqPMovcTwxICx2eYQ4AwLpSx5EpjbDKF4SQ=
KWOK_NEEDS_GO=1.26.0

# Unpacked, with the libraries that a small Debian may be without.
DEBIAN_PROGRAMS=(etcd-server containerd runc containernetworking-plugins iptables ipset
    libip4tc2 libip6tc2 libipset13 libmnl0 libnetfilter-conntrack3 libnfnetlink0 libnftnl11 libseccomp2 libxtables12)

# need_cluster_programs: sets $programs, a folder with bin, cni and lib. kwok's stages are in $work/stages.
need_cluster_programs() {
    local cache=$PROJECT_CACHE/k8s kubernetes debian kube_router kwok coredns versions name
    mkdir -p "$cache"
    have apt-get || die "cannot get etcd and containerd: there is no apt-get here" "This runs on Debian and Ubuntu."
    kubernetes=$cache/kubernetes-$KUBERNETES_VERSION
    coredns=$cache/coredns-$COREDNS_VERSION
    kube_router=$cache/kube-router-$KUBE_ROUTER_VERSION
    kwok=$cache/kwok-$KWOK_VERSION
    versions=$(apt-cache policy "${DEBIAN_PROGRAMS[@]}" 2>/dev/null | grep -E '^[a-z]|Candidate')
    if [[ -z $versions ]]; then
        refresh_packages
        versions=$(apt-cache policy "${DEBIAN_PROGRAMS[@]}" | grep -E '^[a-z]|Candidate')
    fi
    debian=$cache/debian-$(sha256sum <<<"$versions" | cut -c 1-12)

    [[ -d $debian ]] || make_cached "$debian" unpack_debian_programs ||
        die "Debian's packages of etcd and containerd could not be unpacked: see above"
    [[ -d $kubernetes ]] || make_cached "$kubernetes" build_kubernetes ||
        die "Kubernetes $KUBERNETES_VERSION could not be built: see above" "It needs Go $KUBERNETES_NEEDS_GO or newer."
    [[ -x $coredns ]] || make_cached "$coredns" build_coredns ||
        die "CoreDNS $COREDNS_VERSION could not be built: see above" "It needs Go $COREDNS_NEEDS_GO or newer."
    [[ -x $kube_router ]] || make_cached "$kube_router" build_with_go $KUBE_ROUTER_NEEDS_GO $KUBE_ROUTER_MODULE \
        $KUBE_ROUTER_VERSION $KUBE_ROUTER_MODULE/cmd/kube-router $KUBE_ROUTER_MODULE_SUM ||
        die "kube-router $KUBE_ROUTER_VERSION could not be built: see above"
    [[ -d $kwok ]] || make_cached "$kwok" build_kwok ||
        die "kwok $KWOK_VERSION could not be built: see above" "It needs Go $KWOK_NEEDS_GO or newer."

    # One folder of links, so that one word on PATH is enough.
    # shellcheck disable=SC2034 # For the cluster.
    programs=$work/programs
    mkdir -p "$programs/bin"
    ln -sfT "$debian/cni" "$programs/cni"
    ln -sfT "$debian/lib" "$programs/lib"
    for name in "${KUBERNETES_PROGRAMS[@]}"; do
        ln -sf "$kubernetes/$name" "$programs/bin/$name"
    done
    for name in "$debian"/bin/*; do
        ln -sf "$name" "$programs/bin/"
    done
    ln -sf "$coredns" "$programs/bin/coredns"
    ln -sf "$kube_router" "$programs/bin/kube-router"
    ln -sf "$kwok/kwok" "$programs/bin/kwok"
    ln -sfT "$kwok/stages" "$work/stages"
}

# go_module MODULE VERSION SUM FOLDER: downloads a module, and fails if it is not that one. Prints its folder.
go_module() {
    local found
    go mod download -json "$1@v$2" >"$4/module.json" || return
    found=$(sed -n 's/^\t"Sum": "\(.*\)",*$/\1/p' "$4/module.json")
    [[ $found == "$3" ]] || {
        note "the module $1 $2 has another checksum than expected: $found"
        return 1
    }
    sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p' "$4/module.json"
}

# go_build FOLDER ARGUMENT...: builds in the module that is in FOLDER, all of whose other modules Go's checksum database
# vouches for.
go_build() {
    local folder=$1
    shift
    (cd "$folder" && CGO_ENABLED=0 nice go build -mod=mod -trimpath "$@") >"$folder/log" 2>&1 || {
        note "Go could not build it:"
        tail -n 5 "$folder/log" >&2
        return 1
    }
}

# build_kubernetes FOLDER: all six at once, which share most of what they are made of.
build_kubernetes() {
    local module version=k8s.io/component-base/version
    find_go $KUBERNETES_NEEDS_GO || return
    say "Building Kubernetes $KUBERNETES_VERSION with $(go env GOVERSION) (once; up to ten minutes)"
    module=$(go_module k8s.io/kubernetes $KUBERNETES_VERSION $KUBERNETES_MODULE_SUM "$1") || return
    mkdir "$1/module" "$1/program"
    # Its own go.mod looks for parts of it in a folder beside it, which no module has: each is a module by itself.
    {
        printf '%s\n' 'module build' "go $KUBERNETES_NEEDS_GO" "require k8s.io/kubernetes v$KUBERNETES_VERSION"
        sed -n "s|^\(replace\)\{0,1\}\s*\(k8s.io/[a-z-]*\) => ./staging/.*|replace \2 => \2 v0.${KUBERNETES_VERSION#*.}|p" "$module/go.mod"
    } >"$1/module/go.mod"
    # Four gigabytes that nothing else is built from.
    GOCACHE=$1/objects go_build "$1/module" -o "$1/program/" -ldflags "-s -w -X $version.gitVersion=v$KUBERNETES_VERSION \
        -X $version.gitMajor=${KUBERNETES_VERSION%%.*} -X $version.gitMinor=$(cut -d . -f 2 <<<$KUBERNETES_VERSION)" \
        "${KUBERNETES_PROGRAMS[@]/#/k8s.io/kubernetes/cmd/}"
}

# build_coredns FOLDER
build_coredns() {
    find_go $COREDNS_NEEDS_GO || return
    say "Building CoreDNS $COREDNS_VERSION with $(go env GOVERSION) (once; up to two minutes)"
    go_module $COREDNS_MODULE $COREDNS_VERSION $COREDNS_MODULE_SUM "$1" >/dev/null || return
    mkdir "$1/module"
    cp "$root/scripts/cluster-test.d/coredns/main.go" "$1/module/"
    printf '%s\n' 'module build' "go $COREDNS_NEEDS_GO" "require $COREDNS_MODULE v$COREDNS_VERSION" >"$1/module/go.mod"
    go_build "$1/module" -ldflags "-s -w" -o "$1/program" .
}

# build_kwok FOLDER: with the files that say how its nodes and pods behave.
build_kwok() {
    local module made=$1/made
    module=$(go_module $KWOK_MODULE $KWOK_VERSION $KWOK_MODULE_SUM "$1") || return
    mkdir "$made" "$1/kwok"
    build_with_go $KWOK_NEEDS_GO $KWOK_MODULE $KWOK_VERSION $KWOK_MODULE/cmd/kwok $KWOK_MODULE_SUM "$made" || return
    mkdir "$1/program" "$1/program/stages"
    mv "$made/program" "$1/program/kwok"
    find "$module"/kustomize/stage/{node/fast,node/heartbeat-with-lease,pod/fast} -maxdepth 1 -name '*.yaml' ! -name kustomization.yaml \
        -exec cp --no-preserve=mode {} "$1/program/stages/" \;
}

# unpack_debian_programs FOLDER
unpack_debian_programs() {
    local package name from=$1/unpacked to=$1/program
    refresh_packages
    say "Getting etcd $(candidate etcd-server), containerd $(candidate containerd) and what they need, to unpack"
    mkdir -p "$1/packages" "$from" "$to/bin" "$to/lib" "$to/cni"
    # apt checks what it gets.
    (cd "$1/packages" && apt-get download -qq -o APT::Sandbox::User=root "${DEBIAN_PROGRAMS[@]}" >"$1/log" 2>&1) || {
        tail -n 5 "$1/log" >&2
        return 1
    }
    for package in "$1"/packages/*.deb; do
        dpkg-deb --extract "$package" "$from" || return
    done
    for name in etcd containerd containerd-shim-runc-v2 ctr runc ipset xtables-nft-multi; do
        cp "$(find "$from/usr/bin" "$from/usr/sbin" "$from/sbin" -name "$name" -type f -print -quit 2>/dev/null)" "$to/bin/" || return
    done
    for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
        ln -s xtables-nft-multi "$to/bin/$name"
    done
    find "$from" \( -name '*.so' -o -name '*.so.*' \) -exec cp -P {} "$to/lib/" \;
    cp "$(find "$from/usr/lib" -type f -name loopback -path '*cni*' -printf '%h\n')"/{bridge,host-local,loopback,portmap} "$to/cni/"
}
