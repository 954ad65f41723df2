#!/bin/sh
# backup.sh DATA_DIR BACKUP_DIR: one archive of what cannot be had again: journals, credentials, the chosen mode.
#
# Safe while the daemon runs: the journal only grows, so a copy is a journal that ends a little earlier, and what was
# half written is cut off when it is opened. Recorded market data (tape, history) and API keys are left out.
# KEEP (default 30) newest archives stay. Restore: stop the daemon, unpack into an empty data directory, start.
set -eu

data=${1:?usage: backup.sh DATA_DIR BACKUP_DIR}
target=${2:?usage: backup.sh DATA_DIR BACKUP_DIR}
keep=${KEEP:-30}
umask 077

[ -d "$data" ] || { echo "backup.sh: there is no data directory $data" >&2; exit 1; }
case $keep in ''|*[!0-9]*|0) echo "backup.sh: KEEP must be a number above 0, not '$keep'" >&2; exit 1 ;; esac
mkdir -p "$target"

name="tradingd-$(date -u +%Y%m%dT%H%M%SZ)"
work=$(mktemp -d "$target/.working.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
mkdir "$work/$name"

found=0
for file in "$data"/*.journal "$data"/account.json "$data"/mode.json "$data"/credentials.json \
    "$data"/revoked-tokens.json "$data"/KILL "$data"/kill; do
    [ -f "$file" ] && [ ! -L "$file" ] || continue
    cp -p "$file" "$work/$name/"
    found=$((found + 1))
done
[ "$found" -gt 0 ] || { echo "backup.sh: nothing to back up in $data" >&2; exit 1; }

(cd "$work/$name" && sha256sum -- * > ../SHA256SUMS && mv ../SHA256SUMS .)
tar -C "$work" -czf "$work/$name.tar.gz" "$name"
# Read back what was written before anything older is thrown away.
mkdir "$work/check"
tar -C "$work/check" -xzf "$work/$name.tar.gz"
(cd "$work/check/$name" && sha256sum --quiet --check SHA256SUMS)
sync "$work/$name.tar.gz"
mv "$work/$name.tar.gz" "$target/$name.tar.gz"

# Names sort by time.
count=$(find "$target" -maxdepth 1 -name 'tradingd-*.tar.gz' | wc -l)
if [ "$count" -gt "$keep" ]; then
    find "$target" -maxdepth 1 -name 'tradingd-*.tar.gz' | sort | head -n "$((count - keep))" | while IFS= read -r old; do
        rm -f -- "$old"
    done
fi
echo "$target/$name.tar.gz"
