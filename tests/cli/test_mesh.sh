# medseg mesh: formats, choice of structures, signed distances, bad input.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
data="${MEDSEG_FIXTURES:-$MEDSEG_FIXTURES_DEFAULT}/data/totalsegmentator"
[ -d "$data" ] || { echo "no fixtures at $data: set MEDSEG_FIXTURES"; exit 77; }

fail() { echo "FAILED: $*" >&2; exit 1; }
succeed() { "$@" >"$work/stdout" 2>"$work/stderr" || fail "exit $?: $*: $(cat "$work/stderr")"; }
expect() {
    local code=$1 pattern=$2 got=0; shift 2
    "$@" >"$work/stdout" 2>"$work/stderr" || got=$?
    [ "$got" -eq "$code" ] || fail "exit $got instead of $code: $*: $(cat "$work/stderr")"
    grep -qE "^medseg: error: .*$pattern" "$work/stderr" || fail "does not mention $pattern: $*: $(cat "$work/stderr")"
}

labels="$data/example_seg.nii.gz"
for ending in obj ply stl; do
    succeed "$MEDSEG" mesh "$labels" "$work/out.$ending" --label liver,1
    [ -s "$work/out.$ending" ] || fail "no out.$ending"
    [ "$(wc -l <"$work/stdout")" -eq 2 ] || fail "not two structures: $(cat "$work/stdout")"
done
[ "$(grep -c '^o ' "$work/out.obj")" -eq 2 ] || fail "not two objects in the OBJ file"

# The mesh of a mask is closed and its volume that of the voxels, nearly.
succeed "$MEDSEG" mesh "$labels" "$work/liver.obj" --label liver --json
grep -q '"watertight": true' "$work/stdout" || fail "liver is not closed"
all=$(grep -o '"triangles": [0-9]*' "$work/stdout" | grep -o '[0-9]*')
succeed "$MEDSEG" mesh "$labels" "$work/liver.obj" --label liver --smooth 10 --decimate 0.25 --json
few=$(grep -o '"triangles": [0-9]*' "$work/stdout" | grep -o '[0-9]*')
[ "$few" -le $((all / 4 + 1)) ] || fail "$few of $all triangles after --decimate 0.25"

succeed "$MEDSEG" mesh "$data/example_seg_fast" "$work/two.ply" --label liver,spleen
[ "$(wc -l <"$work/stdout")" -eq 2 ] || fail "not two masks: $(cat "$work/stdout")"

succeed "$MEDSEG" mesh "$labels" "$work/liver.obj" --label liver --sdf "$work/sdf.nii.gz"
succeed "$MEDSEG" info "$work/sdf.nii.gz" --json
grep -qE '"min": *-[0-9]' "$work/stdout" || fail "no negative distance inside"

expect 2 'nearest is "liver"' "$MEDSEG" mesh "$labels" "$work/x.obj" --label livr
expect 2 'unknown mesh format' "$MEDSEG" mesh "$labels" "$work/x.txt"
expect 2 'decimate' "$MEDSEG" mesh "$labels" "$work/x.obj" --decimate 0
expect 3 'no voxel has label 999' "$MEDSEG" mesh "$labels" "$work/x.obj" --label 999
expect 3 'missing' "$MEDSEG" mesh "$work/missing.nii.gz" "$work/x.obj"
[ ! -e "$work/x.obj" ] || fail "output written although the input is bad"
echo ok
