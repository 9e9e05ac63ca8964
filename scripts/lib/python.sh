# shellcheck shell=bash
# Python packages that tests and the bench import, of pinned versions and kept in the cache.
# Needs say.sh, packages.sh and cache.sh, and $root, the repository.
# shellcheck disable=SC2154

# need_python_packages: sets and exports PYTHON_PACKAGES, a folder for PYTHONPATH, with what the tests of producers import.
need_python_packages() {
    python_packages PYTHON_PACKAGES python tests/producers/requirements.txt
}

# need_bench_packages: sets and exports BENCH_PACKAGES likewise, with what the bench imports besides.
need_bench_packages() {
    python_packages BENCH_PACKAGES bench scripts/bench.d/requirements.txt
}

# python_packages VARIABLE NAME REQUIREMENTS
python_packages() {
    local -n folder=$1
    local kind
    need python3 python3-venv
    # Their compiled parts are for one version of Python.
    kind=$(python3 -c 'import sys; print("{}.{}".format(*sys.version_info))')-$(sha256sum <"$root/$3" | cut -c 1-12)
    folder=$PROJECT_CACHE/$2-$kind
    [[ -d $folder ]] || make_cached "$folder" install_python_packages "$3" ||
        die "the Python packages of $3 could not be installed" \
            "They are for Python 3.10 to 3.13; here is $(python3 --version)."
    export "${1?}"
}

# install_python_packages REQUIREMENTS FOLDER
install_python_packages() {
    say "Getting the Python packages of $1 (once; about a minute)"
    python3 -m venv "$2/venv" >&2 &&
        "$2/venv/bin/pip" --quiet --disable-pip-version-check install --no-deps --only-binary :all: \
            --target "$2/program" --requirement "$root/$1" >&2
}
