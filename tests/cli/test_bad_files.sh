#!/usr/bin/env bash
# Damaged input, unwritable output and a full disk: exit code, one line, and nothing written.
source "$(dirname "$0")/checks.sh"
need_fixtures
out="$work/out"
mkdir "$out"
bad="$fixtures/bad"

check_bad() {
  expect_error 3 "$2" "$MEDSEG" info "$bad/$1"
  grep -q "$1" "$work/stderr" || fail "the message does not name $1"
  expect_error 3 "$2" "$MEDSEG" convert "$bad/$1" "$out/a.nii.gz"
  expect_empty "$out"
}
check_bad header_truncated_100.nii 'header.*(truncated|too short|348)|truncated.*header'
check_bad data_truncated.nii.gz 'truncated|expected|bytes'
check_bad wrong_magic.nii 'magic|nifti'
check_bad huge_dims.nii 'size|bytes|truncated|large'
check_bad gz_bad_crc.nii.gz 'crc|checksum|corrupt'
check_bad lying_shape.npz 'size|truncated|bytes|shape'
expect_error 3 'object|pickle' "$MEDSEG" info "$bad/object_array.npz"
grep -q 'imgs' "$work/stdout" || fail "the sound array is not listed"

ct="$fixtures/totalsegmentator/example_ct_sm.nii.gz"
head -c 200000 "$ct" > "$work/cut.nii.gz"
expect_error 3 'truncated' "$MEDSEG" convert "$work/cut.nii.gz" "$out/a.nii"
expect_empty "$out"

echo text > "$work/file"
expect_error 1 'file' "$MEDSEG" convert "$ct" "$work/file/a.nii"
if [ "$(id -u)" -ne 0 ]; then
  chmod 500 "$out"
  expect_error 1 'permission' "$MEDSEG" convert "$ct" "$out/a.nii"
  chmod 700 "$out"
fi

# A limit on the size of files stands for a full disk.
for name in a.nii a.nii.gz a.hdr a.npz; do
  expect_error 1 'write' bash -c "ulimit -f 64; exec \"$MEDSEG\" convert \"$ct\" \"$out/$name\""
  expect_empty "$out"
done
