#!/usr/bin/env bash
# medseg train, predict and run: from cases to labels; cut off and resumed; and everything that can be wrong.
source "$(dirname "$0")/checks.sh"
[ "${MEDSEG_WITH_TORCH:-1}" = 1 ] || { echo "built without networks: skipped"; exit 77; }

succeed "$MEDSEG" phantom "$work/raw" --cases 3 --size 48,40,16 --structures liver,heart,spleen
cat >"$work/recipe.yaml" <<YAML
name: tiny
seed: 7
data: {root: $work/raw, structures: [liver, heart, spleen], validation_fraction: 0.34}
prepare: {image_size: 48}
model: {features: [4, 8], bottleneck: 12}
train: {epochs: 4, batch_size: 4, loss: bce_dice, learning_rate: 0.01, ema_decay: 0.9, workers: 2}
augmentation: {enabled: true}
YAML
weights() { # CHECKPOINT -> hash of its weights
    succeed "$MEDSEG" checkpoint convert "$1" "$work/weights.safetensors" --extract model_state_dict
    sha256sum <"$work/weights.safetensors"
}

# A whole run, its files, and the same weights from the same seed.
succeed "$MEDSEG" run "$work/recipe.yaml" output="$work/a"
for file in recipe.yaml stages.json model/label_map.json model/best.pth model/latest.pth model/checkpoint_epoch4.pth \
    model/training_history.json model/training_history.png model/recipe.yaml evaluation/summary.json evaluation/per_case.csv \
    report/report.html; do
    [ -s "$work/a/$file" ] || fail "no $file"
done
[ -e "$work/a/model/checkpoint_epoch1.pth" ] && fail "keep_checkpoints: 3 left checkpoint_epoch1.pth"
whole=$(weights "$work/a/model/latest.pth")
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/b"
[ "$(weights "$work/b/model/latest.pth")" = "$whole" ] || fail "one seed gave two results"

# A finished run is left alone; a changed section runs again from there.
succeed "$MEDSEG" run "$work/recipe.yaml" output="$work/a"
grep -q 'train: up to date' "$work/stderr" || fail "trained again: $(cat "$work/stderr")"
succeed "$MEDSEG" run "$work/recipe.yaml" output="$work/a" evaluate.metrics='[dice]'
grep -q 'predict: up to date' "$work/stderr" && ! grep -q 'evaluate: up to date' "$work/stderr" || fail "$(cat "$work/stderr")"

# Cut off by Ctrl-C in the middle: exit 130, and the continued run ends with bit-identical weights.
"$MEDSEG" train "$work/recipe.yaml" output="$work/c" 2>"$work/stderr" >/dev/null &
pid=$!
for _ in $(seq 600); do
    [ -e "$work/c/model/latest.pth" ] && break
    sleep 0.05
done
kill -INT "$pid"
code=0; wait "$pid" || code=$?
if [ "$code" = 130 ]; then
    grep -q 'interrupted: state saved in' "$work/stderr" || fail "$(cat "$work/stderr")"
    no_leftovers "$work/c"
else
    [ "$code" = 0 ] || fail "interrupted training ended with $code: $(cat "$work/stderr")"
fi
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/c"
[ "$(weights "$work/c/model/latest.pth")" = "$whole" ] || fail "the resumed run has other weights"

# Stopped after two epochs, continued with more: also what four epochs at once give.
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/d" train.epochs=2 train.schedule=constant
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/d" train.epochs=4 train.schedule=constant --resume
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/e" train.epochs=4 train.schedule=constant
[ "$(weights "$work/d/model/latest.pth")" = "$(weights "$work/e/model/latest.pth")" ] || fail "2 + 2 epochs differ from 4"

# Predict: the geometry of the input, masks and probabilities on request, the case's name.
image=$work/raw/s0001/ct.nii.gz
succeed "$MEDSEG" predict --model "$work/a/model" --input "$image" --output "$work/p/organs.nii.gz" --separate --probabilities
for file in organs.nii.gz organs/liver.nii.gz organs/heart.nii.gz organs_probabilities/spleen.nii.gz; do
    [ -s "$work/p/$file" ] || fail "predict wrote no $file"
