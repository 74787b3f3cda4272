#!/usr/bin/env bash
# MedSAM: prepare, train, resume, predict with boxes and points, evaluate; and what can be wrong with prompts.
source "$(dirname "$0")/checks.sh"
[ "${MEDSEG_WITH_TORCH:-1}" = 1 ] || { echo "built without networks: skipped"; exit 77; }

succeed "$MEDSEG" phantom "$work/raw" --cases 3 --size 64,48,10 --spacing 6 --structures liver,spleen,heart --layout nnunet
cat >"$work/recipe.yaml" <<YAML
name: tiny
seed: 3
data: {root: $work/raw, images: imagesTr, labels_folder: labelsTr, validation_fraction: 0.5}
model: {kind: sam}
prepare: {form: medsam}
prepare_medsam: {remove_labels: 0, dust_3d: 0, dust_2d: 0, train_cases: 2}
sam: {model: vit_tiny, image_size: 64}
train: {epochs: 2, batch_size: 4, optimizer: adamw, decay_all: true, learning_rate: 0.0003, schedule: constant, save_every: 0}
YAML
weights() { # CHECKPOINT -> hash of its weights
    succeed "$MEDSEG" checkpoint convert "$1" "$work/weights.safetensors" --extract model_state_dict
    sha256sum <"$work/weights.safetensors"
}

# The whole pipeline, with the seed's table and picture.
succeed "$MEDSEG" run "$work/recipe.yaml" output="$work/a"
for file in cache/npy/gts cache/npz_test model/best.pth model/latest.pth model/training_history.png model/split.json \
    model/validation_boxes.json evaluation/result.md evaluation/per_case.csv evaluation/summary.json evaluation/comparison.png; do
    [ -s "$work/a/$file" ] || fail "no $file"
done
grep -q '| NAME | DSC | MIOU | FPS | Epochs | AMP_Type |' "$work/a/evaluation/result.md" || fail "$(cat "$work/a/evaluation/result.md")"
grep -qE '^\| tiny \|.*\| [12] \| O0 \|$' "$work/a/evaluation/result.md" || fail "$(cat "$work/a/evaluation/result.md")"

# Stopped and resumed: the same weights.
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/b" train.epochs=1
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/b" --resume
[ "$(weights "$work/a/model/latest.pth")" = "$(weights "$work/b/model/latest.pth")" ] || fail "the resumed run has other weights"

# The decoder alone, from kept embeddings, starting from the weights above.
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/d" sam.train=decoder sam.checkpoint="$work/a/model"
compgen -G "$work/d/model/embeddings/*.npy" >/dev/null || fail "no embeddings are kept"

# Prediction from the trained folder and from the plain official form of the same weights: the same labels.
image=$(ls "$work"/raw/imagesTr/*_0000.nii.gz | tail -n 1)
labels="$work/raw/labelsTr/$(basename "$image" _0000.nii.gz).nii.gz"
succeed "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/from_folder.nii.gz" --boxes-from "$labels" --box-margin 1
succeed "$MEDSEG" checkpoint convert "$work/a/model/best.pth" "$work/medsam_tiny.pth"
succeed "$MEDSEG" predict --model "$work/medsam_tiny.pth" --input "$image" --output "$work/plain.nii.gz" --boxes-from "$labels" \
    --box-margin 1 --modality CT --window=-160,240
cmp "$work/from_folder.nii.gz" "$work/plain.nii.gz" || fail "plain weights predict otherwise"
succeed "$MEDSEG" evaluate --reference "$labels" --prediction "$work/plain.nii.gz" --metrics dice

# Boxes and points in pixels and millimetres, a CSV, JSON.
succeed "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/p.nii.gz" --box 3:10,10,30,30,4 --point 3:20,20,4 --json
grep -q '"label":3,"slice":4' "$work/stdout" || fail "$(cat "$work/stdout")"
printf 'label,z,x0,y0,x1,y1\n3,4,10,10,30,30\n' >"$work/prompts.csv"
succeed "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/csv.nii.gz" --prompts "$work/prompts.csv"
succeed "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/box.nii.gz" --box 3:10,10,30,30,4
cmp "$work/csv.nii.gz" "$work/box.nii.gz" || fail "the CSV's box is another one"

# A picture with colours.
succeed "$MEDSEG" render montage "$image" --output "$work/picture.png"
succeed "$MEDSEG" predict --model "$work/a" --input "$work/picture.png" --output "$work/mask.png" --box 40,40,200,160
succeed "$MEDSEG" info "$work/mask.png"

# Mistakes.
expect 2 'needs to be told what to segment' "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/x.nii.gz"
expect 2 'slice 99 lies outside' "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/x.nii.gz" --box 1,1,5,5,99
expect 2 'a volume needs the slice' "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/x.nii.gz" --box 1,1,5,5
expect 2 'multiple of 8' "$MEDSEG" train "$work/recipe.yaml" output="$work/e" sam.image_size=60
expect 2 'none of: vit_b' "$MEDSEG" train "$work/recipe.yaml" output="$work/e" sam.model=vit_x
expect 3 'prepare --form medsam' "$MEDSEG" evaluate --model "$work/a" --input "$work/raw"
[ -e "$work/x.nii.gz" ] && fail "a failed prediction left a file"
echo "medsam: passed"
