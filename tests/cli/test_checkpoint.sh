#!/usr/bin/env bash
# medseg checkpoint: what it says and writes, compared with PyTorch where the system's Python has it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python=/usr/bin/python3
fail() { echo "FAILED: $*" >&2; exit 1; }

# Usage and errors need no Python.
expect() {  # expected exit code, text in the message, command ...
    local code=$1 text=$2 status=0; shift 2
    "$@" >"$folder/out" 2>"$folder/err" || status=$?
    [ "$status" = "$code" ] || fail "$* ended with $status, not $code: $(cat "$folder/err")"
    grep -qF "$text" "$folder/err" || fail "$*: no \"$text\" in: $(cat "$folder/err")"
    [ "$(wc -l <"$folder/err")" -le 1 ] || fail "$*: more than one line: $(cat "$folder/err")"
}
: >"$folder/empty.safetensors"
echo "hello, I am no checkpoint" >"$folder/text.pth"
expect 3 "empty.safetensors: is empty" "$MEDSEG" checkpoint inspect "$folder/empty.safetensors"
expect 3 "text.pth: is no" "$MEDSEG" checkpoint inspect "$folder/text.pth"
expect 3 "no such file" "$MEDSEG" checkpoint inspect "$folder/missing.pth"
expect 2 "subcommand" "$MEDSEG" checkpoint
expect 2 "dtype" "$MEDSEG" checkpoint convert a.pth b.pth --dtype int3

if ! "$python" -c 'import torch, numpy' 2>/dev/null; then
    echo "no torch in $python: comparison with PyTorch left out"
    exit 77
fi

cat >"$folder/write.py" <<'PY'
import argparse, collections, sys
import numpy as np
import torch
out = sys.argv[1]
torch.manual_seed(3)
base = torch.randn(6, 8)
types = {str(t).split(".")[1]: (torch.randn(3, 5) * 40).to(t) for t in (
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.int8, torch.int16, torch.int32,
    torch.int64, torch.bool)}
special = torch.tensor([1.0, float("nan"), float("inf"), -2.0, float("-inf")])
views = {"base": base, "row": base[2], "column": base[:, 3], "transposed": base.t(), "strided": base[1::2, ::3],
         "expanded": base[0, :1].expand(4, 5), "same": base, "empty": torch.zeros(0, 3), "scalar": torch.tensor(2.5)}
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 3, 3)
        self.norm = torch.nn.BatchNorm2d(3)
