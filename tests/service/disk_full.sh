#!/bin/bash
# A library on a disk that gets full: a clear sentence and exit 1, nothing half-stored, and what was there is still there.
DOCENT=${DOCENT:-build/docent}
name=a_full_disk_costs_only_what_did_not_fit
top=$(mktemp -d "${TMPDIR:-/tmp}/docent-full-XXXXXX")
trap 'umount "$top/disk" 2>/dev/null; rm -rf "$top"' EXIT

failed() {
    echo "$1"
    echo "[  FAILED  ] $name"
    exit 1
}

mkdir "$top/disk" "$top/small" "$top/big"
if ! mount -t tmpfs -o size=3m docent-test "$top/disk" 2>/dev/null; then # only root may
    echo "[  SKIPPED ] $name"
    exit 0
fi
for i in 1 2 3; do
    echo "The small document $i speaks of uniq$i and of delivery within thirty days." >"$top/small/s$i.txt"
done
for i in $(seq 1 40); do # words that zstd cannot make small: 40 times 300 kB
    head -c 220000 /dev/urandom | base64 -w 70 >"$top/big/b$i.txt"
done
lib=$top/disk/lib
"$DOCENT" -L "$lib" --embedder none index "$top/small" >"$top/out" 2>&1 || failed "small: $(cat "$top/out")"
"$DOCENT" -L "$lib" --embedder none index "$top/big" >"$top/out" 2>&1
rc=$?
[ "$rc" = 1 ] || failed "exit $rc on a full disk: $(tail -n 4 "$top/out")"
grep -qiE 'full|no space' "$top/out" || failed "the message does not speak of space: $(tail -n 4 "$top/out")"
"$DOCENT" -L "$lib" verify >"$top/out" 2>&1 || failed "verify on the full disk: $(cat "$top/out")"
cp -r "$lib" "$top/moved"
for at in "$lib" "$top/moved"; do
    for i in 1 2 3; do
        "$DOCENT" -L "$at" --embedder none search "uniq$i" 2>&1 | grep -q "s$i.txt" || failed "document $i is gone from $at"
    done
done
mount -o remount,size=64m "$top/disk" || failed "remount"
head -c 100 "$top/big/b1.txt" >"$top/small/s4.txt"
"$DOCENT" -L "$lib" --embedder none index "$top/small" >"$top/out" 2>&1 || failed "with room again: $(cat "$top/out")"
"$DOCENT" -L "$lib" verify >"$top/out" 2>&1 || failed "verify with room again: $(cat "$top/out")"
echo "[       OK ] $name"
