#!/usr/bin/env python3
"""Prepares a 512x512x200 phantom CT for MedSAM with medseg and as the official Python script does, in turn.

usage: /usr/bin/python3 bench/peers/preparation.py [--medseg build/release/medseg] [--repeat 3] [--folder DIR]

The peer takes the steps of pre_CT_MR.py (one process, then one process a core): read both volumes (nibabel), remove
labels, dust in 3D and 2D, window to bytes, keep labelled slices, numpy.savez_compressed; then the slice stage:
skimage.transform.resize to 1024x1024 with order 3 and numpy.save. Dust is cc3d's C++ when CC3D_SOURCE names the folder
of cc3d.hpp (built here as a shared library), or the cc3d module, else scipy.ndimage, which is slower. The files are
written by Python's gzip at level 6, not by medseg. medseg's times include the start of the program and hashing of the
inputs. Results of both are compared before anything is timed.
"""
import argparse
import ctypes
import gzip
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import nibabel
import numpy as np
import scipy.ndimage
import skimage.transform

HERE = os.path.dirname(os.path.abspath(__file__))
SIZE = (512, 512, 200)
LEVEL, WIDTH, REMOVE, DUST_3D, DUST_2D = 40, 400, (12,), 1000, 100
ORGANS = ("liver,kidney_right,spleen,pancreas,aorta,inferior_vena_cava,adrenal_gland_left,gallbladder,esophagus,"
          "stomach,duodenum,kidney_left")
cc3d_library = None


def dust(labels, threshold, volume):
    if cc3d_library is not None:
        function = cc3d_library.dust_volume if volume else cc3d_library.dust_slices
        nz, ny, nx = labels.shape
        function(labels.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(nx), ctypes.c_int64(ny), ctypes.c_int64(nz),
                 ctypes.c_uint64(threshold))
        return labels
    try:
        import cc3d
        if volume:
            return cc3d.dust(labels, threshold=threshold, connectivity=26, in_place=True)
        for z in range(labels.shape[0]):
            labels[z] = cc3d.dust(labels[z], threshold=threshold, connectivity=8, in_place=True)
        return labels
    except ImportError:
        structure = np.ones((3, 3, 3), np.uint8)
        if not volume:
            structure[0] = structure[2] = 0
        for label in np.unique(labels)[1:]:
            parts, _ = scipy.ndimage.label(labels == label, structure)
            labels[(np.bincount(parts.ravel())[parts] < threshold) & (parts > 0)] = 0
        return labels


def prepare(arguments):
    image_path, label_path, output = arguments
    labels = np.ascontiguousarray(np.asanyarray(nibabel.load(label_path).dataobj).T).astype(np.uint8)
    for label in REMOVE:
        labels[labels == label] = 0
    labels = dust(labels, DUST_3D, True)
    labels = dust(labels, DUST_2D, False)
    kept = np.unique(np.where(labels > 0)[0])
    labels = labels[kept]
    nifti = nibabel.load(image_path)
    image = np.asanyarray(nifti.dataobj).T
    image = np.clip(image, LEVEL - WIDTH / 2, LEVEL + WIDTH / 2)
    image = (image - image.min()) / (image.max() - image.min()) * 255.0
    image = np.uint8(image)[kept]
    np.savez_compressed(output, imgs=image, gts=labels, spacing=np.array(nifti.header.get_zooms()[:3], float))


def resize_slice(image, label, output):
    color = np.repeat(image[:, :, None], 3, axis=-1)
    resized = skimage.transform.resize(color, (1024, 1024), order=3, preserve_range=True, mode="constant",
                                       anti_aliasing=True)
    resized = (resized - resized.min()) / np.clip(resized.max() - resized.min(), a_min=1e-8, a_max=None)
    np.save(output + "_img.npy", resized)
    gt = skimage.transform.resize(label, (1024, 1024), order=0, preserve_range=True, mode="constant",
                                  anti_aliasing=False)
    np.save(output + "_gt.npy", np.uint8(gt))
    return resized, np.uint8(gt)


