#!/bin/sh
# The demo of the README: index docs/samples into a library of its own, ask three questions, prove the answers.
# usage: tools/demo.sh BUILD
set -eu
cd "$(dirname "$0")/.."
docent=$1/docent
DOCENT_LIBRARY=$1/demo-library
export DOCENT_LIBRARY
say() { printf '\n$ docent'; for w in "$@"; do case $w in *\ *) printf ' "%s"' "$w" ;; *) printf ' %s' "$w" ;; esac; done; echo; }
run() { say "$@"; "$docent" "$@"; }
run index docs/samples --sync
run ask "How much deposit does the tenant pay?"
run ask "How long is lost property kept?"
run ask "图书逾期每天收费多少？"
say verify answer.json
for q in "How much deposit does the tenant pay?" "How long is lost property kept?" "图书逾期每天收费多少？"; do
    "$docent" ask "$q" --json >"$1/answer.json"
    "$docent" verify "$1/answer.json"
done
run verify
