# shellcheck shell=bash
# The Python packages that the tests of producers import, of pinned versions and kept in the cache.
# Needs say.sh, packages.sh and cache.sh, and $root, the repository.
# shellcheck disable=SC2154

PYTHON_REQUIREMENTS=$root/tests/producers/requirements.txt

# need_python_packages: sets and exports PYTHON_PACKAGES, a folder for PYTHONPATH.
need_python_packages() {
    local kind
    need python3 python3-venv
    # Their compiled parts are for one version of Python.
    kind=$(python3 -c 'import sys; print("{}.{}".format(*sys.version_info))')-$(sha256sum <"$PYTHON_REQUIREMENTS" | cut -c 1-12)
    PYTHON_PACKAGES=$PROJECT_CACHE/python-$kind
    [[ -d $PYTHON_PACKAGES ]] || make_cached "$PYTHON_PACKAGES" install_python_packages ||
        die "the Python packages of tests/producers/requirements.txt could not be installed" \
            "They are for Python 3.10 to 3.13; here is $(python3 --version)."
    export PYTHON_PACKAGES
}

# install_python_packages FOLDER
install_python_packages() {
    say "Getting the Python packages for the tests (once; about a minute)"
    python3 -m venv "$1/venv" >&2 &&
        "$1/venv/bin/pip" --quiet --disable-pip-version-check install --no-deps --only-binary :all: \
            --target "$1/program" --requirement "$PYTHON_REQUIREMENTS" >&2
}
