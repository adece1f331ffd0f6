#!/usr/bin/env bash
# Builds the script engine from source: build.sh [OUTPUT], by default the committed javascript.wasm beside this file. Uses
# componentize-qjs where it is on PATH or in node_modules (npm install). Exits with 69 where it is neither. Builds are not
# reproducible to the byte.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
output=$(realpath -m "${1:-$here/javascript.wasm}")
PATH=$here/node_modules/.bin:$PATH
if ! command -v componentize-qjs >/dev/null; then
    echo "build.sh: componentize-qjs is not installed: run 'npm install' in $here" >&2
    exit 69
fi
cd "$here"
# What scripts find in traces is found as by the template's classifiers, which is why modules are looked for beside this folder too.
componentize-qjs --wit ../../wit/classifier.wit --js engine.js --module-root .. --world classifier --sync --stub-wasi --output "$output" >&2
sha256sum "$output"
