#!/bin/sh
# Fetches the pinned release of hls.js from npm and keeps the player and its licence.
#
#   web/vendor.sh            vendor again, and compare with web/vendor/vendor.lock
#   web/vendor.sh --update   rewrite web/vendor/vendor.lock (after raising `version`)
#
# The files are committed, so neither a build nor the demo needs the network.
set -eu

version=1.7.4
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target="$here/vendor/hls.js/$version"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd "$work" && npm pack --silent "hls.js@$version" >/dev/null && tar -xzf "hls.js-$version.tgz")

mkdir -p "$target"
cp "$work/package/LICENSE" "$target/LICENSE"
# The source map is not vendored, so the comment that points to it would only make browsers request a missing file.
sed '/^\/\/# sourceMappingURL=/d' "$work/package/dist/hls.min.js" >"$target/hls.min.js"

cd "$here/vendor"
if [ "${1:-}" = "--update" ]; then
    sha256sum "hls.js/$version/hls.min.js" "hls.js/$version/LICENSE" >vendor.lock
else
    sha256sum --check --strict vendor.lock
fi