done
no_leftovers "$work/p"
geometry() { "$MEDSEG" info "$1" --json | tr -d ' \n' | grep -o '"affine":[^"]*"'; }
[ "$(geometry "$image")" = "$(geometry "$work/p/organs.nii.gz")" ] || fail "the prediction lies elsewhere than the image"
succeed "$MEDSEG" predict --model "$work/a/model/best.pth" --input "$work/raw" --output "$work/q"
[ "$(ls "$work/q")" = "$(printf 's0000.nii.gz\ns0001.nii.gz\ns0002.nii.gz')" ] || fail "folder: $(ls "$work/q")"
succeed "$MEDSEG" convert "$image" "$work/lps.nii.gz" --reorient LPS
succeed "$MEDSEG" predict --model "$work/a/model" --input "$work/lps.nii.gz" --output "$work/lps-organs.nii.gz"
succeed "$MEDSEG" convert "$work/lps-organs.nii.gz" "$work/ras-organs.nii.gz" --reorient RAS
succeed "$MEDSEG" evaluate --reference "$work/q/s0001.nii.gz" --prediction "$work/ras-organs.nii.gz" --output "$work/same" --metrics dice --json
python3 - "$work/same/per_case.csv" <<'PY' || fail "another orientation gave another segmentation"
import csv, sys
for row in csv.DictReader(open(sys.argv[1])):
    assert row["dice"] in ("nan", "") or float(row["dice"]) == 1, row
PY

# Cross-validation: a model a fold, mean and deviation; folds that are done are left alone.
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/cv" data.folds=3 train.epochs=2 train.sample_every=1 --all-folds
for file in fold_0/best.pth fold_2/training_history.json fold_1/samples/epoch2.png cross_validation.json; do
    [ -s "$work/cv/model/$file" ] || fail "cross-validation wrote no $file"
done
compgen -G "$work/cv/model/fold_0/events/events.out.tfevents.*" >/dev/null || fail "no TensorBoard events"
python3 - "$work/cv/model" <<'PY' || fail "cross_validation.json"
import json, statistics, sys
result = json.load(open(sys.argv[1] + "/cross_validation.json"))
dice = [fold["best_dice"] for fold in result["folds"]]
assert len(dice) == 3 and abs(statistics.mean(dice) - result["mean_dice"]) < 1e-9
assert abs(statistics.stdev(dice) - result["standard_deviation"]) < 1e-9
held = [json.load(open(f"{sys.argv[1]}/fold_{f}/split.json"))["validation"] for f in range(3)]
assert sorted(sum(held, [])) == ["s0000", "s0001", "s0002"], held
PY
folds=$(cat "$work/cv/model/cross_validation.json")
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/cv" data.folds=3 train.epochs=2 train.sample_every=1 --all-folds
grep -q 'epoch 1/2' "$work/stderr" && fail "trained a finished fold again"
[ "$(cat "$work/cv/model/cross_validation.json")" = "$folds" ] || fail "the second cross-validation says something else"
expect 2 'at least two folds' "$MEDSEG" train "$work/recipe.yaml" output="$work/cv" --all-folds
expect 2 'needs as many cases' "$MEDSEG" train "$work/recipe.yaml" output="$work/cv" data.folds=7 --all-folds

# Augmentation as a picture, from the recipe and from the cache.
succeed "$MEDSEG" render augmentations "$work/recipe.yaml" "$work/changes.png" output="$work/a" augmentation.elastic=0.04
succeed "$MEDSEG" render augmentations "$work/a/cache" "$work/cache.png" --rows 1 --changes 2
[ -s "$work/changes.png" ] && [ -s "$work/cache.png" ] || fail "no picture of augmentations"
expect 3 'no training slices here' "$MEDSEG" render augmentations "$work/recipe.yaml" "$work/x.png" output="$work/none"

# Every kind of loss runs through the program; a structure that no slice shows is named, and the loss stays finite.
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/l1" train.epochs=1 train.loss=focal_tversky \
    train.class_weights=inverse train.accumulate=2 data.structures='[liver, heart, spleen, rib_left_1]'
grep -q '1 of 4 structures occur in no training slice and will not be learned: rib_left_1' "$work/stderr" ||
    fail "no warning of the absent structure: $(cat "$work/stderr")"
