#!/usr/bin/python3
"""SAM 3D preparation of a 512x512x200 phantom CT with 20 labels: medseg beside a Python one written from the published
rules on nibabel, numpy, scipy and scikit-image, alternating.

usage: /usr/bin/python3 bench/peers/sam3d_preparation.py [--medseg build/release/medseg] [--repeat 3] [--size 512,512,200]

Two comparisons, both with one process:
  whole case   everything at 3 mm, the scripts' flow: resampling, distances, surfaces, slice caches
  slice cache  one slice of the full grid; medseg: (run with slices - run without) / slices, its distances being in both;
               the peer makes every 16th slice of each axis. The peer runs with numpy.savez_compressed and numpy.savez.
Arrays of both are compared before anything is timed. The floor is one thread of libdeflate (level 1) on the arrays of a
slice, with the three equal channels of its image compressed once.
"""
import argparse
import ctypes
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import nibabel
import numpy as np
from scipy.ndimage import distance_transform_edt, map_coordinates
from skimage.measure import marching_cubes

HERE = pathlib.Path(__file__).resolve().parent
LEAST_FOREGROUND, LEAST_MESH, SPACING, EVERY = 0.01, 100, 3.0, 16
STRUCTURES = ("spleen,kidney_right,kidney_left,gallbladder,liver,stomach,pancreas,adrenal_gland_right,"
              "adrenal_gland_left,lung_upper_lobe_left,lung_lower_lobe_left,lung_upper_lobe_right,"
              "lung_middle_lobe_right,lung_lower_lobe_right,esophagus,heart,aorta,inferior_vena_cava,vertebrae_L1,"
              "spinal_cord")
CLASSES = len(STRUCTURES.split(","))


def resample(image, label, affine, spacing):
    """Cubic voxels around the same centre: floor(n * old / new) along each axis."""
    old = np.linalg.norm(affine[:3, :3], axis=0)
    ratio = spacing / old
    size = np.maximum(1, np.floor(np.array(image.shape) / ratio + 1e-4)).astype(int)
    first = (np.array(image.shape) - 1 - ratio * (size - 1)) / 2
    places = np.meshgrid(*[first[a] + ratio[a] * np.arange(size[a]) for a in range(3)], indexing="ij")
    nearest = [np.clip(np.floor(p + 0.5).astype(int), 0, n - 1) for p, n in zip(places, image.shape)]
    grid = affine.copy()
    grid[:3, :3] = affine[:3, :3] * ratio
    grid[:3, 3] = affine[:3, :3] @ first + affine[:3, 3]
    return map_coordinates(image, places, order=1, mode="nearest"), label[tuple(nearest)], grid


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


def slice_arrays(image, label, affine, axis, index, sdf_path):
    mask = np.take(label, index, axis)
    return {"image": np.repeat(np.take(image, index, axis)[None], 3, 0), "mask": mask,
            "pointmap": points_of(mask, axis, index, affine), "affine": affine, "slice_idx": index, "axis": axis,
            "gt_sdf_path": str(sdf_path)}


def chosen_slices(label, every=1):
    for axis in range(3):
        kept = [i for i in range(label.shape[axis]) if (np.take(label, i, axis) > 0).mean() >= LEAST_FOREGROUND]
        for index in kept[::every]:
            yield axis, index


def load(case):
    stored = nibabel.load(case / "s0000-image.nii.gz")
    label = np.asarray(nibabel.load(case / "s0000-label.nii.gz").dataobj).astype(np.uint8)
    return stored.get_fdata(dtype=np.float32), label, stored.affine


def prepare(case, out, save):
    (out / "meshes").mkdir(parents=True)
    image, label, affine = resample(*load(case), SPACING)
    sdf_path = out / "s0000.nii_sdf.npy"
    np.save(sdf_path, np.stack([signed_distance(label == c) for c in range(1, CLASSES + 1)]))
    for c in range(1, CLASSES + 1):
        if (label == c).sum() >= LEAST_MESH:
            write_mesh(out / "meshes" / f"s0000.nii_class{c}.obj", label == c, affine)
    for axis, index in chosen_slices(label):
        save(out / f"s0000.nii_axis{axis}_slice{index:04d}.npz",
             **slice_arrays(image, label, affine, axis, index, sdf_path))


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


class Folder:
    """A folder that is empty for every run."""

    def __init__(self, root):
        self.path = root / "out"

    def timed(self, function):
        shutil.rmtree(self.path, ignore_errors=True)
        return seconds(lambda: function(self.path))


def run_medseg(program, case, out, *options):
    subprocess.run([program, "prepare", "-q", "--form", "sam3d", "--input", str(case), "--output", str(out), *options],
                   check=True, stdout=subprocess.DEVNULL)


def make_case(program, root, size):
    subprocess.run([program, "phantom", str(root / "raw"), "-q", "--cases", "1", "--size", size, "--spacing",
                    "0.8,0.8,2.5", "--layout", "nnunet", "--structures", STRUCTURES], check=True,
                   stdout=subprocess.DEVNULL)
    case = root / "case"
    case.mkdir()
    (root / "raw/imagesTr/s0000_0000.nii.gz").rename(case / "s0000-image.nii.gz")
    (root / "raw/labelsTr/s0000.nii.gz").rename(case / "s0000-label.nii.gz")
    return case


