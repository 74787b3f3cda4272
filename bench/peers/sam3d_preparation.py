#!/usr/bin/python3
"""Slice caches of SAM 3D: medseg beside a Python preparation written from the published rules, alternating.

usage: sam3d_preparation.py MEDSEG CASES_DIR [ROUNDS]
CASES_DIR holds CASE/CASE-image.nii.gz with CASE/CASE-label.nii.gz; grids are taken as they are (no resampling).
"""
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import nibabel
import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.measure import marching_cubes

CLASSES, LEAST_FOREGROUND, LEAST_MESH = 5, 0.01, 100


def signed_distance(mask):
    if not mask.any():
        return np.full(mask.shape, 1e6, np.float32)
    return (distance_transform_edt(~mask) - distance_transform_edt(mask)).astype(np.float32)


def write_mesh(path, mask, affine):
    vertices, faces, normals, _ = marching_cubes(mask.astype(np.float32), 0.5)
    vertices = vertices @ affine[:3, :3].T + affine[:3, 3]
    with open(path, "w") as file:
        for v in vertices:
            file.write(f"v {v[0]} {v[1]} {v[2]}\n")
        for n in normals:
            file.write(f"vn {n[0]} {n[1]} {n[2]}\n")
        for f in faces + 1:
            file.write(f"f {f[0]}//{f[0]} {f[1]}//{f[1]} {f[2]}//{f[2]}\n")


def points_of(mask, axis, index, affine):
    points = np.full((3,) + mask.shape, np.nan, np.float32)
    rows, columns = np.nonzero(mask)
    across = np.full(len(rows), index)
    voxels = np.stack([[across, rows, columns], [rows, across, columns], [rows, columns, across]][axis])
    points[:, rows, columns] = affine[:3, :3] @ voxels + affine[:3, 3:]
    return points


def prepare(cases, out, save):
    (out / "meshes").mkdir(parents=True)
    for image_file in sorted(cases.glob("*/*-image.nii.gz")):
        name = image_file.name.replace("-image", "").removesuffix(".gz")
        stored = nibabel.load(image_file)
        image, affine = stored.get_fdata(dtype=np.float32), stored.affine
        label = np.asarray(nibabel.load(str(image_file).replace("-image", "-label")).dataobj).astype(np.uint8)
        sdf_path = out / f"{name}_sdf.npy"
        np.save(sdf_path, np.stack([signed_distance(label == c) for c in range(1, CLASSES + 1)]))
        for c in range(1, CLASSES + 1):
            if (label == c).sum() >= LEAST_MESH:
                write_mesh(out / "meshes" / f"{name}_class{c}.obj", label == c, affine)
        for axis in range(3):
            for index in range(label.shape[axis]):
                mask = np.take(label, index, axis)
                if (mask > 0).mean() < LEAST_FOREGROUND:
                    continue
                save(out / f"{name}_axis{axis}_slice{index:04d}.npz",
                     image=np.repeat(np.take(image, index, axis)[None], 3, 0), mask=mask,
                     pointmap=points_of(mask, axis, index, affine), affine=affine, slice_idx=index, axis=axis,
                     gt_sdf_path=str(sdf_path))


def timed(function):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        start = time.perf_counter()
        function(out)
        seconds = time.perf_counter() - start
        count = len(list(out.glob("*.npz")))
        shutil.rmtree(out)
    return seconds, count


def main():
    medseg, cases = sys.argv[1], pathlib.Path(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    command = [medseg, "prepare", "--form", "sam3d", "--input", str(cases), "--spacing", "0", "--meshes", "--output"]
    rivals = {
        "medseg (compressed)": lambda out: subprocess.run(command + [str(out)], check=True, capture_output=True),
        "Python, savez_compressed": lambda out: prepare(cases, out, np.savez_compressed),
        "Python, savez": lambda out: prepare(cases, out, np.savez),
    }
    times, counts = {name: [] for name in rivals}, {}
    for _ in range(rounds):
        for name, function in rivals.items():
            seconds, counts[name] = timed(function)
            times[name].append(seconds)
    ours = statistics.median(times["medseg (compressed)"])
    print(f"{'':28}{'slices':>8}{'seconds':>10}{'ratio':>8}")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:28}{counts[name]:8}{median:10.3f}{median / ours:8.1f}")


if __name__ == "__main__":
    main()
