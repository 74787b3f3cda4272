#!/usr/bin/env python3
"""Surface metrics of 20 labels and overlap of 117 labels on 512x512x200: medseg and its peers in turn, medians and ratios.

usage: SURFACE_DISTANCE_SOURCE=FOLDER bench/peers/metrics.py [path of bench_metrics] [rounds]

FOLDER is a checkout of google-deepmind/surface-distance; without it that row is left out. Peers get the arrays in memory;
so does medseg. MEDSEG_THREADS sets medseg's threads; the peers use one.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy

SPACING = (2.5, 0.8, 0.8)  # of (z, y, x) arrays


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def surface_distance_peer(reference, prediction):
    source = os.environ.get("SURFACE_DISTANCE_SOURCE")
    if not source:
        return None
    sys.path.insert(0, source)
    warnings.simplefilter("ignore")
    from surface_distance import metrics

    def work():
        for label in range(1, int(reference.max()) + 1):
            distances = metrics.compute_surface_distances(reference == label, prediction == label, SPACING)
            metrics.compute_robust_hausdorff(distances, 95)
            metrics.compute_robust_hausdorff(distances, 100)
            metrics.compute_average_surface_distance(distances)
            metrics.compute_surface_dice_at_tolerance(distances, 1.0)

    return work


def numpy_dice(reference, prediction):
    for label in range(1, int(reference.max()) + 1):
        a, b = reference == label, prediction == label
        2 * numpy.count_nonzero(a & b) / max(1, numpy.count_nonzero(a) + numpy.count_nonzero(b))


def bincount_dice(reference, prediction):
    pairs = numpy.bincount((reference.astype(numpy.uint16) * 256 + prediction).ravel(), minlength=65536).reshape(256, 256)
    2 * numpy.diag(pairs) / numpy.maximum(1, pairs.sum(0) + pairs.sum(1))


def load(folder):
    return (numpy.load(os.path.join(folder, name + ".npy")) for name in ("reference", "prediction"))


def print_row(name, ours, theirs):
    ours, theirs = statistics.median(ours), statistics.median(theirs)
    print(f"{name:<46} {ours * 1000:>10.1f} {theirs * 1000:>12.1f} {theirs / ours:>8.1f}x", flush=True)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    program = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../build/release/bench/bench_metrics")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    native = lambda *arguments: float(subprocess.check_output([program, *arguments]))
    print(f"{'512x512x200, medians of ' + str(rounds):<46} {'medseg ms':>10} {'peer ms':>12} {'ratio':>9}")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.check_call([program, "generate", folder, "20"])
        reference, prediction = load(folder)
        peer = surface_distance_peer(reference, prediction)
        if peer is None:
            print("surface-distance: SURFACE_DISTANCE_SOURCE is not set, left out")
        else:
            ours, theirs = [], []
            for _ in range(rounds):
                ours.append(native("surface", folder))
                theirs.append(timed(peer))
            print_row("HD95, HD, ASD, NSD of 20 labels: surface-distance", ours, theirs)
        print(f"peak memory beyond the input: {native('memory', folder):.2f} bytes a voxel")

        subprocess.check_call([program, "generate", folder, "117"])
        reference, prediction = load(folder)
        ours, loops, bins, reads = [], [], [], []
        for _ in range(rounds):
            ours.append(native("overlap", folder))
            reads.append(native("read", folder))
            bins.append(timed(lambda: bincount_dice(reference, prediction)))
        loops.append(timed(lambda: numpy_dice(reference, prediction)))
        print_row("Dice of 117 labels: numpy, one bincount", ours, bins)
        print_row("Dice of 117 labels: numpy, label by label", ours, loops)
        gigabytes = 2 * reference.nbytes / 1e9
        ours, reads = statistics.median(ours), statistics.median(reads)
        print(f"Dice of 117 labels reads {gigabytes / ours:.1f} GB/s; a plain read of both volumes {gigabytes / reads:.1f} GB/s "
              f"({100 * reads / ours:.0f} % of its speed)")


if __name__ == "__main__":
    main()