def check_equal(ours, theirs):
    """Labels may differ at the few voxels that lie half-way between two of the source."""
    names = sorted(p.name for p in theirs.glob("*.npz"))
    if names != sorted(p.name for p in ours.glob("*.npz")):
        sys.exit("medseg and the peer keep different slices")
    for name in names[:: max(1, len(names) // 20)]:
        a, b = np.load(ours / name), np.load(theirs / name)
        if np.mean(a["mask"] != b["mask"]) > 5e-3 or not np.allclose(a["image"], b["image"], atol=2e-2):
            sys.exit(f"{name}: image or mask differ")
        both = (a["mask"] != 0) & (b["mask"] != 0)
        if not np.allclose(a["pointmap"][:, both], b["pointmap"][:, both], atol=1e-3):
            sys.exit(f"{name}: pointmaps differ")
    a, b = np.load(ours / "s0000.nii_sdf.npy"), np.load(theirs / "s0000.nii_sdf.npy")
    if np.mean(np.abs(a - b) > 0.5) > 5e-3:
        sys.exit("distances differ")


def deflate_floor(arrays):
    """Seconds of one thread of libdeflate, level 1, on the arrays that are not repeated."""
    library = ctypes.CDLL("libdeflate.so.0")
    library.libdeflate_alloc_compressor.restype = ctypes.c_void_p
    library.libdeflate_deflate_compress.restype = ctypes.c_size_t
    state = ctypes.c_void_p(library.libdeflate_alloc_compressor(1))
    total = 0.0
    for data in (arrays["image"][0].tobytes(), arrays["mask"].tobytes(), arrays["pointmap"].tobytes()):
        out = ctypes.create_string_buffer(len(data) + 4096)
        total += seconds(lambda: library.libdeflate_deflate_compress(state, data, ctypes.c_size_t(len(data)), out,
                                                                     ctypes.c_size_t(len(out))))
    return total


def whole_case(program, case, folder, repeat):
    options = ["--spacing", str(SPACING), "--classes", str(CLASSES), "--meshes"]
    theirs = folder.path.parent / "theirs"
    run_medseg(program, case, folder.path, *options)
    prepare(case, theirs, np.savez_compressed)
    check_equal(folder.path, theirs)
    slices = len(list(theirs.glob("*.npz")))
    shutil.rmtree(theirs)
    times = [(folder.timed(lambda out: run_medseg(program, case, out, *options)),
              folder.timed(lambda out: prepare(case, out, np.savez_compressed)),
              folder.timed(lambda out: prepare(case, out, np.savez))) for _ in range(repeat)]
    return slices, [statistics.median(column) for column in zip(*times)]


def slice_caches(program, case, folder, repeat):
    image, label, affine = load(case)
    options = ["--spacing", "0", "--classes", str(CLASSES)]
    places = list(chosen_slices(label))
    sample = list(chosen_slices(label, EVERY))

    def write_sample(save):
        for axis, index in sample:
            save(folder.path / f"{axis}_{index}.npz", **slice_arrays(image, label, affine, axis, index, "sdf.npy"))

    times = []
    for _ in range(repeat):
        without = folder.timed(lambda out: run_medseg(program, case, out, *options, "--min-foreground", "1"))
        ours = folder.timed(lambda out: run_medseg(program, case, out, *options)) - without
        shutil.rmtree(folder.path)
        folder.path.mkdir()
        packed = seconds(lambda: write_sample(np.savez_compressed))
        plain = seconds(lambda: write_sample(np.savez))
        times.append((ours / len(places), packed / len(sample), plain / len(sample)))
    arrays = [slice_arrays(image, label, affine, axis, index, "sdf.npy") for axis, index in sample]
    floor = statistics.mean(deflate_floor(a) for a in arrays)
    raw = statistics.mean(a["image"].nbytes + a["mask"].nbytes + a["pointmap"].nbytes for a in arrays)
    return len(places), [statistics.median(column) for column in zip(*times)], floor, raw


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--medseg", default=str(HERE / "../../build/release/medseg"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--size", default="512,512,200")
    parser.add_argument("--folder", help="for the files (10 GB), default: temporary")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = pathlib.Path(name)
        case, folder = make_case(options.medseg, root, options.size), Folder(root)
        print(f"{options.size}, {CLASSES} labels, {os.cpu_count()} cores; medians of {options.repeat}")
        print(f"{'':34}{'medseg':>10}{'Python':>10}{'ratio':>7}{'  uncompressed':>14}{'ratio':>7}")

        def report(what, unit, scale, values):
            ours, packed, plain = (v * scale for v in values)
            print(f"{what:34}{ours:8.2f}{unit}{packed:8.2f}{unit}{packed / ours:7.1f}{plain:12.2f}{unit}"
                  f"{plain / ours:7.1f}")

        slices, values = whole_case(options.medseg, case, folder, options.repeat)
        report(f"case at 3 mm, {slices} slices", " s", 1, values)
        slices, values, floor, raw = slice_caches(options.medseg, case, folder, options.repeat)
        report(f"a slice at full size, of {slices}", "ms", 1e3, values)
        print(f"a slice holds {raw / 1e6:.1f} MB; floor, one thread of libdeflate on what is not repeated: "
              f"{floor * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
