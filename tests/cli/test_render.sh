#!/usr/bin/env bash
# medseg render: pictures and pages exist and are what they claim; bad input gives one line, the right code and no file.
set -uo pipefail
fixtures="${MEDSEG_FIXTURES:-$MEDSEG_FIXTURES_DEFAULT}/data/totalsegmentator"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# expect CODE PATTERN ARGUMENTS...: exit code, one line on stderr that matches, nothing written to $work/out.
expect() {
    local code=$1 pattern=$2
    shift 2
    "$MEDSEG" render "$@" >"$work/stdout" 2>"$work/stderr"
    local got=$?
    [ $got -eq "$code" ] || fail "render $*: exit $got instead of $code: $(cat "$work/stderr")"
    [ "$(wc -l <"$work/stderr")" -le 1 ] || fail "render $*: more than one line on stderr"
    grep -qE -- "$pattern" "$work/stderr" || fail "render $*: message \"$(cat "$work/stderr")\" lacks \"$pattern\""
    [ -z "$(ls -A "$work/out" 2>/dev/null)" ] || fail "render $*: left $(ls -A "$work/out")"
}

# draw FILE ARGUMENTS...: succeeds, prints the path, writes a file that starts with the right bytes.
draw() {
    local file=$1
    shift
    "$MEDSEG" render "$@" --output "$file" >"$work/stdout" 2>"$work/stderr" || fail "render $*: $(cat "$work/stderr")"
    [ "$(cat "$work/stdout")" = "$file" ] || fail "render $*: does not print the path"
    case $file in
    *.png) [ "$(head -c 8 "$file" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || fail "$file is no PNG" ;;
    *.html) grep -q '</html>' "$file" || fail "$file is no complete page" ;;
    esac
}

# Curves and report need nothing but a history and tables.
mkdir -p "$work/out" "$work/run/evaluation"
cat >"$work/run/training_history.json" <<'JSON'
{"epochs": [1, 2, 3], "train_loss": [0.9, 0.5, 0.4], "val_loss": [1.0, 0.6, 0.55], "val_dice": [0.2, 0.6, 0.7],
 "learning_rate": [0.001, 0.001, 0.0005], "epoch_seconds": [3, 3, 3]}
JSON
printf 'case,label,structure,dice\ns0001,1,liver,0.9\ns0001,2,<b>spleen,0.5\ns0002,1,liver,nan\n' >"$work/run/evaluation/per_case.csv"
draw "$work/curves.png" curves "$work/run/training_history.json"
draw "$work/report.html" html "$work/run"
grep -qE '(src|href)="https?:|@import|url\(' "$work/report.html" && fail "the report loads something from outside"
grep -q '<b>spleen' "$work/report.html" && fail "the report does not escape names"
"$MEDSEG" render html "$work/run" >/dev/null && [ -s "$work/run/report.html" ] || fail "html does not write DIR/report.html by default"

for sub in overlay grid montage curves html scene; do
    "$MEDSEG" render $sub --help | grep -q Example || fail "render $sub --help has no example"
done

expect 2 'subcommand'
expect 2 'see `medseg render' overlay
expect 3 'nope.json: no such file' curves "$work/nope.json" --output "$work/out/x.png"
echo '{"train_loss": [1, 2' >"$work/cut.json"
expect 3 'cut.json: is not valid JSON' curves "$work/cut.json" --output "$work/out/x.png"
expect 3 'no such folder' html "$work/nope" --output "$work/out/x.html"
mkdir "$work/empty"
expect 3 'nothing to report' html "$work/empty" --output "$work/out/x.html"
expect 1 'cannot' curves "$work/run/training_history.json" --output "/proc/none/x.png"
touch "$work/file"
expect 1 'cannot create the folder' curves "$work/run/training_history.json" --output "$work/file/x.png"

image="$fixtures/example_ct.nii.gz"
labels="$fixtures/example_seg_fast_force_split.nii.gz"
if [ ! -f "$image" ] || [ ! -f "$labels" ]; then
    echo "skipped the pictures of real CT: no $fixtures"
    [ $failures -eq 0 ] && exit 77 || exit 1
fi
draw "$work/overlay.png" overlay --image "$image" --reference "$labels" --prediction "$labels"
draw "$work/bone.png" overlay --image "$image" --reference "$labels" --axis coronal --slice 50 --window bone --structures liver,2
draw "$work/range.png" overlay --image "$image" --window -160,240 --axis sagittal --threads 1
draw "$work/montage.png" montage --image "$image" --reference "$labels" --columns 3 --slices 6
draw "$work/scene.html" scene --reference "$labels" --prediction "$labels" --structures liver,spleen
grep -qE '(src|href)="https?:|@import|url\(' "$work/scene.html" && fail "the scene loads something from outside"
expect 2 'needs --reference or --prediction' scene --output "$work/out/x.html"
expect 3 'nope.nii.gz: no such file' scene --reference "$work/nope.nii.gz" --output "$work/out/x.html"
expect 3 'no structure to show' scene --reference "$labels" --structures 60000 --output "$work/out/x.html"
mkdir -p "$work/data/s0001" "$work/data/s0002" "$work/predictions"
for case in s0001 s0002; do
    cp "$image" "$work/data/$case/ct.nii.gz"
    cp "$labels" "$work/predictions/$case.nii.gz"
done
draw "$work/grid.png" grid --image "$work/data" --prediction "$work/predictions"

expect 3 'nope.nii.gz: no such file' overlay --image "$work/nope.nii.gz" --output "$work/out/x.png"
expect 3 'size differs' overlay --image "$image" --reference "$fixtures/example_seg.nii.gz" --output "$work/out/x.png"
head -c 100000 "$image" >"$work/cut.nii.gz"
expect 3 'cut.nii.gz' overlay --image "$work/cut.nii.gz" --output "$work/out/x.png"
expect 2 'choose 0 to' overlay --image "$image" --slice 4000 --output "$work/out/x.png"
expect 2 'slice' overlay --image "$image" --slice two --output "$work/out/x.png"
expect 2 'axial, coronal or sagittal' overlay --image "$image" --axis sideways --output "$work/out/x.png"
expect 2 'LOW,HIGH' overlay --image "$image" --window 5,1 --output "$work/out/x.png"
expect 2 'livr' overlay --image "$image" --reference "$labels" --structures livr --output "$work/out/x.png"
expect 2 'render grid' overlay --image "$work/data" --output "$work/out/x.png"
expect 3 'no segmentation of "s0001"' grid --image "$work/data" --prediction "$work/run" --output "$work/out/x.png"
expect 1 'cannot create' overlay --image "$image" --output "/proc/none/x.png"

[ $failures -eq 0 ] || exit 1
