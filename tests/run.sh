#!/bin/sh
# Runs test programs one after the other and closes with "N passed, N failed, N skipped".
# usage: tests/run.sh PROGRAM...   (cmocka programs and scripts that print cmocka's [ OK ] lines)
passed=0
failed=0
skipped=0
out=$(mktemp)
names=$(mktemp)
trap 'rm -f "$out" "$names"' EXIT
for t in "$@"; do
    start=$(date +%s%N)
    timeout "${TEST_SECONDS:-300}" "$t" >"$out" 2>&1
    rc=$?
    ms=$((($(date +%s%N) - start) / 1000000))
    ok=$(grep -c '^\[       OK \]' "$out")
    sk=$(grep -c '^\[  SKIPPED \] [a-z]' "$out")
    fa=$(grep -c '^\[  FAILED  \] [a-zA-Z_]*$' "$out")
    lines=$(grep '^\[  SKIPPED \] [a-z]' "$out" | sed 's/^\[  SKIPPED \] //' | sort -u)
    sk=$(printf '%s' "$lines" | grep -c .)
    if [ $rc -ne 0 ]; then
        fa=$(grep '^\[  FAILED  \] [a-z]' "$out" | sort -u | grep -c .)
        [ "$fa" -gt 0 ] || fa=1
        printf '%s: FAILED (exit %d)\n' "$t" $rc
        grep -v '^\[ RUN \|^\[       OK ' "$out" | tail -n 40
    else
        fa=0
        printf '%-52s %3d ok %2d skipped %6d ms\n' "$t" "$ok" "$sk" "$ms"
    fi
    [ -z "$lines" ] || printf '%s\n' "$lines" | sed "s|^|  skipped: |" >>"$names"
    passed=$((passed + ok))
    failed=$((failed + fa))
    skipped=$((skipped + sk))
done
if [ -s "$names" ]; then
    echo "Skipped (no models, or no ../shared/data):"
    sort -u "$names"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
