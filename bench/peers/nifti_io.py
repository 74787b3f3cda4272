#!/usr/bin/env python3
"""Reads and writes a 512x512x200 int16 NIfTI volume with medseg and with nibabel, in turn, and prints medians and ratios.

usage: bench/peers/nifti_io.py [path of bench_nifti_io] [rounds]
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

import nibabel
import numpy


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    program = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../build/release/bench/bench_nifti_io")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    native = lambda *arguments: float(subprocess.check_output([program, *arguments]))
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs, out = (os.path.join(folder, name) for name in ("ours.nii.gz", "theirs.nii.gz", "out.nii.gz"))
        subprocess.check_call([program, "generate", ours])
        image = nibabel.load(ours)
        voxels = numpy.asanyarray(image.dataobj)
        plain = nibabel.Nifti1Image(voxels, image.affine)
        nibabel.save(plain, theirs)
        assert numpy.array_equal(voxels, numpy.asanyarray(nibabel.load(theirs).dataobj))

        read = lambda path: timed(lambda: numpy.asanyarray(nibabel.load(path).dataobj))
        measurements = {name: [] for name in (
            "medseg read, file of nibabel", "nibabel read, file of nibabel", "medseg read, file of medseg",
            "inflate alone, file of nibabel", "medseg write", "nibabel write")}
        for _ in range(rounds):
            measurements["medseg read, file of nibabel"].append(native("read", theirs))
            measurements["nibabel read, file of nibabel"].append(read(theirs))
            measurements["medseg read, file of medseg"].append(native("read", ours))
            measurements["inflate alone, file of nibabel"].append(native("inflate", theirs))
            measurements["medseg write"].append(native("write", theirs, out))
            measurements["nibabel write"].append(timed(lambda: nibabel.save(plain, out)))
        median = {name: statistics.median(values) for name, values in measurements.items()}
        for name, seconds in median.items():
            print(f"{name:32} {seconds:7.3f} s")
        print(f"size of the files: medseg {os.path.getsize(ours) / 1e6:.1f} MB, nibabel {os.path.getsize(theirs) / 1e6:.1f} MB")
        reading = median["nibabel read, file of nibabel"]
        print(f"reading: {reading / median['medseg read, file of nibabel']:.2f} times nibabel "
              f"({reading / median['medseg read, file of medseg']:.2f} times from a file of medseg)")
        print(f"writing: {median['nibabel write'] / median['medseg write']:.2f} times nibabel")


if __name__ == "__main__":
    main()
