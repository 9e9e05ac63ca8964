# shellcheck shell=bash
# The images that the nodes run, as archives: each named by what it is made of, so that one that has not changed is neither
# built nor unpacked again.
# Needs programs.sh, settings.sh, what docker-test.d/images.sh needs, and $root, $work and $images, folders.
# shellcheck disable=SC2154

# need_images: all of them, in $images, and no older ones.
need_images() {
    local pause coredns kubectl project each
    local -a wanted
    mkdir -p "$images"
    pause=$images/pause-3.10.1-$(sha256sum "$root/scripts/cluster-test.d/pause.c" | cut -c 1-12).tar
    coredns=$images/coredns-$COREDNS_VERSION.tar
    project=$images/mb-encode-$(sources_key).tar
    kubectl=$images/kubectl-$KUBERNETES_VERSION.tar
    [[ -s $pause ]] || make_pause "$pause"
    [[ -s $coredns ]] || make_archive "$coredns" "$COREDNS_IMAGE" /coredns "$(readlink -f "$programs/bin/coredns"):/coredns"
    [[ -s $kubectl ]] || make_archive "$kubectl" "registry.k8s.io/kubectl:v$KUBERNETES_VERSION" /bin/kubectl \
        "$(readlink -f "$programs/bin/kubectl"):/bin/kubectl"
    [[ -s $project ]] || build_project_images "$project"
    wanted=("$pause" "$coredns" "$kubectl" "$project")
    for each in "$images"/*.tar; do
        [[ " ${wanted[*]} " == *" $each "* ]] || rm -f "$each"
    done
    # A node that has unpacked another image starts anew: what it has of that one is hundreds of megabytes.
    for each in "$node_cache"/*/.has-*; do
        [[ ! -e $each || -e $images/${each##*/.has-}.tar ]] || rm -rf --one-file-system "${each%/*}"
    done
}

# make_archive FILE NAME[,NAME...] ENTRY-POINT FILE:PATH...
make_archive() {
    local file=$1
    shift
    python3 -B "$root/scripts/cluster-test.d/archive.py" "$file.new" "$@" || die "the image $1 could not be made: see above"
    mv "$file.new" "$file"
}

make_pause() {
    need cc libc-headers
    cc -Os -static -s -o "$work/pause" "$root/scripts/cluster-test.d/pause.c" || die "pause.c could not be compiled: see above"
    make_archive "$1" "$PAUSE_IMAGE,registry.k8s.io/pause:3.10.1" /pause "$work/pause:/pause"
}

# sources_key: of what the project's images are made of.
sources_key() {
    (cd "$root" && find Cargo.* src docker/mb-encode*.Dockerfile -type f -print0 | sort -z | xargs -0 sha256sum |
        sha256sum | cut -c 1-12)
}

# As the deployment's own kustomization.yaml has it, and another one to update to.
readonly IMAGE_VERSION=test NEXT_IMAGE_VERSION=next
readonly WORKER_IMAGE=docker.io/library/mb-encode EDGE_IMAGE=docker.io/library/mb-encode-edge
# What stands for a user's own program, and what scrapes: each of the name that the deployment gives it.
readonly SIMULATOR_IMAGE=docker.io/library/python:3.13-slim PROMETHEUS_IMAGE=docker.io/library/prometheus:$IMAGE_VERSION

# build_project_images FILE: with the engine that docker-test starts, and from the same bases.
build_project_images() {
    local worker=$WORKER_IMAGE:$IMAGE_VERSION edge=$EDGE_IMAGE:$IMAGE_VERSION
    find_engine
    choose_images
    say "Building the images of workers and edge (minutes, the first time)"
    build_stage "$worker" worker --build-arg MESA=1
    build_stage "$edge" edge
    engine tag "$worker" "$WORKER_IMAGE:$NEXT_IMAGE_VERSION"
    build_small_images
    limited 300 "$docker" save -o "$1.new" "$worker" "$WORKER_IMAGE:$NEXT_IMAGE_VERSION" "$edge" "$SIMULATOR_IMAGE" \
        "$PROMETHEUS_IMAGE" || die "the engine cannot save the images: see above"
    engine image rm "$worker" "$WORKER_IMAGE:$NEXT_IMAGE_VERSION" "$edge" "$SIMULATOR_IMAGE" "$PROMETHEUS_IMAGE" >/dev/null
    mv "$1.new" "$1"
    # What earlier sources have left there.
    engine image prune -f >/dev/null
    engine builder prune -f --keep-storage 6GB >/dev/null
    [[ -z $engine_pid ]] || end_process "$engine_pid" 30
    engine_pid=''
    unset DOCKER_HOST
}

# What the deployment takes from elsewhere.
build_small_images() {
    local context=$work/small
    mkdir -p "$context"
    printf '%s\n' "FROM $build_image" 'RUN apt-get update && apt-get install -y --no-install-recommends python3' \
        >"$context/Dockerfile"
    build "$SIMULATOR_IMAGE" "$context"
    need_prometheus
    cp "$PROMETHEUS/prometheus" "$context/"
    printf '%s\n' "FROM $build_image" 'COPY prometheus /usr/local/bin/' >"$context/Dockerfile"
    build "$PROMETHEUS_IMAGE" "$context"
}
