#!/usr/bin/env bash
# PNG, JPEG and TIFF pictures as cases: prepare, train and predict with a U-Net on them, info and render of everything.
source "$(dirname "$0")/checks.sh"

# slice IN.nii X Y K OUT: slice K of an uncompressed 8-bit NIfTI file as a picture.
slice() {
    printf 'ObjectType = Image\nNDims = 3\nDimSize = %d %d 1\nElementType = MET_UCHAR\nElementDataFile = %s\n' "$2" "$3" "$(basename "$5").raw" >"$work/$(basename "$5").mhd"
    tail -c "+$((353 + $4 * $2 * $3))" "$1" | head -c "$(($2 * $3))" >"$work/$(basename "$5").raw"
    "$MEDSEG" convert -q "$work/$(basename "$5").mhd" "$5" || fail "slice $5"
}

succeed "$MEDSEG" phantom "$work/raw" --cases 1 --size 48,40,24 --layout nnunet --structures liver,heart
succeed "$MEDSEG" convert "$work/raw/imagesTr/s0000_0000.nii.gz" "$work/image.nii" --dtype uint8
succeed "$MEDSEG" convert "$work/raw/labelsTr/s0000.nii.gz" "$work/labels.mha" --dtype uint8
succeed "$MEDSEG" convert "$work/labels.mha" "$work/label.nii"
for ending in png tif jpg; do
    mkdir -p "$work/$ending/imagesTr" "$work/$ending/labelsTr"
    for k in 8 10 12 14; do
        slice "$work/image.nii" 48 40 $k "$work/$ending/imagesTr/p${k}_0000.$ending"
        slice "$work/label.nii" 48 40 $k "$work/$ending/labelsTr/p$k.png"
    done
    succeed "$MEDSEG" prepare --input "$work/$ending" --layout pairs --image-suffix "_0000.$ending" --label-suffix .png \
        --structures liver,heart --window 0,255 --image-size 32 --output "$work/cache-$ending"
    grep -q '4 slices of 4 cases' "$work/stdout" || fail "$ending: $(cat "$work/stdout")"
    [ -s "$work/cache-$ending/contact_sheet.png" ] || fail "no contact sheet of $ending"
done
cmp "$work/cache-png/images/p10.npy" "$work/cache-tif/images/p10.npy" || fail "PNG and TIFF differ"
cmp "$work/cache-png/labels/p10.npy" "$work/cache-jpg/labels/p10.npy" || fail "labels beside JPEG differ"
succeed "$MEDSEG" prepare --form medsam --images "$work/png/imagesTr" --labels "$work/png/labelsTr" --image-suffix _0000.png \
    --label-suffix .png --dust-3d 0 --dust-2d 0 --output "$work/medsam" --npy --image-size 64
has_count "$work/medsam" 'CT_Abd_p*.npz' 4

# Everything that prepare writes can be looked at.
look() {
    "$MEDSEG" info "$1" >/dev/null 2>"$work/stderr" || fail "info $1: $(cat "$work/stderr")"
    "$MEDSEG" render montage "$1" --output "$work/montage.png" >/dev/null 2>"$work/stderr" || fail "montage $1: $(cat "$work/stderr")"
    [ "$(head -c 4 "$work/montage.png" | tail -c 3)" = PNG ] || fail "montage $1 is no PNG"
}
succeed "$MEDSEG" prepare --form medsam2 --images "$work/raw/imagesTr" --labels "$work/raw/labelsTr" --dust-3d 0 --dust-2d 0 --output "$work/medsam2" --npy
succeed "$MEDSEG" prepare --form sam3d --images "$work/raw/imagesTr" --labels "$work/raw/labelsTr" --classes 2 --spacing 12 --output "$work/sam3d"
succeed "$MEDSEG" prepare --form nnunet --input "$work/raw" --output "$work/nnunet"
look "$work/png/imagesTr/p10_0000.png"
look "$work/cache-png/images/p10.npy"
look "$work/medsam/npz_train/CT_Abd/CT_Abd_p10.npz"
look "$work/medsam/npy/imgs/CT_Abd_p10-000.npy"
look "$work/medsam2/npz_train/CT_Abd/CT_Abd_s0000.npz"
look "$work/medsam2/npy/imgs/CT_Abd_s0000-000.npy"
look "$work/medsam2/npy/gts/CT_Abd_s0000-000.npy"
look "$(ls "$work/sam3d"/*_axis1_slice*.npz | head -n 1)"
look "$work/sam3d/s0000.nii_sdf.npy"
look "$work/nnunet/labelsTr/s0000.nii.gz"
look "$work/nnunet/imagesTr/s0000_0000.nii.gz"

if [ "${MEDSEG_WITH_TORCH:-0}" = 1 ] || [ "${MEDSEG_WITH_TORCH:-0}" = ON ]; then
    cat >"$work/recipe.yaml" <<YAML
output: $work/run
data: {root: $work/png, layout: pairs, image_suffix: _0000.png, label_suffix: .png, structures: [liver, heart], validation_fraction: 0.25}
prepare: {window: [0, 255], image_size: 32}
model: {features: [8, 16], bottleneck: 32}
train: {epochs: 1, batch_size: 2, tensorboard: false}
YAML
    succeed "$MEDSEG" run "$work/recipe.yaml" stage=prepare,train
    succeed "$MEDSEG" predict --model "$work/run/model" --input "$work/png/imagesTr/p10_0000.png" --output "$work/p10.png"
    "$MEDSEG" info --json "$work/p10.png" | grep -q '"size":\[48,40,1\]' || fail "predicted picture: $("$MEDSEG" info "$work/p10.png")"
    succeed "$MEDSEG" predict --model "$work/run/model" --input "$work/png/imagesTr" --output "$work/predicted"
    [ "$(ls "$work/predicted" | wc -l)" -ge 4 ] || fail "predictions: $(ls "$work/predicted")"
fi
echo passed
