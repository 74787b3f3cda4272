#!/usr/bin/env bash
# Checkpoint of 2.5 GB: medseg and the system's PyTorch side by side, alternating, medians of RUNS (5) runs.
# usage: bench/peers/checkpoint_io.sh [build folder] [scratch folder with 8 GB free]
set -euo pipefail
build=${1:-$(dirname "$0")/../../build/release}
scratch=$(mktemp -d -p "${2:-/tmp}"); trap 'rm -rf "$scratch"' EXIT
bench=$(find "$build/bench" -name bench_checkpoint_io -type f)
file=$scratch/vit_h.pth
peer() {  # open|convert|write: milliseconds
    /usr/bin/python3 - "$1" "$file" "$scratch/peer.pth" <<'PY'
import sys, time
import torch
action, file, out = sys.argv[1:]
weights = torch.load(file) if action == "write" else None
start = time.perf_counter()
if action == "write":
    torch.save(weights, out)
else:
    weights = torch.load(file)
    if action == "convert":
        torch.save({name: tensor.half() for name, tensor in weights.items()}, out)
print((time.perf_counter() - start) * 1e3)
PY
}
"$bench" write "$file" >/dev/null
cat "$file" >/dev/null
printf '%-28s %12s %12s %8s\n' "2.5 GB, page cache warm" "medseg ms" "torch ms" ratio
for action in open convert write; do
    ours=(); theirs=()
    for _ in $(seq "${RUNS:-5}"); do
        rm -f "$scratch/ours.pth" "$scratch/peer.pth"
        target=$file; [ "$action" = write ] && target=$scratch/ours.pth
        ours+=("$("$bench" "$action" "$target" "$scratch/ours.pth")")
        theirs+=("$(peer "$action")")
    done
    a=$(printf '%s\n' "${ours[@]}" | sort -g | sed -n "$(( (${RUNS:-5} + 1) / 2 ))p"); b=$(printf '%s\n' "${theirs[@]}" | sort -g | sed -n "$(( (${RUNS:-5} + 1) / 2 ))p")
    awk -v n="$action" -v a="$a" -v b="$b" 'BEGIN { printf "%-28s %12.1f %12.1f %8.1f\n", n, a, b, b / a }'
done
