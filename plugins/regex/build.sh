#!/usr/bin/env bash
# Builds the default classifier from source: build.sh [OUTPUT], by default the committed regex.wasm beside this file.
# Uses a Rust toolchain with the target wasm32-unknown-unknown where there is one, else Debian's rustc-web, cargo-web,
# rust-web-src and lld, which build the standard library along. Exits with 69 where neither is found.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$(realpath -m "${1:-$here/regex.wasm}")
# Beside the workspace's own target folder, which has other compilers' files in it.
target=${CARGO_TARGET_DIR:-$root/target}/guest
triple=wasm32-unknown-unknown
# A small stack and the blocks of 128 bits that every host of components knows.
export RUSTFLAGS="-C link-arg=-zstack-size=131072 -C target-feature=+simd128"
# What is committed names no folder of the machine that built it.
for sources in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    RUSTFLAGS+=" --remap-path-prefix=$sources=crates"
done
RUSTFLAGS+=" --remap-path-prefix=$root=tracejury"
build=(build --manifest-path "$root/Cargo.toml" -p tracejury-regex --lib --profile guest --target "$triple" --locked)

if [ -d "$(rustc --print sysroot)/lib/rustlib/$triple" ]; then
    CARGO_TARGET_DIR=$target cargo "${build[@]}"
elif [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -d /usr/src/"rustc-$(/usr/bin/rustc --version | cut -d' ' -f2)" ] && command -v wasm-ld >/dev/null; then
    PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$target \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld \
        /usr/bin/cargo "${build[@]}" -Z build-std=std,panic_abort
else
    echo "build.sh: no toolchain for $triple: run 'rustup target add $triple', or on Debian 'apt-get install rustc-web cargo-web rust-web-src lld'" >&2
    exit 69
fi
cd "$root"
unset RUSTFLAGS
cargo run --quiet -p tracejury-regex --example encode -- "$target/$triple/guest/tracejury_regex.wasm" "$output"
sha256sum "$output"
