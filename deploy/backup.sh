#!/bin/sh
# backup.sh DATA_DIR BACKUP_DIR: one more archive of `tradingd backup`, which is read back before it counts.
#
# Safe while the daemon runs. KEEP (default 30) newest archives stay. TRADINGD names the program when it is not beside
# this script. Restore: `tradingd restore FILE`, see deploy/README.md.
set -eu

data=${1:?usage: backup.sh DATA_DIR BACKUP_DIR}
target=${2:?usage: backup.sh DATA_DIR BACKUP_DIR}
keep=${KEEP:-30}
umask 077

[ -d "$data" ] || { echo "backup.sh: there is no data directory $data" >&2; exit 1; }
case $keep in ''|*[!0-9]*|0) echo "backup.sh: KEEP must be a number above 0, not '$keep'" >&2; exit 1 ;; esac

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
program=${TRADINGD:-}
for beside in "$here/../bin/tradingd" "$here/../.venv/bin/tradingd"; do
    if [ -z "$program" ] && [ -x "$beside" ]; then program=$beside; fi
done
program=${program:-tradingd}

mkdir -p "$target"
# Of one that was killed: half an archive, with credentials in it.
find "$target" -maxdepth 1 -name 'tradingd-*.tar.gz.part' -mmin +1440 -exec rm -f -- {} +
name="tradingd-$(date -u +%Y%m%dT%H%M%SZ).tar.gz"
"$program" backup "$target/$name" --data-dir "$data" >&2
sync "$target/$name"

# Names sort by time, up to the one that was just made: behind it lie those of a clock that was ahead.
made=$(find "$target" -maxdepth 1 -name 'tradingd-*.tar.gz' | LC_ALL=C sort | sed "/\/$name\$/q")
count=$(printf '%s\n' "$made" | wc -l)
if [ "$count" -gt "$keep" ]; then
    printf '%s\n' "$made" | head -n "$((count - keep))" | while IFS= read -r old; do
        rm -f -- "$old"
    done
fi
echo "$target/$name"
