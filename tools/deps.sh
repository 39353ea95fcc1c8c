#!/bin/sh
# Installs what packages.txt lists (Debian 12) and is not there yet; needs root or sudo only then.
set -eu
cd "$(dirname "$0")/.."
missing=
for p in $(sed 's/#.*//' packages.txt); do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
if [ -z "$missing" ]; then
    exit 0
fi
echo "installing:$missing"
run=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "these packages are missing; install them as root, or install sudo" >&2; exit 1; }
    run=sudo
fi
$run apt-get -qq update
DEBIAN_FRONTEND=noninteractive $run apt-get -qq install -y --no-install-recommends $missing >/dev/null
