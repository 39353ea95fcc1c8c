#!/bin/bash
# docent index killed (SIGKILL, the program or one of its readers) at seeded random times and started again, until a run completes:
# then the library is that of an undisturbed run. KILLS=300 FOLDER=../shared/data/pdf/financebench LONGEST=20000 is the long run.
DOCENT=${DOCENT:-build/docent}
KILLS=${KILLS:-20}
LONGEST=${LONGEST:-400} # ms before a kill, at most
RANDOM=${SEED:-5}
name=a_killed_index_run_goes_on_to_the_same_library
top=$(mktemp -d "${TMPDIR:-/tmp}/docent-kill-XXXXXX")
trap 'rm -rf "$top"' EXIT

verdict() {
    if [ "$1" = 0 ]; then
        echo "[       OK ] $name"
        exit 0
    fi
    echo "$2"
    echo "[  FAILED  ] $name"
    exit 1
}

make_folder() {
    mkdir -p "$1/sub"
    for i in $(seq 1 60); do
        body="Document $i speaks of uniq$i. Clause $((i % 7)): the parties agree on delivery within $((i % 9)) days."
        case $((i % 3)) in
        0) printf '%s\n' "$body" >"$1/f$i.txt" ;;
        1) printf '# Title %d\n\n%s\n\n## Part\n\nMore of %d.\n' "$i" "$body" "$i" >"$1/sub/f$i.md" ;;
        2) printf '<html><title>T%d</title><body><h1>H</h1><p>%s</p></body></html>\n' "$i" "$body" >"$1/f$i.html" ;;
        esac
    done
    cp "$1/f3.txt" "$1/sub/copy3.txt" # the same content twice
    cp "$1/f6.txt" "$1/copy6.txt"
}

# What must be equal: the counts, and each document with its pages, chunks and paths. No field of the list is a time.
dump() {
    "$DOCENT" -L "$1" status --documents --json | python3 -c '
import json, sys
o = json.load(sys.stdin)
for k in "documents", "paths", "pages", "chunks", "vectors", "failed":
    print(k, o[k])
for d in sorted(o["list"], key=lambda d: d["doc"]):
    print(json.dumps(d, sort_keys=True))'
}

folder=${FOLDER:-$top/docs}
[ -n "$FOLDER" ] || make_folder "$folder"
extra=${EXTRA:---embedder none}
"$DOCENT" -L "$top/calm" index $extra "$folder" >"$top/calm.log" 2>&1 || verdict 1 "the undisturbed run failed: $(tail -n 3 "$top/calm.log")"

kills=0
runs=0
completed=0
while [ "$kills" -lt "$KILLS" ]; do
    runs=$((runs + 1))
    [ "$runs" -le $((KILLS * 4)) ] || break
    "$DOCENT" -L "$top/lib" index $extra "$folder" >"$top/run.log" 2>&1 &
    pid=$!
    ms=$(((RANDOM * 32768 + RANDOM) % LONGEST))
    sleep "$((ms / 1000)).$(printf '%03d' $((ms % 1000)))"
    victim=$pid
    if [ $((RANDOM % 4)) = 0 ]; then
        child=$(pgrep -P "$pid" | head -n 1)
        [ -z "$child" ] || victim=$child
    fi
    if kill -KILL "$victim" 2>/dev/null; then
        kills=$((kills + 1))
    fi
    wait "$pid" 2>/dev/null
    rc=$?
    if { [ "$rc" = 0 ] || [ "$rc" = 3 ]; } && [ -f "$top/lib/library.conf" ]; then # it was done: the next one starts from nothing
        completed=$((completed + 1))
        [ "$kills" -ge "$KILLS" ] || rm -rf "$top/lib"
    elif [ -f "$top/lib/library.conf" ]; then
        "$DOCENT" -L "$top/lib" verify >"$top/verify.log" 2>&1 || verdict 1 "after kill $kills: $(cat "$top/verify.log")"
    fi
done
# A file whose reader was killed from outside is tried again without being asked.
"$DOCENT" -L "$top/lib" index $extra "$folder" >"$top/last.log" 2>&1 || verdict 1 "the last run failed: $(tail -n 3 "$top/last.log")"
"$DOCENT" -L "$top/lib" verify >"$top/verify.log" 2>&1 || verdict 1 "$(cat "$top/verify.log")"
dump "$top/calm" >"$top/calm.json"
dump "$top/lib" >"$top/lib.json"
[ "$(wc -l <"$top/calm.json")" -gt 6 ] || verdict 1 "no documents were listed"
cmp -s "$top/calm.json" "$top/lib.json" || verdict 1 "$(diff "$top/calm.json" "$top/lib.json" | head -n 6)"
echo "$kills kills in $runs runs, $completed completed on the way, $(head -n 4 "$top/lib.json" | tr "\n" " ")in both"
verdict 0
