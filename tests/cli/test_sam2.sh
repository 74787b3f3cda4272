#!/usr/bin/env bash
# SAM 2: the ILD recipe from volumes to Dice, resume, boxes that travel three ways, and what can be wrong with them.
source "$(dirname "$0")/checks.sh"
[ "${MEDSEG_WITH_TORCH:-1}" = 1 ] || { echo "built without networks: skipped"; exit 77; }
recipe="$(dirname "$0")/../../recipes/ild_medsam2.yaml"

succeed "$MEDSEG" phantom "$work/raw" --cases 3 --size 64,48,10 --spacing 6 --structures liver,spleen --layout nnunet
rm -f "$work/raw/dataset.json" # the seed's data have none: the recipe names the values
tiny=(data.root="$work/raw" 'data.structures=[liver, spleen]' data.validation_fraction=0.34 data.test_fraction=0
    prepare_medsam.dust_3d=0 prepare_medsam.dust_2d=0 sam2.model=hiera_mini sam2.image_size=64
    train.epochs=2 train.batch_size=4 train.learning_rate=0.001 train.validate_every=1 report.overlays=1)
weights() { # CHECKPOINT -> hash of its weights
    succeed "$MEDSEG" checkpoint convert "$1" "$work/weights.safetensors" --extract model_state_dict
    sha256sum <"$work/weights.safetensors"
}

# The whole pipeline with the seed's tables.
succeed "$MEDSEG" run "$recipe" "${tiny[@]}" output="$work/a"
for file in cache/npy/gts cache/npz_train cache/prompts model/best.pth model/latest.pth model/training_history.png model/split.json \
    model/label_map.json predictions evaluation/per_case.csv evaluation/per_slice.csv evaluation/per_slice_means.csv report/report.html; do
    [ -s "$work/a/$file" ] || fail "no $file"
done
grep -q '^case,liver,spleen$' "$work/a/evaluation/per_slice_means.csv" || fail "$(cat "$work/a/evaluation/per_slice_means.csv")"

# Another way to travel leaves the training alone; so does a mode.
succeed "$MEDSEG" run "$recipe" "${tiny[@]}" output="$work/a" propagate.method=memory sam2.mode=infer
succeed "$MEDSEG" run "$recipe" "${tiny[@]}" output="$work/a" propagate.method=memory
grep -q 'train: up to date' "$work/stderr" || fail "trained again: $(cat "$work/stderr")"
succeed "$MEDSEG" run "$recipe" "${tiny[@]}" output="$work/a" propagate.method=none
grep -q 'train: up to date' "$work/stderr" || fail "trained again: $(cat "$work/stderr")"

# Clips teach the memory.
succeed "$MEDSEG" train "$recipe" "${tiny[@]}" output="$work/clips" train.epochs=1 sam2.clip_slices=2 \
    'sam2.train=[mask_decoder, memory]' sam2.checkpoint="$work/a/model/latest.pth"
expect 2 'needs sam2.clip_slices' "$MEDSEG" train "$recipe" "${tiny[@]}" output="$work/single" 'sam2.train=[memory]'

# Stopped and resumed: the same weights.
succeed "$MEDSEG" train "$recipe" "${tiny[@]}" output="$work/b" train.epochs=1
succeed "$MEDSEG" train "$recipe" "${tiny[@]}" output="$work/b" --resume
[ "$(weights "$work/a/model/latest.pth")" = "$(weights "$work/b/model/latest.pth")" ] || fail "the resumed run has other weights"

# Boxes of a user, of a label map, of an npz, of the lungs; masks one by one; JSON.
image=$(ls "$work"/raw/imagesTr/*_0000.nii.gz | tail -n 1)
labels="$work/raw/labelsTr/$(basename "$image" _0000.nii.gz).nii.gz"
npz=$(ls "$work"/a/cache/npz_train/*/*.npz | head -n 1)
for way in slices memory; do
    succeed "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/$way.nii.gz" --propagate $way --box 2:20,15,40,30,5 --json
    grep -q '"label":2,"slice":5' "$work/stdout" || fail "$(cat "$work/stdout")"
    succeed "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/$way.nii.gz" --propagate $way --boxes-from "$labels" --separate
    [ -s "$work/$way" ] || fail "no folder of masks"
done
succeed "$MEDSEG" predict --model "$work/a" --input "$npz" --output "$work/npz.nii.gz" --propagate slices --rules official
succeed "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/lungs.nii.gz" --propagate slices --lungs
succeed "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/still.nii.gz" --box 20,15,40,30,5 --point 25,20,5

if grep -q avx512_bf16 /proc/cpuinfo; then
    succeed "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/half.nii.gz" --box 20,15,40,30,5 --precision bf16
    succeed "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/half.nii.gz" --propagate slices --box 20,15,40,30,5 --precision bf16
fi

# What can be wrong.
expect 2 'precision int8 is not for this network' "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/x.nii.gz" \
    --box 20,15,40,30,5 --precision int8
expect 2 'does not exist|outside' "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/x.nii.gz" --propagate slices --box 20,15,40,30,99
expect 2 'outside|within' "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/x.nii.gz" --propagate slices --box 20,15,400,30,5
expect 2 'points cannot travel' "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/x.nii.gz" --propagate memory --point 20,15,5
expect 2 'nothing to start from' "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/x.nii.gz" --propagate slices
expect 2 'propagate' "$MEDSEG" predict --model "$work/a" --input "$image" --output "$work/x.nii.gz" --lungs
expect 3 'lungs are found in CT' "$MEDSEG" predict --model "$work/a" --input "$npz" --output "$work/x.nii.gz" --propagate slices --lungs
expect 3 'does not fit sam2_hiera_t' "$MEDSEG" train "$recipe" "${tiny[@]}" output="$work/c" sam2.model=sam2_hiera_t \
    sam2.checkpoint="$work/a/model/latest.pth"
expect 2 'multiple of 32' "$MEDSEG" train "$recipe" "${tiny[@]}" output="$work/d" sam2.image_size=100
no_leftovers "$work"
[ -e "$work/x.nii.gz" ] && fail "an output was written all the same"
exit 0
