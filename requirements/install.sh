#!/bin/sh
# Build or renew .venv from a pinned, hashed lock: requirements/install.sh run|dev. Needs Python 3.11 or newer with venv, and a package index.
set -eu
cd "$(dirname "$0")/.."
set="$1"
[ ! -e .venv/.dev ] || set=dev # a .venv for development holds everything the service needs too, and stays one
lock="requirements/$set.lock"
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

find_python() {
    for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.14; do
        if command -v "$name" >/dev/null && "$name" -c "$new_enough" 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "PRO Tracker needs Python 3.11 or newer. Install it (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12" >&2
    exit 1
}

say() { printf '  %s\n' "$*"; }

if ! .venv/bin/python -c "$new_enough" 2>/dev/null; then
    python="$(find_python)"
    say "Creating .venv with $("$python" --version)"
    if ! "$python" -m venv --clear .venv; then
        echo "Python's venv module is missing or incomplete (Debian, Ubuntu: apt-get install python3-venv)." >&2
        exit 1
    fi
fi

# uv follows the package index and certificate settings that this machine gave to pip.
pip_setting() { .venv/bin/python -m pip config get "$1" 2>/dev/null || true; }
UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(pip_setting global.index-url)}}"
SSL_CERT_FILE="${SSL_CERT_FILE:-${PIP_CERT:-$(pip_setting global.cert)}}"
if [ -n "$UV_DEFAULT_INDEX" ]; then export UV_DEFAULT_INDEX; else unset UV_DEFAULT_INDEX; fi
if [ -n "$SSL_CERT_FILE" ]; then export SSL_CERT_FILE; else unset SSL_CERT_FILE; fi
export UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV="$PWD/.venv" UV_LINK_MODE="${UV_LINK_MODE:-copy}"

wanted_uv="$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements/uv.txt)"
if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$wanted_uv" ]; then
    say "Installing uv $wanted_uv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes -r requirements/uv.txt
fi

say "Installing the packages of $lock"
.venv/bin/uv pip sync --require-hashes --build-constraints requirements/build.txt "$lock"
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --no-index --editable .
touch .venv/.run
[ "$set" != dev ] || touch .venv/.dev
