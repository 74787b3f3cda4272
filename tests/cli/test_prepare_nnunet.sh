#!/usr/bin/env bash
# medseg prepare --form nnunet, nnunet-check, nnunet-fingerprint: pairs and case folders, imagesTs, bad input.
source "$(dirname "$0")/checks.sh"

succeed "$MEDSEG" phantom "$work/raw" --cases 3 --size 40,36,20 --layout nnunet --structures liver,spleen,heart
images="$work/raw/imagesTr" labels="$work/raw/labelsTr"
convert() { local output=$1; shift; "$MEDSEG" prepare --form nnunet --images "$images" --labels "$labels" --output "$output" "$@"; }
check() { "$MEDSEG" prepare --form nnunet-check --input "$1"; }
voxels() { "$MEDSEG" info --json "$1" | sed 's/.*"size"/"size"/'; }

# Pairs in, a dataset out that passes the check and keeps voxels and places; a second run has nothing to do.
succeed convert "$work/out" --label-names liver,spleen,heart
grep -q '3 cases, 6 files (3 prepared, 0 up to date)' "$work/stdout" || fail "$(cat "$work/stdout")"
for i in 0 1 2; do
    [ "$(voxels "$work/out/imagesTr/s000${i}_0000.nii.gz")" = "$(voxels "$images/s000${i}_0000.nii.gz")" ] || fail "image $i changed"
    [ "$(voxels "$work/out/labelsTr/s000$i.nii.gz" | sed 's/"labels".*//')" = "$(voxels "$labels/s000$i.nii.gz" | sed 's/"labels".*//')" ] ||
        fail "labels $i changed"
done
tr -d ' \n' <"$work/out/dataset.json" | grep -q '"labels":{"background":0,"liver":1,"spleen":2,"heart":3},"numTraining":3,"file_ending":".nii.gz"' ||
    fail "$(cat "$work/out/dataset.json")"
[ -s "$work/out/contact_sheet.png" ] || fail "no contact sheet"
no_leftovers "$work/out"
succeed check "$work/out"
succeed convert "$work/out" --label-names liver,spleen,heart
grep -q '(0 prepared, 3 up to date)' "$work/stdout" || fail "$(cat "$work/stdout")"
succeed convert "$work/one" --label-names liver,spleen,heart --threads 1
[ "$(sums "$work/out" '*.nii.gz' dataset.json)" = "$(sums "$work/one" '*.nii.gz' dataset.json)" ] || fail "threads matter"

# The dataset as input again, with its names; a recipe says the same; another file ending is found in dataset.json.
succeed "$MEDSEG" prepare --form nnunet --input "$work/out" --output "$work/again"
[ "$(sums "$work/out" '*.nii.gz' dataset.json)" = "$(sums "$work/again" '*.nii.gz' dataset.json)" ] || fail "in and out differ"
cat >"$work/recipe.yaml" <<YAML
output: $work/run
data: {root: $work/out}
prepare: {form: nnunet}
YAML
succeed "$MEDSEG" run "$work/recipe.yaml"
[ "$(sums "$work/out" '*.nii.gz' dataset.json)" = "$(sums "$work/run/cache" '*.nii.gz' dataset.json)" ] || fail "recipe and options differ"
expect 2 'form nnunet' "$MEDSEG" run "$work/recipe.yaml" stage=train
mkdir -p "$work/nrrd/imagesTr" "$work/nrrd/labelsTr"
for i in 0 1 2; do
    "$MEDSEG" convert -q "$images/s000${i}_0000.nii.gz" "$work/nrrd/imagesTr/s000${i}_0000.nrrd"
    "$MEDSEG" convert -q "$labels/s000$i.nii.gz" "$work/nrrd/labelsTr/s000$i.nrrd"
