"""Inference of the 117-output U-Net: medseg's engine (fp32, bf16, int8), Python torch and ONNX Runtime in turn, medians and ratios.

Usage: ONNXRUNTIME_NODE=FOLDER /usr/bin/python3 bench/peers/unet_inference.py [rounds]
FOLDER is the package onnxruntime-node (README.md says how to get it); without it ONNX Runtime is left out.
MEDSEG_THREADS sets the threads of all three, default 2. ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI shows a processor without AMX.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch

import training_step

FOLDER = os.path.dirname(os.path.abspath(__file__))
ENGINE = os.path.join(FOLDER, "../../build/release/bench/bench_nn_engine")
THREADS = int(os.environ.get("MEDSEG_THREADS", "2"))
PACKAGE = os.environ.get("ONNXRUNTIME_NODE")
GFLOP_A_SLICE = 24.5
# What direct sums reach at most on two cores, GFLOP/s: fp32 with AVX-512, int8 with VNNI (no AMX).
CEILING = {"fp32": 300.0, "int8": 1400.0}
INNER_ROUNDS = 3


def times_of(command, environment):
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return [float(line) for line in done.stdout.split()]


def engine(precision, batch):
    environment = {"MEDSEG_THREADS": str(THREADS), "OMP_NUM_THREADS": str(THREADS)}
    return times_of([ENGINE, precision, str(batch), str(INNER_ROUNDS)], environment)


def onnx_runtime(model, batch):
    script = os.path.join(FOLDER, "onnxruntime_session.js")
    return times_of(["node", script, model, str(batch), str(INNER_ROUNDS), str(THREADS)], {})


def python_torch(network, batch):
    images = torch.rand(batch, 1, 256, 256)
    times = []
    with torch.no_grad():
        network(images)
        for _ in range(INNER_ROUNDS):
            start = time.perf_counter()
            network(images)
            times.append(time.perf_counter() - start)
    return times


def export(network, file):
    torch.onnx.export(network, torch.rand(1, 1, 256, 256), file, opset_version=13, input_names=["images"],
                      output_names=["logits"], dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}})


def compare(batch, rounds, network, model):
    sides = {f"medseg {p}": lambda p=p: engine(p, batch) for p in ("fp32", "bf16", "int8")}
    sides["Python torch"] = lambda: python_torch(network, batch)
    if PACKAGE:
        sides["ONNX Runtime"] = lambda: onnx_runtime(model, batch)
    times = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            times[name] += measure()
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"\nbatch of {batch}: {batch * GFLOP_A_SLICE:.1f} GFLOP")
    for name, seconds in median.items():
        line = f"  {name:<13} {seconds:8.4f} s {batch * GFLOP_A_SLICE / seconds:7.0f} GFLOP/s"
        if name.startswith("medseg"):
            line += f"   torch / medseg {median['Python torch'] / seconds:5.2f}"
            if PACKAGE:
                line += f"   ONNX Runtime / medseg {median['ONNX Runtime'] / seconds:5.2f}"
        print(line)
    for precision, ceiling in CEILING.items():
        floor = batch * GFLOP_A_SLICE / ceiling
        print(f"  floor {precision}, direct sums at {ceiling:.0f} GFLOP/s: {floor:.4f} s; "
              f"medseg / floor {median['medseg ' + precision] / floor:.2f}")


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(THREADS)
    torch.manual_seed(1)
    network = training_step.UNet().eval()
    peers = f"torch {torch.__version__}" + (", ONNX Runtime (onnxruntime-node)" if PACKAGE else
                                            "; no ONNX Runtime: set ONNXRUNTIME_NODE")
    print(f"{peers}; {THREADS} threads each; {rounds} alternating rounds of {INNER_ROUNDS}; medians")
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "unet.onnx")
        if PACKAGE:
            export(network, model)
        for batch in (1, 8):
            compare(batch, rounds, network, model)


if __name__ == "__main__":
    main()
