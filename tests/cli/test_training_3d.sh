#!/usr/bin/env bash
# A 3D U-Net from cases to labels: medseg prepare, run, train and predict with model.dimensions=3; and what can be wrong.
source "$(dirname "$0")/checks.sh"

succeed "$MEDSEG" phantom "$work/raw" --cases 4 --size 40,32,36 --structures liver,heart,spleen
cat >"$work/recipe.yaml" <<YAML
name: tiny3d
seed: 7
data: {root: $work/raw, structures: [liver, heart, spleen], validation_fraction: 0.25, test_fraction: 0.25}
prepare: {spacing: 12}
model: {dimensions: 3, patch_size: 16, features: [4, 8], bottleneck: 12, norm: instance, output: softmax, deep_supervision: true,
        coordinates: [x, y, z]}
train: {epochs: 4, batch_size: 2, patches_per_case: 3, loss: ce_dice, learning_rate: 0.01, workers: 2}
augmentation: {enabled: true, elastic: 0.05}
predict: {batch_size: 2}
YAML

# Preparation alone: volumes of one voxel size, a manifest, a picture; the second time nothing is done again.
succeed "$MEDSEG" prepare "$work/recipe.yaml" output="$work/p"
for file in manifest.json label_map.json contact_sheet.png recipe.yaml images/s0000.npy labels/s0003.npy foreground/s0001.npy; do
    [ -s "$work/p/volumes/$file" ] || fail "prepare wrote no volumes/$file"
done
no_leftovers "$work/p/volumes"
before=$(stat -c %Y.%i "$work/p/volumes/images/s0000.npy")
succeed "$MEDSEG" prepare "$work/recipe.yaml" output="$work/p"
grep -q '0 prepared, 4 up to date' "$work/stdout" || fail "prepared again: $(cat "$work/stdout")"
[ "$(stat -c %Y.%i "$work/p/volumes/images/s0000.npy")" = "$before" ] || fail "wrote a finished case again"
if /usr/bin/python3 -c 'import numpy' 2>/dev/null; then
    /usr/bin/python3 - "$work/p/volumes" <<'PY' || fail "the arrays are not what the manifest says"
import json, sys, numpy
folder = sys.argv[1]
manifest = json.load(open(folder + "/manifest.json"))
assert manifest["form"] == "volumes" and [c["id"] for c in manifest["cases"]] == ["s0000", "s0001", "s0002", "s0003"]
for case in manifest["cases"]:
    values = case["values"]
    image, labels, voxels = (numpy.load(f"{folder}/{kind}/{case['id']}.npy") for kind in ("images", "labels", "foreground"))
    assert image.dtype == numpy.float16 and list(image.shape[::-1]) == values["size"]
    assert 0 <= image.min() and image.max() <= 1
    assert labels.shape == (1, *image.shape)
    assert numpy.bincount(labels.ravel(), minlength=4).tolist() == values["voxels"]
    spacing = numpy.linalg.norm(numpy.array(values["affine"])[:3, :3], axis=0)
    assert (abs(spacing / 12 - 1) < 0.05).all(), spacing
    assert numpy.bincount(labels.ravel()[voxels], minlength=4).tolist() == values["foreground"]
PY
fi
succeed "$MEDSEG" render augmentations "$work/recipe.yaml" "$work/changes.png" output="$work/p" augmentation.elastic=0.06
succeed "$MEDSEG" render augmentations "$work/p/volumes" "$work/cache.png" --rows 1 --changes 2 'model.patch_size=[16, 16, 8]'
[ -s "$work/changes.png" ] && [ -s "$work/cache.png" ] || fail "no picture of augmentations"
[ "${MEDSEG_WITH_TORCH:-1}" = 1 ] || { echo "built without networks: the rest is skipped"; exit 0; }

weights() { # CHECKPOINT -> hash of its weights
    succeed "$MEDSEG" checkpoint convert "$1" "$work/weights.safetensors" --extract model_state_dict
    sha256sum <"$work/weights.safetensors"
}

# A whole run; one seed gives one result, whatever the number of loading threads.
succeed "$MEDSEG" run "$work/recipe.yaml" output="$work/a" train.sample_every=4
for file in volumes/manifest.json model/best.pth model/latest.pth model/split.json model/samples/epoch4.png evaluation/summary.json \
    report/report.html; do
    [ -s "$work/a/$file" ] || fail "no $file"
done
whole=$(weights "$work/a/model/latest.pth")
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/b" train.workers=1 train.sample_every=4
[ "$(weights "$work/b/model/latest.pth")" = "$whole" ] || fail "one seed gave two results"
succeed "$MEDSEG" run "$work/recipe.yaml" output="$work/a" train.sample_every=4
grep -q 'prepare: up to date' "$work/stderr" && grep -q 'train: up to date' "$work/stderr" || fail "$(cat "$work/stderr")"