grep -q 'epoch 1/1.*loss [0-9]' "$work/stderr" || fail "the loss is not finite: $(cat "$work/stderr")"
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/l2" train.epochs=1 train.loss=ce_generalized_dice \
    model.output=softmax train.structure_weights='[liver=0.5]' train.ignore_label=spleen

# A checkpoint of another architecture or of other structures.
expect 3 'weights do not fit the network' "$MEDSEG" train "$work/recipe.yaml" output="$work/a" 'model.features=[6, 8]' --resume
expect 2 'did you mean "liver"' "$MEDSEG" train "$work/recipe.yaml" output="$work/x" train.ignore_label=livr
expect 2 'needs device: cuda' "$MEDSEG" train "$work/recipe.yaml" output="$work/x" train.precision=fp16

# Out of memory: what to lower. The limit leaves room for the program, not for such a network.
out_of_memory() { (ulimit -v 6000000; "$MEDSEG" train "$work/recipe.yaml" output="$work/oom" model.bottleneck=8192 'model.features=[4096, 4096]'); }
expect 1 'out of memory: lower' out_of_memory

# Wrong use and wrong input.
expect 2 'did you mean "epochs"' "$MEDSEG" train "$work/recipe.yaml" output="$work/x" train.epoch=3
expect 2 'no such recipe' "$MEDSEG" run "$work/missing.yaml"
expect 2 'names no data' "$MEDSEG" run "$work/recipe.yaml" output="$work/x" data.root=
expect 2 'train.loss ce does not go with model.output sigmoid' "$MEDSEG" train "$work/recipe.yaml" output="$work/x" train.loss=ce
expect 2 'must be divisible by 4' "$MEDSEG" train "$work/recipe.yaml" output="$work/x" prepare.image_size=50
expect 2 'device "cuda' "$MEDSEG" predict --model "$work/a/model" --input "$image" --output "$work/x.nii.gz" --device cuda:99
expect 3 'no such file' "$MEDSEG" predict --model "$work/a/model" --input "$work/none.nii.gz" --output "$work/x.nii.gz"
expect 3 'no model in this folder' "$MEDSEG" predict --model "$work/raw" --input "$image" --output "$work/x.nii.gz"
expect 3 '' "$MEDSEG" predict --model "$image" --input "$image" --output "$work/x.nii.gz"
expect 3 'no images in this folder' "$MEDSEG" predict --model "$work/a/model" --input "$work/a/cache/cases" --output "$work/x"
head -c 3000 "$image" >"$work/cut.nii.gz"
expect 3 'cut.nii.gz' "$MEDSEG" predict --model "$work/a/model" --input "$work/cut.nii.gz" --output "$work/x.nii.gz"
head -c 9000 "$work/a/model/best.pth" >"$work/cut.pth"
expect 3 'cut.pth' "$MEDSEG" predict --model "$work/cut.pth" --input "$image" --output "$work/x.nii.gz"
touch "$work/file"
expect 1 'file' "$MEDSEG" predict --model "$work/a/model" --input "$image" --output "$work/file/x.nii.gz"
[ -e "$work/x.nii.gz" ] && fail "a failed prediction left a file"
full_disk() { (ulimit -f 40; "$MEDSEG" train "$work/recipe.yaml" output="$work/full"); }
expect 1 'cannot write' full_disk
no_leftovers "$work/full"

# Checkpoints load in Python.
if /usr/bin/python3 -c 'import torch' 2>/dev/null; then
    /usr/bin/python3 - "$work/a/model" <<'PY' || fail "torch.load"
import sys, torch
folder = sys.argv[1]
best = torch.load(folder + "/best.pth", map_location="cpu")
assert best["labels"] == ["liver", "heart", "spleen"], best["labels"]
state = best["model_state_dict"]
assert tuple(state["enc1.conv.0.weight"].shape) == (4, 1, 3, 3) and tuple(state["final_conv.bias"].shape) == (3,)
latest = torch.load(folder + "/latest.pth", map_location="cpu")
parameters = [torch.nn.Parameter(v.clone()) for k, v in latest["model_state_dict"].items()
              if not k.split(".")[-1].startswith(("running_", "num_batches"))]
adam = torch.optim.Adam(parameters)
adam.load_state_dict(latest["optimizer_state_dict"])
assert len(adam.state_dict()["state"]) == len(parameters)
PY
fi
echo passed
