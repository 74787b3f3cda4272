#!/usr/bin/env python3
"""Imaging kernels of medseg beside scipy, scikit-image and cc3d on the same 512x512x200 volume with 20 labels.

usage: imaging.py [--bench build/release/bench/bench_imaging] [--repeat 3] [--only NAME]

Runs medseg and its peer in turn and prints the medians and their ratio. cc3d takes part when CC3D_SOURCE names a folder
that holds its headers (cc3d.hpp); its driver is compiled into a temporary folder.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))


def run_medseg(bench, name):
    """Milliseconds of one benchmark (one iteration after one to warm up)."""
    out = subprocess.run(
        [bench, f"--benchmark_filter=^{name}$", "--benchmark_format=json", "--benchmark_min_time=0.2"],
        check=True, capture_output=True, text=True).stdout
    return json.loads(out)["benchmarks"][0]["real_time"]


def timed(function):
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


def build_cc3d(folder):
    source = os.environ.get("CC3D_SOURCE")
    if not source:
        return None
    driver = os.path.join(folder, "cc3d_driver")
    subprocess.run(["g++", "-O3", "-march=native", "-std=c++17", "-w", "-I", source,
                    os.path.join(HERE, "cc3d_driver.cpp"), "-o", driver], check=True)
    return driver


def peers(folder, driver):
    """(name of the medseg benchmark, name of the peer, function that returns the peer's milliseconds)."""
    labels = np.load(os.path.join(folder, "labels.npy"))
    image = np.load(os.path.join(folder, "image.npy"))
    raw = os.path.join(folder, "labels.raw")
    labels.tofile(raw)
    nz, ny, nx = labels.shape
    result = []

    def cc3d(mode, argument):
        return lambda: float(subprocess.run([driver, raw, str(nx), str(ny), str(nz), mode, str(argument)],
                                            check=True, capture_output=True, text=True).stdout)

    if driver:
        for connectivity in (6, 18, 26):
            result.append((f"components/{connectivity}", "cc3d C++", cc3d("components", connectivity)))
        result.append(("dust/26/1000", "cc3d C++", cc3d("dust", 1000)))
        result.append(("dust/8/100", "cc3d C++", cc3d("dust2d", 100)))
    try:
        from scipy import ndimage
        spacing = (2.5, 0.8, 0.8)
        result.append(("edtInside", "scipy", lambda: timed(lambda: ndimage.distance_transform_edt(labels, spacing))))
        result.append(("edtOutside", "scipy", lambda: timed(lambda: ndimage.distance_transform_edt(labels == 0, spacing))))
        result.append(("zoomCubic", "scipy", lambda: timed(
            lambda: ndimage.zoom(image, (2.5 / 1.5, 0.8 / 1.5, 0.8 / 1.5), order=3, mode="nearest"))))
        result.append(("holes", "scipy", lambda: timed(lambda: ndimage.binary_fill_holes(labels))))
        result.append(("erosion", "scipy", lambda: timed(lambda: ndimage.binary_erosion(labels))))
        result.append(("gaussian", "scipy", lambda: timed(lambda: ndimage.gaussian_filter(image, 1.0))))
    except ImportError:
        print("scipy is missing: left out", file=sys.stderr)
    try:
        from skimage import measure
        organs = np.load(os.path.join(folder, "organs.npy"))
        boxes = ndimage.find_objects(organs)

        def marching_cubes():
            for index, box in enumerate(boxes, 1):
                if box is not None:
                    measure.marching_cubes(np.pad(organs[box] == index, 1).astype(np.float32), 0.5, spacing=spacing)

        result.append(("surfaces", "scikit-image", lambda: timed(marching_cubes)))
    except ImportError:
        print("scikit-image is missing: left out", file=sys.stderr)
    window = lambda: ((np.clip(image, -160.0, 240.0) + 160.0) / 400.0 * 255.0).astype(np.uint8)
    result.append(("windowing", "numpy", lambda: timed(window)))
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", default=os.path.join(HERE, "../../build/release/bench/bench_imaging"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([options.bench, "--write", folder], check=True)
        driver = build_cc3d(folder)
        print(f"{'kernel':<16}{'medseg ms':>12}{'peer ms':>12}{'ratio':>9}  peer")
        for name, peer, function in peers(folder, driver):
            if options.only not in name:
                continue
            ours, theirs = [], []
            for _ in range(options.repeat):
                ours.append(run_medseg(options.bench, name))
                theirs.append(function())
            a, b = statistics.median(ours), statistics.median(theirs)
            print(f"{name:<16}{a:>12.1f}{b:>12.1f}{b / a:>8.1f}x  {peer}", flush=True)


if __name__ == "__main__":
    main()
