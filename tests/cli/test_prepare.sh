#!/usr/bin/env bash
# medseg prepare: from cases to a slice cache, resuming, and everything that can be wrong with the input.
source "$(dirname "$0")/checks.sh"

succeed "$MEDSEG" phantom "$work/raw" --cases 3 --size 48,40,24 --structures liver,heart,spleen
succeed "$MEDSEG" prepare --input "$work/raw" --output "$work/cache" --image-size 64 --structures heart,liver
grep -q '72 slices of 3 cases (3 prepared, 0 up to date)' "$work/stdout" || fail "$(cat "$work/stdout")"
for file in cache.json label_map.json recipe.yaml images/s0000.npy labels/s0002.npy counts/s0001.npy; do
    [ -s "$work/cache/$file" ] || fail "no $file"
done
grep -q '"liver": 1' "$work/cache/label_map.json" || fail "label map: $(cat "$work/cache/label_map.json")"
no_leftovers "$work/cache"

# A second run has nothing to do; `preprocess` is the same command; a recipe says the same as flags.
succeed "$MEDSEG" preprocess --input "$work/raw" --output "$work/cache" --image-size 64 --structures heart,liver
grep -q '(0 prepared, 3 up to date)' "$work/stdout" || fail "$(cat "$work/stdout")"
cat >"$work/recipe.yaml" <<YAML
output: $work/out
data:
  root: $work/raw
  structures: [heart, liver]
prepare:
  image_size: [32, 32]
YAML
succeed "$MEDSEG" prepare "$work/recipe.yaml" 'prepare.image_size=[64, 64]' --threads 1
diff -r -x recipe.yaml -x cases "$work/cache" "$work/out/cache" || fail "recipe and flags, or one and more threads, differ"

succeed "$MEDSEG" phantom "$work/pairs" --cases 2 --size 48,40,24 --layout nnunet --structures liver,heart
succeed "$MEDSEG" prepare --input "$work/pairs" --output "$work/pairs-cache" --image-size 64 --slices labelled
grep -q ' 2 cases (2 prepared' "$work/stdout" || fail "$(cat "$work/stdout")"

# Wrong input: message, exit code, and no cache.
prepare() { "$MEDSEG" prepare --input "$1" --output "$work/bad" --image-size 64; }
none() { [ -e "$work/bad/cache.json" ] && fail "$1: a cache was written"; no_leftovers "$work"; rm -rf "$work/bad"; }
expect 3 'missing: does not exist' prepare "$work/missing"; none missing
mkdir "$work/empty"
expect 3 'empty: holds no cases: looked for \*/ct.nii.gz' prepare "$work/empty"; none empty
expect 2 'data.root' "$MEDSEG" prepare; none root
expect 2 'image_sise|image_size' "$MEDSEG" prepare --input "$work/raw" prepare.image_sise=3; none key

mkdir "$work/grid"; cp -r "$work/raw/s0000" "$work/grid/"
succeed "$MEDSEG" phantom "$work/other" --cases 1 --size 48,40,20 --structures liver
cp "$work/other/s0000/segmentations/liver.nii.gz" "$work/grid/s0000/segmentations/"
expect 3 'liver.nii.gz: size differs from .*ct.nii.gz: 48x40x20 voxels.*48x40x24' prepare "$work/grid"; none grid

mkdir "$work/name"; cp -r "$work/raw/s0000" "$work/name/"
mv "$work/name/s0000/segmentations/liver.nii.gz" "$work/name/s0000/segmentations/lievr.nii.gz"
expect 3 'lievr.nii.gz: unknown structure "lievr" \(nearest known: "liver"\)' prepare "$work/name"; none name
expect 3 'no case has a mask of "herat": did you mean "heart"' "$MEDSEG" prepare --input "$work/raw" --output "$work/bad" --structures herat
none structures

cp -r "$work/pairs" "$work/value"
echo '{"labels": {"background": 0, "liver": 1}}' >"$work/value/dataset.json"
expect 3 'labelsTr/s000.*unknown label 2' prepare "$work/value"; none value

echo text >"$work/file"
expect 1 'file' "$MEDSEG" prepare --input "$work/raw" --output "$work/file/cache"
expect 1 'images/.*npy' bash -c "ulimit -f 64; exec \"$MEDSEG\" prepare --input \"$work/raw\" --output \"$work/bad\" --image-size 256"
[ -z "$(find "$work/bad" -name '*.npy')" ] || fail "partial arrays on a full disk"
none disk

# A truncated file in the middle: the rest is done, the error names it, a repaired file is all the next run works on.
cp -r "$work/raw" "$work/cut"
head -c 9000 "$work/raw/s0001/ct.nii.gz" >"$work/cut/s0001/ct.nii.gz"
expect 1 '1 of 3 cases could not be prepared.*s0001/ct.nii.gz' prepare "$work/cut"
grep -q '"id": "s0002"' "$work/bad/cache.json" || fail "the undamaged cases are not in the cache"
grep -q '"id": "s0001"' "$work/bad/cache.json" && fail "the damaged case is in the cache"
[ -e "$work/bad/images/s0001.npy" ] && fail "the damaged case left an array"
cp "$work/raw/s0001/ct.nii.gz" "$work/cut/s0001/ct.nii.gz"
succeed prepare "$work/cut"
grep -q '(1 prepared, 2 up to date)' "$work/stdout" || fail "$(cat "$work/stdout")"
rm -rf "$work/bad"

# Ctrl-C in the middle, then go on: the result is that of an undisturbed run.
mkdir "$work/many"
for i in $(seq 10 69); do cp -r "$work/raw/s0000" "$work/many/s00$i"; done
"$MEDSEG" prepare --input "$work/many" --output "$work/cache-many" --image-size 512 >/dev/null 2>"$work/stderr" &
process=$!
wait_for "$work/cache-many/cases/*.json"
kill -INT $process
code=0
wait $process || code=$?
[ "$code" -eq 130 ] || fail "exit $code after Ctrl-C: $(cat "$work/stderr")"
no_leftovers "$work/cache-many"
[ -e "$work/cache-many/cache.json" ] && fail "an interrupted run wrote cache.json"
done_before=$(ls "$work/cache-many/cases" | wc -l)
succeed "$MEDSEG" prepare --input "$work/many" --output "$work/cache-many" --image-size 512
grep -q "($((60 - done_before)) prepared, $done_before up to date)" "$work/stdout" || fail "$done_before before: $(cat "$work/stdout")"
for i in 10 69; do
    for folder in images labels counts; do
        cmp "$work/cache-many/$folder/s0010.npy" "$work/cache-many/$folder/s00$i.npy" || fail "resumed $folder differ"
    done
done
echo passed
