# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Helpers of the scripts in this folder: `. "$(dirname "$0")/_lib.sh"`. Needs bash, a Debian (or any system that
# already has what the lists name) and the system's own python3.

# The system's interpreter: shims of version managers on PATH may point at versions that are gone.
QR_PYTHON=${QR_PYTHON:-/usr/bin/python3}
QR_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
export QR_PYTHON QR_ROOT

# A line for the reader, on stderr: stdout belongs to results.
qr_say() { printf '==> %s\n' "$*" >&2; }

# The end: what went wrong, where, and how to mend it.
qr_die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Package names in the given lists (one a line, # comments), each once.
qr_apt_names() { cat -- "$@" | sed 's/#.*//' | tr -s ' \t' '\n' | sed '/^$/d' | sort -u; }

# qr_apt_missing FILE...: prints the listed packages that are not installed. A name with a question mark behind it counts
# only where the distribution has such a package (docker-cli? is one of its own in Debian 13, a part of docker.io in 12).
qr_apt_missing() {
    local name
    for name in $(qr_apt_names "$@"); do
        if [[ $name == *\? ]]; then
            name=${name%\?}
            [ -n "$(apt-cache --names-only search "^$name\$" 2>/dev/null)" ] || continue
        fi
        [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null)" = 'ii ' ] || printf '%s\n' "$name"
    done
}

# qr_apt_ensure FILE...: installs what is missing; nothing that comes along is started.
qr_apt_ensure() {
    command -v dpkg-query >/dev/null || {
        qr_say "not a Debian: expecting to find $(qr_apt_names "$@" | tr '\n' ' ')already here"
        return 0
    }
    local missing
    mapfile -t missing < <(qr_apt_missing "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || qr_die "packages are missing and this is not root; as root: apt-get install ${missing[*]}"
    qr_say "installing with apt: ${missing[*]}"
    qr_apt_quiet apt-get -q -o Acquire::Retries=3 update
    mapfile -t missing < <(qr_apt_missing "$@")
    qr_apt_quiet apt-get -q -y -o Dpkg::Options::=--force-confold -o Acquire::Retries=3 \
        install --no-install-recommends "${missing[@]}"
}

# qr_apt_quiet COMMAND...: asks nothing, starts no service. In a subshell, so that the policy file goes away whatever happens.
qr_apt_quiet() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
    "$@" </dev/null >&2 || qr_die "failed: $*"
)

# qr_venv DIR REQUIREMENTS...: a venv that holds exactly what the files pin; untouched while they stay the same.
# Two callers at the same time wait for each other.
qr_venv() (
    set -e
    dir=$1
    shift
    mkdir -p "$(dirname "$dir")"
    exec 9>"$dir.lock"
    flock 9
    stamp=$dir/.requirements.sha256
    wanted=$({ "$QR_PYTHON" -V; cat -- "$@" "$QR_ROOT/runtime/requirements.txt"; } | sha256sum | cut -d' ' -f1)
    if [ -x "$dir/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$dir/bin/python" -c '' 2>/dev/null; then
        exit 0
    fi
    if ! "$dir/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        qr_say "making $dir with $("$QR_PYTHON" -V)"
        "$QR_PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
            qr_die "$QR_PYTHON is older than Python 3.11: set QR_PYTHON to one that is not"
        "$QR_PYTHON" -m venv --clear "$dir" ||
            qr_die "cannot make a venv in $dir: on Debian install python3-venv"
    fi
    arguments=()
    for file in "$@"; do arguments+=(-r "$file"); done
    qr_say "installing $* into $dir"
    "$dir/bin/python" -m pip install --disable-pip-version-check --quiet "${arguments[@]}" >&2 ||
        qr_die "pip could not install what $* pin: see above; an index other than PyPI is named by PIP_INDEX_URL"
    printf '%s\n' "$wanted" >"$stamp"
)
