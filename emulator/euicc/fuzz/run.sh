#!/bin/sh
# Runs a fuzz target of the card: run.sh TARGET [-runs=N] [libFuzzer's other options] [folders of inputs]
#   tlv        BER-TLV of any form
#   messages   the messages of ES10 and ES8+
#   elements   unprotected profile packages
#   packages   bound profile packages with valid MACs, in pieces of any size
#   ota        secured packets in short messages, with right keys
#   apdus      sequences of APDUs on a card with profiles
# Inputs that lead somewhere new are kept in corpus/TARGET. No nightly compiler is needed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=$1
shift
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
cargo build --release --manifest-path "$here/Cargo.toml" --bin "$target" --target "$(rustc -vV | sed -n 's/^host: //p')"
mkdir -p "$here/corpus/$target"
exec "$here/target/$(rustc -vV | sed -n 's/^host: //p')/release/$target" "$here/corpus/$target" -max_len=8192 "$@"
