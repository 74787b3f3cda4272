#!/usr/bin/env bash
# medseg predict beyond the plain case: 8 bits, bf16, ensembles, mirroring, uncertainty, clean-up; medseg checkpoint quantize.
source "$(dirname "$0")/checks.sh"
[ "${MEDSEG_WITH_TORCH:-1}" = 1 ] || { echo "built without networks: skipped"; exit 77; }

succeed "$MEDSEG" phantom "$work/raw" --cases 3 --size 48,40,16 --structures liver,heart,spleen
for seed in 7 8; do
    cat >"$work/recipe.yaml" <<YAML
name: tiny
seed: $seed
output: $work/m$seed
data: {root: $work/raw, structures: [liver, heart, spleen], validation_fraction: 0.34}
prepare: {image_size: 48}
model: {features: [8, 16], bottleneck: 32}
train: {epochs: 12, batch_size: 4, loss: bce_dice, learning_rate: 0.01, save_every: 0}
YAML
    succeed "$MEDSEG" run "$work/recipe.yaml"
done
model=$work/m7/model
image=$work/raw/s0001/ct.nii.gz
predict() { succeed "$MEDSEG" predict --model "$model" --input "$image" --output "$work/$1.nii.gz" "${@:2}"; }
dice() { # A B: lowest Dice of the structures that either has, from per_case.csv
    succeed "$MEDSEG" evaluate --reference "$work/$1.nii.gz" --prediction "$work/$2.nii.gz" --output "$work/dice" --metrics dice
    python3 -c "
import csv, math, sys
values = [float(r['dice'] or 'nan') for r in csv.DictReader(open(sys.argv[1]))]
print(min(v for v in values if not math.isnan(v)))" "$work/dice/per_case.csv"
}
above() { python3 -c "import sys; sys.exit(not float(sys.argv[1]) >= float(sys.argv[2]))" "$1" "$2"; }

predict plain

# 8 bits: calibrated once, close to fp32; clear words when it was not, or is of another model.
expect 2 'checkpoint quantize' "$MEDSEG" predict --model "$model" --input "$image" --output "$work/x.nii.gz" --precision int8
succeed "$MEDSEG" checkpoint quantize "$model" --slices 16
predict int8 --precision int8
above "$(dice plain int8)" 0.9 || fail "int8 differs from fp32: $(dice plain int8)"
predict bf16 --precision bf16
above "$(dice plain bf16)" 0.9 || fail "bf16 differs from fp32: $(dice plain bf16)"
cp -r "$model" "$work/other"
cp "$work/m8/model/best.pth" "$work/other/best.pth"
expect 3 'made for another best.pth' "$MEDSEG" predict --model "$work/other" --input "$image" --output "$work/x.nii.gz" --precision int8
head -c 60 "$model/quantization.json" >"$work/other/quantization.json"
expect 3 'damaged' "$MEDSEG" predict --model "$work/other" --input "$image" --output "$work/x.nii.gz" --precision int8
expect 3 'is no slice cache' "$MEDSEG" checkpoint quantize "$model" --cache "$work/none"
expect 2 'fp64' "$MEDSEG" predict --model "$model" --input "$image" --output "$work/x.nii.gz" --precision fp64

# A model that votes with itself changes nothing; mirroring a batch-norm net trained without flips changes something.
predict twice --model "$model"
[ "$(dice plain twice)" = 1.0 ] || fail "two votes of one model differ from one: $(dice plain twice)"
succeed "$MEDSEG" predict --model "$model" --model "$work/m8/model" --input "$image" --output "$work/both.nii.gz"
predict mirrored --mirror x,y
expect 2 'mirror' "$MEDSEG" predict --model "$model" --input "$image" --output "$work/x.nii.gz" --mirror z
sed 's/heart/aorta/g' "$work/recipe.yaml" >"$work/aorta.yaml"
succeed "$MEDSEG" phantom "$work/raw2" --cases 2 --size 48,40,16 --structures liver,aorta,spleen
succeed "$MEDSEG" train "$work/aorta.yaml" data.root="$work/raw2" output="$work/m9" train.epochs=1
expect 3 'structures' "$MEDSEG" predict --model "$model" --model "$work/m9/model" --input "$image" --output "$work/x.nii.gz"

# Uncertainty lies between 0 and 1, on the grid of the image.
predict sure --uncertainty
"$MEDSEG" info "$work/sure_uncertainty.nii.gz" --json >"$work/info.json" || fail "no uncertainty"
python3 -c "
import json, sys
info = json.load(open(sys.argv[1]))
assert info['size'] == [48, 40, 16] and 0 <= info['min'] < info['max'] <= 1, info" "$work/info.json" || fail "uncertainty"

# The largest component of each structure is one component.
predict clean --largest-component --fill-holes --remove-small 5
predict smooth --smooth 4

# 2.5D: three slices in, one out; both executions agree, and a 2D model cannot vote with it.
succeed "$MEDSEG" run "$work/recipe.yaml" output="$work/m25" model.neighbours=1
succeed "$MEDSEG" checkpoint quantize "$work/m25/model" --slices 16
for precision in fp32 int8; do
    succeed "$MEDSEG" predict --model "$work/m25/model" --input "$image" --output "$work/m25$precision.nii.gz" --precision $precision
done
above "$(dice m25fp32 m25int8)" 0.9 || fail "2.5D: int8 differs from fp32: $(dice m25fp32 m25int8)"
expect 3 'neighbours' "$MEDSEG" predict --model "$model" --model "$work/m25/model" --input "$image" --output "$work/x.nii.gz"

# Thresholds of each structure from the validation slices: only for this state of the model, only for sigmoid outputs.
expect 2 'checkpoint thresholds' "$MEDSEG" predict --model "$model" --input "$image" --output "$work/x.nii.gz" --searched-thresholds
succeed "$MEDSEG" checkpoint thresholds "$model"
read -r before after < <(sed 's/.*mean Dice \([0-9.]*\) -> \([0-9.]*\)/\1 \2/' "$work/stdout")
above "$after" "$before" || fail "searched thresholds are worse on the slices they were chosen on: $before -> $after"
predict searched --searched-thresholds
cp "$model/thresholds.json" "$work/m8/model/"
expect 3 'made for another best.pth' "$MEDSEG" predict --model "$work/m8/model" --input "$image" --output "$work/x.nii.gz" --searched-thresholds
predict edges --crf

# Where the network looks.
for method in grad-cam occlusion; do
    succeed "$MEDSEG" render explain liver --model "$model" --image "$image" --output "$work/$method.png" --method $method
    [ -s "$work/$method.png" ] || fail "no picture by $method"
done
expect 2 'no structure "pancreas"' "$MEDSEG" render explain pancreas --model "$model" --image "$image" --output "$work/x.png"
[ -e "$work/x.png" ] && fail "a failed explanation left a picture"
[ -e "$work/x.nii.gz" ] && fail "a failed prediction left a file"
no_leftovers "$work"
echo passed
