# shellcheck shell=bash
# A Go that is new enough, and programs built with it. Needs say.sh and packages.sh.

# go_works VERSION: whether the installed Go can build what needs that version. From 1.21 on, Go downloads a newer one itself.
go_works() {
    local version
    version=$(go env GOVERSION 2>/dev/null) || return 1
    version=${version#go}
    at_least "${version%%[ -]*}" "$1" ||
        { at_least "$version" 1.21 && [[ $(go env GOTOOLCHAIN) != local ]]; }
}

# find_go VERSION: installs Debian's Go where there is none and Debian's is new enough; fails otherwise.
find_go() {
    local version
    go_works "$1" && return
    refresh_packages
    version=$(candidate golang-go)
    if have go || ! at_least "${version:-0}" "${1%.*}"; then
        return 1
    fi
    need certificates
    install_packages golang-go
    hash -r
    go_works "$1"
}

# build_with_go GO MODULE VERSION PACKAGE SUM FOLDER: builds FOLDER/program from the PACKAGE of MODULE, whose go.mod names
# GO. SUM is this version's line in go.sum; the executable carries it too.
build_with_go() {
    local go=$1 module=$2 version=$3 package=$4 sum=$5 folder=$6 name
    # A module of version 2 or later ends in that, and the program does not.
    name=$(basename "${package%/v[0-9]*}")
    find_go "$go" || return
    say "Building $name $version with $(go env GOVERSION) (once; up to two minutes)"
    if ! GOBIN=$folder/bin CGO_ENABLED=0 go install -trimpath -ldflags "-s -w" "$package@v$version" \
        >"$folder/log" 2>&1; then
        # `go install` also asks for the list of all versions, which some proxies refuse; a module of our own does not.
        mkdir "$folder/module"
        printf '%s\n' 'module build' "go $go" "require $module v$version" >"$folder/module/go.mod"
        (cd "$folder/module" && CGO_ENABLED=0 go build -mod=mod -trimpath -ldflags "-s -w" -o "$folder/bin/$name" "$package") \
            >>"$folder/log" 2>&1 || {
            note "Go could not build it:"
            tail -n 5 "$folder/log" >&2
            return 1
        }
    fi
    mv "$folder/bin/$name" "$folder/program" || return
    go version -m "$folder/program" | grep -F "$sum" >/dev/null || {
        note "the $name $version that Go built has another checksum than expected"
        return 1
    }
}