done
sed 's/.nii.gz/.nrrd/' "$work/out/dataset.json" >"$work/nrrd/dataset.json"
succeed check "$work/nrrd"
succeed "$MEDSEG" prepare --form nnunet --input "$work/nrrd" --output "$work/from-nrrd"
[ "$(voxels "$work/from-nrrd/labelsTr/s0001.nii.gz" | sed 's/"labels".*//')" = "$(voxels "$labels/s0001.nii.gz" | sed 's/"labels".*//')" ] || fail "by way of NRRD"

# Case folders with masks: their names, in the order asked for.
succeed "$MEDSEG" phantom "$work/folders" --cases 2 --size 40,36,20 --structures liver,spleen,heart,aorta
succeed "$MEDSEG" prepare --form nnunet --input "$work/folders" --output "$work/masks" --structures heart,liver
tr -d ' \n' <"$work/masks/dataset.json" | grep -q '"labels":{"background":0,"heart":1,"liver":2},"numTraining":2' || fail "$(cat "$work/masks/dataset.json")"
succeed check "$work/masks"
succeed "$MEDSEG" prepare --form nnunet --input "$work/folders" --output "$work/all"
grep -q '"vertebrae_L5"' "$work/all/dataset.json" || fail "not all 117 names"

# Test images, a second channel.
mkdir "$work/test"
cp "$images/s0000_0000.nii.gz" "$work/test/t1_0000.nii.gz"
succeed convert "$work/tested" --test-images "$work/test"
[ -s "$work/tested/imagesTs/t1_0000.nii.gz" ] || fail "no imagesTs"
grep -q '"numTraining": 3' "$work/tested/dataset.json" || fail "test cases count as training"
for i in 0 1 2; do cp "$images/s000${i}_0000.nii.gz" "$images/s000${i}_pet.nii.gz"; done
cp "$work/test/t1_0000.nii.gz" "$work/test/t1_pet.nii.gz"
succeed convert "$work/two" --channels CT,PET --more-suffixes _pet.nii.gz --test-images "$work/test"
[ -s "$work/two/imagesTr/s0002_0001.nii.gz" ] && [ -s "$work/two/imagesTs/t1_0001.nii.gz" ] || fail "no second channel"
succeed check "$work/two"
rm "$work/two/imagesTs/t1_0001.nii.gz"
expect 3 'faults found: 1' check "$work/two"
grep -q 't1_0001.nii.gz: is missing' "$work/stdout" || fail "$(cat "$work/stdout")"
rm "$images/s0001_pet.nii.gz"
expect 1 '1 of 3 cases.*s0001_pet.nii.gz: is missing: channel 1 \("PET"\)' convert "$work/hole" --channels CT,PET --more-suffixes _pet.nii.gz
expect 2 '2 channels with 1' convert "$work/bad" --channels CT,PET
rm "$images"/*_pet.nii.gz

# The check: every fault a line, exit 3.
cp -r "$work/out" "$work/faulty"
rm "$work/faulty/labelsTr/s0000.nii.gz" "$work/faulty/imagesTr/s0001_0000.nii.gz"
head -c 3000 "$work/out/imagesTr/s0002_0000.nii.gz" >"$work/faulty/imagesTr/s0002_0000.nii.gz"
expect 3 'faulty: faults found: 3' check "$work/faulty"
for fault in 'numTraining is 3, imagesTr holds 2' 's0000.nii.gz: is missing' 's0002_0000.nii.gz: .*truncated'; do
    grep -q "$fault" "$work/stdout" || fail "no \"$fault\": $(cat "$work/stdout")"
done
expect 3 'dataset.json' check "$work/raw/imagesTr"

# The fingerprint: median of the foreground, spacings (z, y, x).
succeed "$MEDSEG" prepare --form nnunet-fingerprint --input "$work/out"
tr -d ' \n' <"$work/out/dataset_fingerprint.json" | grep -qE '"foreground_intensities_per_channel":{"0":{"max":[0-9.]+,"mean":[0-9.]+,"median":' || fail "$(cat "$work/out/dataset_fingerprint.json")"
succeed "$MEDSEG" prepare --form nnunet-fingerprint --input "$work/out" --output "$work/print" --threads 1
cmp "$work/out/dataset_fingerprint.json" "$work/print/dataset_fingerprint.json" || fail "threads matter for the fingerprint"
expect 3 's000[02]' "$MEDSEG" prepare --form nnunet-fingerprint --input "$work/faulty" --output "$work/bad"

# Bad cases are reported and the others done: label without image, other grid, a damaged file among fifty, a full disk.
mkdir -p "$work/many/imagesTr" "$work/many/labelsTr"
for i in $(seq 10 59); do
    cp "$images/s000$((i % 3))_0000.nii.gz" "$work/many/imagesTr/s00${i}_0000.nii.gz"
    cp "$labels/s000$((i % 3)).nii.gz" "$work/many/labelsTr/s00$i.nii.gz"
done
images="$work/many/imagesTr" labels="$work/many/labelsTr"
succeed convert "$work/whole"
cp "$images/s0033_0000.nii.gz" "$work/kept"
head -c 3000 "$work/kept" >"$images/s0033_0000.nii.gz"
expect 1 '1 of 50 cases.*s0033_0000.nii.gz.*truncated' convert "$work/cut"
has_count "$work/cut/labelsTr" '*.nii.gz' 49
grep -q '"numTraining": 49' "$work/cut/dataset.json" || fail "numTraining with a damaged case"
succeed check "$work/cut"
cp "$work/kept" "$images/s0033_0000.nii.gz"
succeed convert "$work/cut"
[ "$(sums "$work/whole" '*.nii.gz' dataset.json)" = "$(sums "$work/cut" '*.nii.gz' dataset.json)" ] || fail "a repaired run differs"
rm "$images/s0012_0000.nii.gz" "$labels/s0013.nii.gz"
succeed "$MEDSEG" phantom "$work/other" --cases 1 --size 40,36,16 --layout nnunet --structures liver,spleen,heart
cp "$work/other/labelsTr/s0000.nii.gz" "$labels/s0014.nii.gz"
expect 1 '2 of 49 cases' convert "$work/cut"
for line in 's0012.nii.gz: has no image' 's0013_0000.nii.gz: has no label: left out' 's0014.*40x36x16'; do
    grep -q "$line" "$work/stderr" || fail "no \"$line\": $(cat "$work/stderr")"
done
expect 1 'write' bash -c "ulimit -f 8; exec \"$MEDSEG\" prepare --form nnunet --input \"$work/out\" --output \"$work/full\""
has_count "$work/full" '*.nii.gz' 0
no_leftovers "$work/full"

# kill -9 again and again; the last run completes it.
images="$work/raw/imagesTr" labels="$work/raw/labelsTr"
rm -rf "$work/many"; mkdir -p "$work/many/imagesTr" "$work/many/labelsTr"
for i in $(seq 10 59); do
    cp "$images/s000$((i % 3))_0000.nii.gz" "$work/many/imagesTr/s00${i}_0000.nii.gz"
    cp "$labels/s000$((i % 3)).nii.gz" "$work/many/labelsTr/s00$i.nii.gz"
done
for delay in 0.03 0.06 0.1 0.15; do
    "$MEDSEG" prepare --form nnunet --input "$work/many" --output "$work/killed" >/dev/null 2>&1 &
    process=$!
    sleep $delay
    kill -KILL $process 2>/dev/null
    wait $process 2>/dev/null
    for file in $(find "$work/killed" -name '*.nii.gz' -not -path '*/.*' 2>/dev/null); do
        "$MEDSEG" info "$file" >/dev/null 2>&1 || fail "half-written: $file"
    done
done
succeed "$MEDSEG" prepare --form nnunet --input "$work/many" --output "$work/killed"
[ "$(sums "$work/whole" '*.nii.gz' dataset.json)" = "$(sums "$work/killed" '*.nii.gz' dataset.json)" ] || fail "the completed run differs"
no_leftovers "$work/killed"
echo passed
