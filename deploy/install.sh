#!/bin/sh
# One command from a checkout to a running service:   sudo deploy/install.sh
#
# Again is an upgrade: the new program is built beside the old one and takes its place in one step, then the service
# is started anew. Your /etc/tradingd is never overwritten. --dry-run only says what would be done.
set -eu
umask 022  # the service's user must be able to read the program

usage() { sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0; }

dry=''
start=yes
python=${PYTHON:-python3}
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) dry=yes ;;
        --no-start) start='' ;;
        -h|--help) usage ;;
        *) echo "install.sh: unknown option $1 (--dry-run, --no-start)" >&2; exit 2 ;;
    esac
    shift
done

run() { if [ -n "$dry" ]; then echo "+ $*"; else "$@"; fi; }

source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
[ -f "$source/requirements/run.txt" ] || { echo "install.sh: run it from a checkout of tradingd" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "install.sh: Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11" >&2
    exit 1
}
# The service runs as a user of its own and sees no home directory (ProtectHome): it could not start such a Python.
base=$("$python" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')
case $(printf %s "$base" | cut -d/ -f2) in home|root|run)
    echo "install.sh: $base lies in a home directory, where the service cannot reach it: set PYTHON=/usr/bin/python3" >&2
    [ -n "$dry" ] || exit 1 ;;
esac
if [ -z "$dry" ] && [ "$(id -u)" != 0 ]; then
    echo "install.sh: it writes to /opt and /etc: run it with sudo" >&2
    exit 1
fi

release="/opt/tradingd-releases/$(date -u +%Y%m%dT%H%M%SZ)"
run mkdir -p /opt/tradingd-releases
[ -n "$dry" ] || trap 'rm -rf -- "$release"' EXIT  # half a program is none
run "$python" -m venv "$release"
run "$release/bin/python" -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r "$source/requirements/run.txt"
run "$release/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation "$source"
run install -D -m 0755 "$source/deploy/backup.sh" "$release/share/backup.sh"
run install -D -m 0644 "$source/README.md" "$release/README.md"
run install -d -m 0755 /etc/tradingd
[ -e /etc/tradingd/config.toml ] || run install -m 0644 "$source/config.toml" /etc/tradingd/config.toml
[ -e /etc/tradingd/environment ] || run install -m 0600 /dev/null /etc/tradingd/environment
run "$release/bin/tradingd" version
# One rename: there is no moment without a program.
run ln -sfn "$release" /opt/tradingd.new
run mv -T /opt/tradingd.new /opt/tradingd
trap - EXIT
# The three newest stay: the one before is a way back (ln -sfn it to /opt/tradingd).
if [ -z "$dry" ]; then
    find /opt/tradingd-releases -mindepth 1 -maxdepth 1 -type d | sort -r | tail -n +4 | while IFS= read -r old; do
        rm -rf -- "$old"
    done
fi
for unit in tradingd.service tradingd-backup.service tradingd-backup.timer tradingd-history.service \
    tradingd-history.timer; do
    run install -m 0644 "$source/deploy/$unit" "/etc/systemd/system/$unit"
done
run systemctl daemon-reload
if [ -n "$start" ]; then
    run systemctl enable --now tradingd-backup.timer
    run systemctl enable tradingd.service
    run systemctl restart tradingd.service
    echo "tradingd runs: journalctl -fu tradingd. Set your password for the API (it is shown once, and in no log):"
    echo "  sudo /opt/tradingd/bin/tradingd user password --config /etc/tradingd/config.toml --data-dir /var/lib/tradingd"
fi
