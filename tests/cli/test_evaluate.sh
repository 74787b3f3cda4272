# medseg evaluate: results, files and bad input. Masks come from the fixtures' label maps through medseg convert and phantom.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fixtures="${MEDSEG_FIXTURES:-$MEDSEG_FIXTURES_DEFAULT}/data"
data="$fixtures/totalsegmentator"
[ -d "$data" ] || { echo "no fixtures at $data: set MEDSEG_FIXTURES"; exit 77; }

fail() { echo "FAILED: $*" >&2; exit 1; }

succeed() { "$@" >"$work/stdout" 2>"$work/stderr" || fail "exit $?: $*: $(cat "$work/stderr")"; }

# expect CODE PATTERN COMMAND...: exit code and one error line that matches the pattern.
expect() {
    local code=$1 pattern=$2 got=0; shift 2
    "$@" >"$work/stdout" 2>"$work/stderr" || got=$?
    [ "$got" -eq "$code" ] || fail "exit $got instead of $code: $*: $(cat "$work/stderr")"
    [ "$(grep -c '^medseg: error: ' "$work/stderr")" -eq 1 ] || fail "not one error line: $*: $(cat "$work/stderr")"
    tail -n 1 "$work/stderr" | grep -qE "^medseg: error: .*$pattern" || fail "does not mention $pattern: $*: $(cat "$work/stderr")"
}

reference="$data/example_seg.nii.gz"
prediction="$data/example_seg_fast.nii.gz"
evaluate() { "$MEDSEG" evaluate "$@"; }

# Files.
succeed evaluate --reference "$reference" --prediction "$prediction" --output "$work/out" --metrics dice,iou,hd95,nsd,volume
grep -q '^mean of structures' "$work/stdout" || fail "no mean at the end of the table"
for file in per_case.csv per_structure.csv summary.json structure_ranking.png metrics_distribution.png detection_rates.png; do
    [ -s "$work/out/$file" ] || fail "$file is missing"
done
head -n 1 "$work/out/per_case.csv" | grep -q '^case,label,structure,dice,iou,hd95,nsd,' || fail "header of per_case.csv"
grep -q ',liver,0\.98' "$work/out/per_case.csv" || fail "no liver in per_case.csv"
[ -z "$(find "$work/out" -name '.*' -type f)" ] || fail "temporary files left behind"

# JSON on standard output, nothing else there.
succeed evaluate --reference "$reference" --prediction "$prediction" --metrics dice --json
head -c 1 "$work/stdout" | grep -q '{' || fail "--json does not start with an object"
grep -q '"foreground_mean"' "$work/stdout" || fail "no foreground_mean"

# A label map against its own mask folder, in both directions.
succeed evaluate --reference "$prediction" --prediction "$data/example_seg_fast" --metrics dice --labels liver,spleen
grep -qE '^mean of structures +2 +1\.0000' "$work/stdout" || fail "mask folder differs from label map: $(cat "$work/stdout")"
succeed evaluate --reference "$data/example_seg_fast" --prediction "$prediction" --metrics dice --labels liver,spleen
grep -qE '^mean of structures +2 +1\.0000' "$work/stdout" || fail "label map differs from mask folder"

# The definitions of surface distances differ.
succeed evaluate --reference "$reference" --prediction "$prediction" --metrics hd95 --labels duodenum --surface-definition monai
succeed evaluate --reference "$reference" --prediction "$prediction" --metrics assd --labels 5 --surface-definition deepmind

# Folders, a missing prediction, a comparison, ranks.
mkdir -p "$work/ref" "$work/pred" "$work/second"
for name in a b c; do cp "$reference" "$work/ref/$name.nii.gz"; cp "$reference" "$work/second/$name.nii.gz"; done
cp "$prediction" "$work/pred/a_0000.nii.gz"
cp "$prediction" "$work/pred/b.nii.gz"
expect 3 'no prediction for 1 of 3 reference cases \(c\)' evaluate --reference "$work/ref" --prediction "$work/pred" --output "$work/none"
[ ! -e "$work/none" ] || fail "output written although a prediction is missing"
succeed evaluate --reference "$work/ref" --prediction "$work/pred" --metrics dice --missing skip
succeed evaluate --reference "$work/ref" --prediction "$work/pred" --metrics dice --missing empty
cp "$prediction" "$work/pred/c.nii.gz"
succeed evaluate --reference "$work/ref" --prediction "$work/pred" --compare "$work/second" --metrics dice --output "$work/compared"
grep -q '^5,liver,dice,3,' "$work/compared/comparison.csv" || fail "no liver in comparison.csv"
RANK=1 WORLD_SIZE=2 succeed evaluate --reference "$work/ref" --prediction "$work/pred" --metrics dice --output "$work/ranks"
[ ! -e "$work/ranks/summary.json" ] || fail "merged before all ranks were done"
RANK=0 WORLD_SIZE=2 succeed evaluate --reference "$work/ref" --prediction "$work/pred" --metrics dice --output "$work/ranks"
[ -s "$work/ranks/summary.json" ] || fail "ranks were not merged"

# Results do not depend on threads.
succeed evaluate --reference "$reference" --prediction "$prediction" --metrics all --json --threads 1
cp "$work/stdout" "$work/one.json"
succeed evaluate --reference "$reference" --prediction "$prediction" --metrics all --json --threads 4
cmp -s "$work/stdout" "$work/one.json" || fail "results depend on the number of threads"

# Bad input.
expect 3 'no such file' evaluate --reference "$work/missing.nii.gz" --prediction "$prediction"
expect 3 '122x101x30.*117x91x20' evaluate --reference "$reference" --prediction "$data/example_seg_mr.nii.gz"
expect 3 '.' evaluate --reference "$fixtures/bad/data_truncated.nii.gz" --prediction "$prediction"
expect 2 'nearest is "liver"' evaluate --reference "$reference" --prediction "$prediction" --labels livr
expect 2 'nearest is "dice"' evaluate --reference "$reference" --prediction "$prediction" --metrics dise
expect 2 'surface-definition' evaluate --reference "$reference" --prediction "$prediction" --surface-definition other
expect 2 'prediction' evaluate --reference "$reference"
mkdir "$work/nothing"
expect 3 'no cases' evaluate --reference "$work/nothing" --prediction "$prediction"
touch "$work/file"
expect 1 '.' evaluate --reference "$reference" --prediction "$prediction" --output "$work/file/sub"
echo ok