def timed(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def run_medseg(program, folder, output, *options):
    """Seconds of one run into an empty folder."""
    shutil.rmtree(output, ignore_errors=True)
    command = [program, "prepare", "-q", "--form", "medsam", "--images", f"{folder}/imagesTr", "--labels",
               f"{folder}/labelsTr", "--output", output, *options]
    return timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def peak_memory(program, folder, output):
    """Peak resident memory of one run in MB, from the high-water mark of the process itself (not of its parent)."""
    shutil.rmtree(output, ignore_errors=True)
    process = subprocess.Popen([program, "prepare", "-q", "--form", "medsam", "--images", f"{folder}/imagesTr",
                                "--labels", f"{folder}/labelsTr", "--output", output], stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status") as status:
                peak = max([peak] + [int(line.split()[1]) for line in status if line.startswith("VmHWM")])
        except OSError:
            pass
        time.sleep(0.002)
    return peak / 1024


def recompress(path):
    with gzip.open(path, "rb") as file:
        data = file.read()
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(data)
    return len(data)


def make_cases(program, folder, copies):
    """`folder`/one with a case, /many with copies of it, /thin with labels in 40 slices only."""
    one = os.path.join(folder, "one")
    subprocess.run([program, "phantom", one, "-q", "--cases", "1", "--size", ",".join(map(str, SIZE)), "--spacing",
                    "0.8,0.8,2.5", "--layout", "nnunet", "--structures", ORGANS], check=True, stdout=subprocess.DEVNULL)
    image, label = f"{one}/imagesTr/s0000_0000.nii.gz", f"{one}/labelsTr/s0000.nii.gz"
    raw_bytes = recompress(image)
    recompress(label)
    for name, count in (("many", copies), ("thin", 1)):
        for kind in ("imagesTr", "labelsTr"):
            os.makedirs(f"{folder}/{name}/{kind}")
        for i in range(count):
            shutil.copy(image, f"{folder}/{name}/imagesTr/s{i:04}_0000.nii.gz")
            shutil.copy(label, f"{folder}/{name}/labelsTr/s{i:04}.nii.gz")
    whole = nibabel.load(label)
    labels = np.asanyarray(whole.dataobj).copy()
    labels[:, :, :80] = labels[:, :, 120:] = 0
    nibabel.save(nibabel.Nifti1Image(labels, whole.affine, whole.header), f"{folder}/thin/labelsTr/s0000.nii.gz")
    return image, label, raw_bytes


def floors(image, label, npz):
    """Seconds of one thread of libdeflate to inflate both inputs and to deflate the arrays at level 1."""
    library = ctypes.CDLL("libdeflate.so.0")
    for name in ("libdeflate_alloc_decompressor", "libdeflate_alloc_compressor"):
        getattr(library, name).restype = ctypes.c_void_p
    library.libdeflate_deflate_compress.restype = ctypes.c_size_t
    inflate = 0.0
    for path in (image, label):
        packed = open(path, "rb").read()
        out = ctypes.create_string_buffer(int.from_bytes(packed[-4:], "little"))
        state = ctypes.c_void_p(library.libdeflate_alloc_decompressor())
        ctypes.memset(out, 1, len(out))
        inflate += timed(lambda: library.libdeflate_gzip_decompress(
            state, packed, ctypes.c_size_t(len(packed)), out, ctypes.c_size_t(len(out)), None))
    deflate = 0.0
    arrays = np.load(npz)
    for name in ("imgs", "gts"):
        data = arrays[name].tobytes()
        out = ctypes.create_string_buffer(len(data) + 4096)
        state = ctypes.c_void_p(library.libdeflate_alloc_compressor(1))
        deflate += timed(lambda: library.libdeflate_deflate_compress(
            state, data, ctypes.c_size_t(len(data)), out, ctypes.c_size_t(len(out))))
    return inflate, deflate


def check_equal(ours, theirs):
    a, b = np.load(ours), np.load(theirs)
    for name in ("imgs", "gts"):
        if not np.array_equal(a[name], b[name]):
            sys.exit(f"{name} of medseg and of the peer differ")
    if not np.allclose(a["spacing"], b["spacing"], atol=1e-6):
        sys.exit("spacings differ")


def build_cc3d(folder):
    source = os.environ.get("CC3D_SOURCE")
    if not source:
        return None
    library = os.path.join(folder, "libcc3d_peer.so")
    subprocess.run(["g++", "-O3", "-march=native", "-std=c++17", "-w", "-shared", "-fPIC", "-I", source,
                    os.path.join(HERE, "cc3d_driver.cpp"), "-o", library], check=True)
    return ctypes.CDLL(library)


def main():
    global cc3d_library
    parser = argparse.ArgumentParser()
    parser.add_argument("--medseg", default=os.path.join(HERE, "../../build/release/medseg"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--copies", type=int, default=4, help="cases of the throughput run")
    parser.add_argument("--slices", type=int, default=3, help="slices that the peer resizes")
    parser.add_argument("--folder", help="for the files (2 GB), default: temporary")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        cc3d_library = build_cc3d(folder)
        image, label, raw_bytes = make_cases(options.medseg, folder, options.copies)
        one, many, thin = (os.path.join(folder, name) for name in ("one", "many", "thin"))
        ours, theirs = os.path.join(folder, "out"), os.path.join(folder, "peer.npz")
        cores = os.cpu_count()

        run_medseg(options.medseg, one, ours)
        prepare((image, label, theirs))
        npz = f"{ours}/npz_train/CT_Abd/CT_Abd_s0000.npz"
        check_equal(npz, theirs)
        sizes = os.path.getsize(npz) / 1e6, os.path.getsize(theirs) / 1e6
        inflate, deflate = floors(image, label, npz)
        kept = np.load(npz)["imgs"].shape[0]

        times = {name: [] for name in ("one case", "throughput", "slice")}
        peak, many_peak = peak_memory(options.medseg, one, ours), peak_memory(options.medseg, many, ours)
        for _ in range(options.repeat):
            seconds = run_medseg(options.medseg, one, ours)
            times["one case"].append((seconds, timed(prepare, (image, label, theirs))))

            jobs = [(f"{many}/imagesTr/s{i:04}_0000.nii.gz", f"{many}/labelsTr/s{i:04}.nii.gz",
                     f"{folder}/many{i}.npz") for i in range(options.copies)]
            seconds = run_medseg(options.medseg, many, ours)
            with multiprocessing.Pool(cores) as pool:
                pool.map(abs, range(cores))  # started
                theirs_seconds = timed(lambda: pool.map(prepare, jobs, 1))
            times["throughput"].append((seconds / options.copies, theirs_seconds / options.copies))

            base = run_medseg(options.medseg, thin, ours)
            with_slices = run_medseg(options.medseg, thin, ours, "--npy")
            arrays = np.load(f"{ours}/npz_train/CT_Abd/CT_Abd_s0000.npz")
            imgs, gts = arrays["imgs"], arrays["gts"]
            first = imgs.shape[0] // 2
            resized, resized_label = resize_slice(imgs[first], gts[first], f"{folder}/slice")
            written = np.load(f"{ours}/npy/imgs/CT_Abd_s0000-{first:03}.npy")
            if np.abs(written - resized).max() > 1e-6 or not np.array_equal(
                    resized_label, np.load(f"{ours}/npy/gts/CT_Abd_s0000-{first:03}.npy")):
                sys.exit("slices of medseg and of the peer differ")
            peer = statistics.mean(timed(resize_slice, imgs[z], gts[z], f"{folder}/slice")
                                   for z in range(first, first + options.slices))
            times["slice"].append(((with_slices - base) / imgs.shape[0], peer))

        print(f"{SIZE[0]}x{SIZE[1]}x{SIZE[2]}, {kept} slices kept, {cores} cores; dust of the peer: "
              f"{'cc3d' if cc3d_library else 'cc3d module or scipy'}; medians of {options.repeat}")
        for name, meaning in (("one case", "one case to .npz, s"),
                              ("throughput", f"s a case, {cores} workers, {options.copies} cases"),
                              ("slice", "slice to 1024x1024 .npy, s")):
            medseg = statistics.median(a for a, _ in times[name])
            peer = statistics.median(b for _, b in times[name])
            print(f"{meaning:38} medseg {medseg:7.3f}   Python {peer:7.3f}   ratio {peer / medseg:5.1f}")
        print(f"peak memory of medseg, one case: {peak:.0f} MB = {peak * 2**20 / raw_bytes:.2f} times the uncompressed "
              f"image; {options.copies} cases: {many_peak:.0f} MB")
        print(f"floors, one thread of libdeflate: inflate inputs {inflate:.3f} s, deflate arrays {deflate:.3f} s; "
              f".npz: medseg {sizes[0]:.1f} MB, numpy {sizes[1]:.1f} MB")


if __name__ == "__main__":
    main()
