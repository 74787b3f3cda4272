#!/usr/bin/env bash
# SAM 3D: the tiny recipe from phantoms to metrics, resume, LoRA with the seed's names, a new volume, and what can be wrong with it.
source "$(dirname "$0")/checks.sh"
[ "${MEDSEG_WITH_TORCH:-1}" = 1 ] || { echo "built without networks: skipped"; exit 77; }
recipes="$(dirname "$0")/../../recipes"

succeed "$MEDSEG" phantom "$work/raw" --cases 4 --size 40,32,36 --spacing 10 --structures liver,heart --layout nnunet
small=(data.root="$work/raw" data.images=imagesTr data.labels_folder=labelsTr prepare_sam3d.classes=2 prepare_sam3d.spacing=10
    'data.test_cases=[s0002.nii]' 'data.validation_cases=[s0003.nii]' sam3d.samples_per_epoch=8 sam3d.validation_samples=2
    sam3d.vae_epochs=1 train.epochs=2 train.batch_size=4 train.validate_every=1 sampling.samples=2 report.overlays=1)
weights() { # CHECKPOINT KEY -> hash of what it holds under KEY
    succeed "$MEDSEG" checkpoint convert "$1" "$work/weights.safetensors" --extract "$2"
    sha256sum <"$work/weights.safetensors"
}

# The whole pipeline.
succeed "$MEDSEG" run "$recipes/sam3d_tiny.yaml" "${small[@]}" output="$work/a"
for file in model/vae/best.pt model/best.pt model/latest.pt model/mean_shapes.npz model/split.json model/history.json model/history.png \
    predictions/s0002.nii.nii.gz evaluation/metrics.json report/s0002.nii/comparison.png report/s0002.nii/overlay_axial.png \
    report/s0002.nii/prediction.obj report/s0002.nii/reference.obj report/s0002.nii/scene.html; do
    [ -s "$work/a/$file" ] || fail "no $file: $(find "$work/a" -not -path '*/cache/*' -type f)"
done
for key in '"extruded_slice"' '"mean_training_shape"' '"hd95"' '"chamfer"' '"surface_dice_1mm"' '"definitions"'; do
    grep -q "$key" "$work/a/evaluation/metrics.json" || fail "no $key in metrics.json"
done
succeed "$MEDSEG" run "$recipes/sam3d_tiny.yaml" "${small[@]}" output="$work/a"
grep -q 'train: up to date' "$work/stderr" || fail "trained again: $(cat "$work/stderr")"

# Stopped and resumed, with the autoencoder of a run of its own: the same weights.
succeed "$MEDSEG" train "$recipes/sam3d_tiny.yaml" "${small[@]}" output="$work/b" train.epochs=2 train.save_every=1
rm "$work/b/model/latest.pt" "$work/b/model/best.pt"
succeed "$MEDSEG" train "$recipes/sam3d_tiny.yaml" "${small[@]}" output="$work/b" train.save_every=1 --resume epoch_1.pt
grep -q 'resumed from .*/b/model/epoch_1.pt after epoch 1' "$work/stderr" || fail "$(cat "$work/stderr")"
[ "$(weights "$work/a/model/latest.pt" model_state_dict)" = "$(weights "$work/b/model/latest.pt" model_state_dict)" ] ||
    fail "the resumed run has other weights"

# LoRA on that model, with the tutorial's names; the checkpoint holds adapters only and merges into the base.
lora=("${small[@]}" sam3d.preset=tiny sam3d.target=solid sam3d.weights="$work/a/model" sampling.guidance=0 sampling.steps=1
    lora.rank=2 lora.alpha=4 loss.w_mask_loss=1.0 loss.w_sdf_loss=0.5 'data.preprocess_crop_size=[32,32]' training.batch_size=2 train.epochs=1)
succeed "$MEDSEG" run "$recipes/sam3d_heart.yaml" "${lora[@]}" output="$work/lora"
[ "$(stat -c %s "$work/lora/model/best.pt")" -lt $(($(stat -c %s "$work/a/model/best.pt") / 4)) ] || fail "adapters are not small"
succeed "$MEDSEG" checkpoint merge-lora "$work/a/model/best.pt" "$work/lora/model/best.pt" "$work/merged.pt"

# A new volume from one slice of a mask, in its geometry, with uncertainty.
image=$work/raw/imagesTr/s0002_0000.nii.gz mask=$work/raw/labelsTr/s0002.nii.gz
[ -s "$image" ] || fail "$(ls "$work/raw/imagesTr")"
for model in a/model lora/model merged.pt; do
    succeed "$MEDSEG" reconstruct --model "$work/$model" --image "$image" --mask "$mask" --slice k:15 --output "$work/out.nii.gz" \
        --uncertainty "$work/u.nii.gz" --json sampling.samples=2
    grep -q '"objects":1,"seconds".*"slices":1' "$work/stdout" || fail "$(cat "$work/stdout")"
    grep -q 'do not show label 2: left out' "$work/stderr" || fail "$(cat "$work/stderr")"
    succeed "$MEDSEG" evaluate --reference "$mask" --prediction "$work/out.nii.gz" # the same grid
done
new() { "$MEDSEG" reconstruct --model "$work/a/model" --image "$image" --mask "$mask" --output "$work/new.nii.gz" "$@"; }
expect 2 'give AXIS:INDEX' new --slice 15
expect 2 'outside the image' new --slice k:4000
expect 3 'no slice shows 20 pixels of label 9' new --label 9
expect 3 'label 2 on slice 15 across axis 2: the mask is empty' new --slice k:15 --label 2
expect 3 'no label of it' new --slice k:35
expect 3 'none' "$MEDSEG" reconstruct --model "$work/none" --image "$image" --mask "$mask" --output "$work/new.nii.gz"
succeed "$MEDSEG" phantom "$work/other" --cases 1 --size 24,20,24 --spacing 12 --structures liver --layout nnunet
expect 3 'differ|same' "$MEDSEG" reconstruct --model "$work/a/model" --image "$image" --mask "$work/other/labelsTr/s0000.nii.gz" --output "$work/new.nii.gz"
: >"$work/empty.pt"
expect 3 'empty' "$MEDSEG" reconstruct --model "$work/empty.pt" --image "$image" --mask "$mask" --output "$work/new.nii.gz"
[ ! -e "$work/new.nii.gz" ] || fail "a failed command left a file"
expect 3 'distances of 2 labels, sam3d.classes asks for 9' "$MEDSEG" train "$recipes/sam3d_tiny.yaml" "${small[@]}" output="$work/many" sam3d.classes=9
expect 2 'sam3d.weights' "$MEDSEG" train "$recipes/sam3d_tiny.yaml" "${small[@]}" output="$work/noweights" lora.enabled=true
expect 3 'epoch_7.pt' "$MEDSEG" train "$recipes/sam3d_tiny.yaml" "${small[@]}" output="$work/b" train.epochs=3 --resume epoch_7.pt
no_leftovers "$work/a"
