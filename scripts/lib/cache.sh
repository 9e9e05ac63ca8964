# shellcheck shell=bash
# Programs of a pinned version, or folders of them, kept between runs. Needs say.sh.

PROJECT_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/mb-encode

# make_cached FILE MAKER [ARGUMENT...]: runs MAKER with these arguments and a new folder as the last. The `program` that it
# leaves there becomes FILE, whole or not at all, since another script may be doing the same.
make_cached() {
    local file=$1 made code=0
    shift
    mkdir -p "$PROJECT_CACHE"
    made=$(mktemp -d "$PROJECT_CACHE/making.XXXXXX")
    if ("$@" "$made"); then
        chmod 0755 "$made/program"
        # A folder that another one has made in the meantime is as good.
        mv -fT "$made/program" "$file" || [[ -d $file ]] || code=1
    else
        code=1
    fi
    # Go makes what it downloads read-only.
    chmod -R u+w "$made"
    rm -rf "$made"
    return "$code"
}
