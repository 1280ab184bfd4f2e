#!/bin/sh
# See that the programs which the tests run for real are there: PostgreSQL, Redis, Chromium. Installs them on Debian as root, else names them.
set -eu
PATH="$PATH:/usr/sbin:/sbin"
missing=""

have() { command -v "$1" >/dev/null 2>&1; }
have initdb || [ -n "$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | head -1)" ] || missing="$missing postgresql"
have redis-server || have valkey-server || missing="$missing redis-server"
have chromium || have chromium-browser || have google-chrome || missing="$missing chromium"
[ -n "$missing" ] || exit 0

command="apt-get install --no-install-recommends$missing"
if have apt-get && [ "$(id -u)" = 0 ]; then
    echo "  Installing what the tests need:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # The tests start private servers of their own, so nothing that these packages bring is started as a system service.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    log="$(mktemp)"
    # shellcheck disable=SC2086  # the list is meant to fall apart into words
    if ! { apt-get update && apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=300 $missing; } >"$log" 2>&1; then
        tail -30 "$log" >&2
        echo "Could not install$missing." >&2
        exit 1
    fi
    rm -f "$log"
elif have apt-get; then
    echo "The tests also need:$missing. Install them, then run make again:  sudo $command" >&2
    exit 1
else
    echo "The tests also need these programs:$missing (named as in Debian). Install them with your system's package manager, then run make again." >&2
    exit 1
fi