net = Net()
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
net(torch.randn(2, 2, 5, 5)).sum().backward() if False else net.norm(net.conv(torch.randn(2, 2, 5, 5))).sum().backward()
optimizer.step()
files = {
    "types": types,
    "views": views,
    "special": {"x": special},
    "training": {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 7, "best": np.float64(0.5),
                 "args": argparse.Namespace(lr=0.1, name="x"), "array": np.arange(6, dtype=np.int16).reshape(2, 3).T,
                 "shape": torch.Size([1, 2]), "device": torch.device("cpu"), "set": {1}, "rng": torch.get_rng_state(),
                 "counts": collections.defaultdict(int, a=1), "deep": [{"t": (torch.ones(2), [torch.zeros(1)])}]},
    "parameter": {"p": torch.nn.Parameter(torch.randn(4)), "list": torch.nn.ParameterList([torch.ones(2)]).state_dict()},
}
for name, value in files.items():
    torch.save(value, f"{out}/{name}.pth")
    torch.save(value, f"{out}/{name}.legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(value, f"{out}/{name}.proto4.pth", pickle_protocol=4)
PY
"$python" "$folder/write.py" "$folder"

cat >"$folder/compare.py" <<'PY'
"""inspect --json --stats of FILE must say what torch.load finds."""
import json, math, sys
import numpy as np
import torch

def flatten(value, name, found):
    if isinstance(value, torch.Tensor):
        found[name] = value.detach()
    elif isinstance(value, np.ndarray):
        found[name] = torch.from_numpy(np.ascontiguousarray(value))
    elif isinstance(value, dict):
        for key, entry in value.items():
            flatten(entry, f"{name}.{key}" if name else str(key), found)
    elif isinstance(value, (list, tuple)):
        for index, entry in enumerate(value):
            flatten(entry, f"{name}.{index}" if name else str(index), found)

path, description = sys.argv[1], json.load(open(sys.argv[2]))
expected = {}
flatten(torch.load(path), "", expected)
listed = {tensor["name"]: tensor for tensor in description["tensors"]}
assert list(listed) == list(expected), (list(listed), list(expected))
assert description["damaged_entries"] == []
for name, tensor in expected.items():
    entry = listed[name]
    assert entry["dtype"] == str(tensor.dtype).split(".")[1], name
    assert entry["shape"] == list(tensor.shape), name
    values = tensor.double().numpy().ravel()
    finite = values[np.isfinite(values)]
    assert entry["nan"] == int(np.isnan(values).sum()) and entry["inf"] == int(np.isinf(values).sum()), name
    if finite.size:
        assert entry["min"] == finite.min() and entry["max"] == finite.max(), name
        assert math.isclose(entry["mean"], finite.mean(), rel_tol=1e-9, abs_tol=1e-12), name
        assert math.isclose(entry["std"], finite.std(), rel_tol=1e-6, abs_tol=1e-9), name
assert description["totals"]["elements"] == sum(t.numel() for t in expected.values())
PY
count=0
for file in "$folder"/*.pth; do
    [ "$file" = "$folder/text.pth" ] && continue
    "$MEDSEG" checkpoint inspect "$file" --json --stats >"$folder/description.json"
    "$python" "$folder/compare.py" "$file" "$folder/description.json" || fail "inspect $file"
    count=$((count + 1))
done
[ "$count" = 15 ] || fail "$count files compared"

# What we write, PyTorch reads: bit for bit, with weights_only too.
for name in types views training.legacy training.proto4 parameter; do
    for output in "$folder/$name.out.pth" "$folder/$name.out.safetensors"; do
        "$MEDSEG" checkpoint convert -q "$folder/$name.pth" "$output"
    done
    "$MEDSEG" checkpoint convert -q "$folder/$name.out.safetensors" "$folder/$name.back.pt"
    "$MEDSEG" checkpoint convert -q "$folder/$name.pth" "$folder/$name.half.pth" --dtype fp16
    "$MEDSEG" checkpoint convert -q "$folder/$name.pth" "$folder/$name.bf16.pth" --dtype bf16
done
cat >"$folder/same.py" <<'PY'
import sys, torch
folder = sys.argv[1]
sys.argv = ["", "", ""]
def flat(value, name=""):
    if isinstance(value, torch.Tensor):
        return {name: value.detach()}
    found = {}
    if isinstance(value, dict):
        for key, entry in value.items():
            found.update(flat(entry, f"{name}.{key}" if name else str(key)))
    return found
def equal(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
for name in ("types", "views", "training.legacy", "training.proto4", "parameter"):
    original = torch.load(f"{folder}/{name}.pth")
    original = flat(original.get("model", original))
    for output in ("out.pth", "back.pt"):
        read = torch.load(f"{folder}/{name}.{output}", weights_only=True)
        assert set(read) == set(original), (name, output)
        assert all(equal(original[key], read[key]) for key in original), (name, output)
    for output, dtype in (("half.pth", torch.float16), ("bf16.pth", torch.bfloat16)):
        read = torch.load(f"{folder}/{name}.{output}", weights_only=True)
        for key, tensor in original.items():
            wanted = tensor.to(dtype) if tensor.is_floating_point() else tensor
            assert equal(wanted, read[key]), (name, output, key)
views = torch.load(f"{folder}/views.out.pth", weights_only=True)
assert list(views) == ["base", "row", "column", "transposed", "strided", "expanded", "same", "empty", "scalar"]
assert views["row"].storage().data_ptr() == views["base"].storage().data_ptr()
assert views["transposed"].stride() == (1, 8)
PY
"$python" "$folder/same.py" "$folder" || fail "torch.load of converted files"

# The seed's conversion: one entry, prefixes gone.
"$MEDSEG" checkpoint convert -q "$folder/training.pth" "$folder/conv.safetensors" --extract model --strip-prefix conv.
"$MEDSEG" checkpoint inspect "$folder/conv.safetensors" | grep -q "^weight " || fail "prefix not stripped"
expect 3 'no entry "ema"' "$MEDSEG" checkpoint convert "$folder/training.pth" "$folder/x.pth" --extract ema
expect 2 "unknown ending" "$MEDSEG" checkpoint convert "$folder/training.pth" "$folder/x.onnx"
[ ! -e "$folder/x.pth" ] || fail "partial output stays"
echo "checkpoint: all good"
