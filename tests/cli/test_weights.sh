#!/usr/bin/env bash
# medseg weights and merge-lora: listing, checking files, messages. Downloads are tested in tests/weights.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1" >&2; exit 1; }
expect_code() { # CODE COMMAND...
    local wanted=$1; shift
    local code=0
    "$@" >"$work/out" 2>"$work/err" || code=$?
    [[ $code -eq $wanted ]] || { cat "$work/err" >&2; fail "exit $code instead of $wanted: $*"; }
}

expect_code 0 "$MEDSEG" weights list
grep -q ss_generator.ckpt "$work/out" || fail "the list lacks ss_generator.ckpt"
HF_ENDPOINT=http://mirror.example expect_code 0 "$MEDSEG" weights list ss_encoder.safetensors --json
grep -q http://mirror.example/facebook/sam-3d-objects/resolve/main/checkpoints/ss_encoder.safetensors "$work/out" ||
    fail "HF_ENDPOINT is not used"
expect_code 2 "$MEDSEG" weights list sam3
grep -q 'did you mean "sam3d"' "$work/err" || fail "no suggestion"

: >"$work/ss_encoder.safetensors"
expect_code 3 "$MEDSEG" weights check "$work"
grep -q '^empty ' "$work/out" || fail "an empty file is not called empty"
printf 'no checkpoint' >"$work/ss_encoder.safetensors"
expect_code 3 "$MEDSEG" weights check "$work" ss_encoder.safetensors
grep -q '^damaged ' "$work/out" || fail "a damaged file is not called damaged"
expect_code 3 "$MEDSEG" weights check "$work/none" sam3d
expect_code 0 "$MEDSEG" weights check "$work/none"
expect_code 2 "$MEDSEG" weights download
expect_code 2 "$MEDSEG" weights download medsam
expect_code 3 "$MEDSEG" checkpoint merge-lora "$work/none" "$work/none" "$work/out.pt"
[[ ! -e "$work/out.pt" ]] || fail "a half merged file is left"

fixtures=${MEDSEG_FIXTURES:-$MEDSEG_FIXTURES_DEFAULT}/sam3d
if [[ -d $fixtures ]]; then
    expect_code 3 "$MEDSEG" checkpoint merge-lora "$fixtures/08_checkpoints/ss_decoder.ckpt" \
        "$fixtures/08_checkpoints/lora_best.pt" "$work/out.pt"
    grep -q 'belong to another model' "$work/err" || fail "adapters of another model are not recognised"
fi
echo ok
