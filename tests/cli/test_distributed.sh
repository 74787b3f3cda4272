#!/usr/bin/env bash
# medseg train in several processes: the same weights as in one, variables of launchers, lost ranks, Ctrl-C.
source "$(dirname "$0")/checks.sh"
[ "${MEDSEG_WITH_TORCH:-1}" = 1 ] || { echo "built without networks: skipped"; exit 77; }

succeed "$MEDSEG" phantom "$work/raw" --cases 3 --size 48,40,16 --structures liver,heart,spleen
cat >"$work/recipe.yaml" <<YAML
name: tiny
seed: 7
data: {root: $work/raw, structures: [liver, heart, spleen], validation_fraction: 0.34}
prepare: {image_size: 48}
model: {features: [4, 8], bottleneck: 12, norm: instance}
train: {epochs: 3, batch_size: 3, loss: bce, optimizer: sgd, learning_rate: 0.05, workers: 1}
augmentation: {enabled: true}
YAML
compare() { # CHECKPOINT CHECKPOINT LARGEST_DIFFERENCE
    for side in 1 2; do
        succeed "$MEDSEG" checkpoint convert "${!side}" "$work/$side.safetensors" --extract model_state_dict
    done
    python3 - "$work/1.safetensors" "$work/2.safetensors" "$3" <<'PY'
import array, json, struct, sys
def tensors(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: array.array("f", data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]])
            for name, t in header.items() if t["dtype"] == "F32"}
a, b = tensors(sys.argv[1]), tensors(sys.argv[2])
assert a.keys() == b.keys() and a
worst = max(abs(x - y) for name in a for x, y in zip(a[name], b[name]))
print("largest difference", worst)
sys.exit(worst > float(sys.argv[3]))
PY
}

# Two processes with three slices each are one process with six.
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/one" train.batch_size=6
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/two" --processes 2
grep -q '2 processes train together' "$work/stderr" || fail "$(cat "$work/stderr")"
[ "$(grep -c 'epoch 3/3' "$work/stderr")" = 1 ] || fail "not one process alone reports: $(cat "$work/stderr")"
compare "$work/one/model/latest.pth" "$work/two/model/latest.pth" 1e-5 || fail "two processes trained another network"
no_leftovers "$work/two"

# The processes of torchrun, started by hand; finished training is left alone.
port=$((20000 + RANDOM % 20000))
for rank in 1 0; do
    env RANK=$rank WORLD_SIZE=2 LOCAL_RANK=$rank MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
        "$MEDSEG" train "$work/recipe.yaml" output="$work/torchrun" >"$work/out$rank" 2>"$work/err$rank" &
done
wait %1 || fail "$(cat "$work/err1")"
wait %2 || fail "$(cat "$work/err0")"
[ -s "$work/err1" ] && fail "rank 1 talks: $(cat "$work/err1")"
# With another number of threads a process rounds differently.
compare "$work/two/model/latest.pth" "$work/torchrun/model/latest.pth" 1e-6 || fail "other weights than with --processes"
succeed "$MEDSEG" train "$work/recipe.yaml" output="$work/two" --processes 2
grep -q 'train: up to date' "$work/stderr" || fail "trained again: $(cat "$work/stderr")"

# A lost rank ends the job with one line, and its last checkpoint is whole.
start_long() { # FOLDER
    "$MEDSEG" train "$work/recipe.yaml" output="$1" --processes 2 train.epochs=100000 train.validate_every=50 \
        >/dev/null 2>"$work/stderr" &
    pid=$!
    for _ in $(seq 600); do
        [ -e "$1/model/latest.pth" ] && return
        sleep 0.05
    done
    fail "no checkpoint appeared: $(cat "$work/stderr")"
}
start_long "$work/lost"
victim=$(for child in $(pgrep -P "$pid"); do tr '\0' '\n' <"/proc/$child/environ" | grep -qx RANK=1 && echo "$child"; done)
kill -KILL "$victim"
code=0; wait "$pid" || code=$?
[ "$code" = 1 ] || fail "a lost rank ended the job with $code: $(cat "$work/stderr")"
[ "$(grep -c '^medseg: error:' "$work/stderr")" = 1 ] && grep -q 'rank 1 of 2 was lost (signal 9)' "$work/stderr" ||
    fail "$(cat "$work/stderr")"
succeed "$MEDSEG" checkpoint inspect "$work/lost/model/latest.pth"

# Ctrl-C: all ranks stop after the same step, the state is saved, and the run can go on.
start_long "$work/stopped"
kill -INT "$pid"
code=0; wait "$pid" || code=$?
[ "$code" = 130 ] || fail "Ctrl-C ended with $code: $(cat "$work/stderr")"
succeed "$MEDSEG" checkpoint inspect "$work/stopped/model/latest.pth"
no_leftovers "$work/stopped"

# What is wrong is said in one line.
refuse() { # TEXT ENVIRONMENT...
    local text=$1; shift
    if env "$@" "$MEDSEG" train "$work/recipe.yaml" output="$work/wrong" 2>"$work/stderr"; then fail "accepted $*"; fi
    grep -q "$text" "$work/stderr" || fail "$(cat "$work/stderr")"
}
refuse 'WORLD_SIZE is not' RANK=0
refuse 'RANK=2: must be a number from 0 to 1' RANK=2 WORLD_SIZE=2