# Cut off by Ctrl-C: exit 130, and the continued run ends with bit-identical weights.
"$MEDSEG" train "$work/recipe.yaml" output="$work/c" train.sample_every=4 2>"$work/stderr" >/dev/null &
pid=$!
wait_for "$work/c/model/latest.pth"
kill -INT "$pid"
code=0; wait "$pid" || code=$?
[ "$code" = 130 ] || [ "$code" = 0 ] || fail "interrupted training ended with $code: $(cat "$work/stderr")"
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/c" train.sample_every=4
[ "$(weights "$work/c/model/latest.pth")" = "$whole" ] || fail "the resumed run has other weights"

# Predict: the geometry of the input in any orientation, masks, probabilities, uncertainty, overlap, mirroring, ensembles.
image=$work/raw/s0001/ct.nii.gz
succeed "$MEDSEG" predict --model "$work/a/model" --input "$image" --output "$work/q/organs.nii.gz" --separate --probabilities \
    --uncertainty --mirror x,z
for file in organs.nii.gz organs/liver.nii.gz organs_probabilities/spleen.nii.gz organs_uncertainty.nii.gz; do
    [ -s "$work/q/$file" ] || fail "predict wrote no $file"
done
no_leftovers "$work/q"
geometry() { "$MEDSEG" info "$1" --json | tr -d ' \n' | grep -o '"affine":[^"]*"'; }
[ "$(geometry "$image")" = "$(geometry "$work/q/organs.nii.gz")" ] || fail "the prediction lies elsewhere than the image"
succeed "$MEDSEG" predict --model "$work/a/model" --input "$image" --output "$work/plain.nii.gz" --overlap 0.25 --batch-size 1
succeed "$MEDSEG" convert "$image" "$work/lps.nii.gz" --reorient LPS
succeed "$MEDSEG" predict --model "$work/a/model" --input "$work/lps.nii.gz" --output "$work/lps-organs.nii.gz" --overlap 0.25
succeed "$MEDSEG" convert "$work/lps-organs.nii.gz" "$work/ras-organs.nii.gz" --reorient RAS
succeed "$MEDSEG" evaluate --reference "$work/plain.nii.gz" --prediction "$work/ras-organs.nii.gz" --output "$work/same" --metrics dice
python3 - "$work/same/per_case.csv" <<'PY' || fail "another orientation gave another segmentation"
import csv, sys
for row in csv.DictReader(open(sys.argv[1])):
    assert row["dice"] in ("nan", "") or float(row["dice"]) == 1, row
PY
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/e" seed=8 train.epochs=1
succeed "$MEDSEG" predict --model "$work/a/model" --model "$work/e/model" --input "$work/raw" --output "$work/both"
[ "$(ls "$work/both" | wc -l)" = 4 ] || fail "folder: $(ls "$work/both")"

# Overlapping structures need sigmoid outputs; every option of the network runs.
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/g" train.epochs=1 model.output=sigmoid train.loss=bce_dice \
    model.attention=true model.residual=true model.norm=batch model.coordinates=[]
succeed "$MEDSEG" predict --model "$work/g/model" --input "$image" --output "$work/g.nii.gz"

# What cannot be.
expect 2 'model.patch_size 18x16x16 must be divisible by 4' "$MEDSEG" train "$work/recipe.yaml" output="$work/x" 'model.patch_size=[18, 16, 16]'
expect 2 'data.split slice' "$MEDSEG" train "$work/recipe.yaml" output="$work/x" data.split=slice
expect 2 'use train.foreground' "$MEDSEG" train "$work/recipe.yaml" output="$work/x" train.oversample=1
expect 2 'model.neighbours is for slices' "$MEDSEG" train "$work/recipe.yaml" output="$work/x" model.neighbours=1
expect 2 'outside 2..3' "$MEDSEG" train "$work/recipe.yaml" output="$work/x" model.dimensions=4
expect 2 'bf16 needs a GPU' "$MEDSEG" predict --model "$work/a/model" --input "$image" --output "$work/x.nii.gz" --precision bf16
expect 2 'int8' "$MEDSEG" predict --model "$work/a/model" --input "$image" --output "$work/x.nii.gz" --precision int8
expect 3 'differs from .* in its model.coordinates' "$MEDSEG" predict --model "$work/a/model" --model "$work/g/model" --input "$image" --output "$work/x.nii.gz"
expect 2 'a search for thresholds is for two-dimensional networks' "$MEDSEG" run "$work/recipe.yaml" output="$work/a" train.sample_every=4 predict.search_thresholds=true
out_of_memory() { (ulimit -v 6000000; "$MEDSEG" train "$work/recipe.yaml" output="$work/oom" model.bottleneck=8192 'model.features=[4096, 4096]'); }
expect 1 'out of memory: lower' out_of_memory
echo "no image" >"$work/raw/s0002/ct.nii.gz"
expect 1 '1 of 4 cases could not be prepared' "$MEDSEG" prepare "$work/recipe.yaml" output="$work/p"
[ -e "$work/x.nii.gz" ] && fail "a failed prediction left a file"
echo passed
