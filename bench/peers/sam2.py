"""SAM 2's image encoder beside Python torch, and propagation beside MedSAM2's scheme: medians and ratios.

Usage: /usr/bin/python3 bench/peers/sam2.py [rounds] [encoder] [propagation] [memory]
The peer is the Hiera encoder of SAM 2.0 tiny with its neck, in plain torch, with random weights: times do not depend on
them. MEDSEG_THREADS sets the threads of both, default 2.
"""
import os
import statistics
import subprocess
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

FOLDER = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(FOLDER, "../../build/release/bench/bench_nn_sam2")
THREADS = int(os.environ.get("MEDSEG_THREADS", "2"))
CEILING = 370.0  # GFLOP/s of fp32 matrix products on two cores with AVX-512
SIDE = 1024


def attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v)
    return torch.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, -1) @ v


def pool(x):
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


class Block(nn.Module):
    def __init__(self, dim, out, heads, window, halves):
        super().__init__()
        self.heads, self.window, self.halves = heads, window, halves
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.qkv = nn.Linear(dim, 3 * out)
        self.proj = nn.Linear(out, out)
        self.norm2 = nn.LayerNorm(out, eps=1e-6)
        self.up = nn.Linear(out, 4 * out)
        self.down = nn.Linear(4 * out, out)
        self.skip = nn.Linear(dim, out) if dim != out else None

    def attend(self, x):
        batch, height, width, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, height * width, 3, self.heads, -1).unbind(2)
        if self.halves:
            q = pool(q.reshape(batch, height, width, -1))
            height, width = q.shape[1:3]
            q = q.reshape(batch, height * width, self.heads, -1)
        mixed = attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return self.proj(mixed.transpose(1, 2).reshape(batch, height, width, -1))

    def forward(self, x):
        y = self.norm1(x)
        rest = x
        if self.skip is not None:
            rest = self.skip(y)
            if self.halves:
                rest = pool(rest)
        if self.window:
            w = self.window
            batch, height, width, channels = y.shape
            down, right = -height % w, -width % w
            y = F.pad(y, (0, 0, 0, right, 0, down))
            rows, columns = (height + down) // w, (width + right) // w
            y = y.view(batch, rows, w, columns, w, channels).permute(0, 1, 3, 2, 4, 5).reshape(-1, w, w, channels)
            y = self.attend(y)
            w = y.shape[1]
            y = y.view(batch, rows, columns, w, w, -1).permute(0, 1, 3, 2, 4, 5)
            y = y.reshape(batch, rows * w, columns * w, -1)[:, : rest.shape[1], : rest.shape[2]]
        else:
            y = self.attend(y)
        x = rest + y
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 96, 7, stride=4, padding=3)
        self.background = nn.Parameter(torch.zeros(1, 96, 7, 7))
        self.window = nn.Parameter(torch.zeros(1, 96, 8, 8))
        blocks, dim, heads = [], 96, 1
        self.ends = []
        everywhere = {5, 7, 9}
        for stage, (count, window) in enumerate(zip((1, 2, 7, 2), (8, 4, 14, 7))):
            for i in range(count):
                first = stage > 0 and i == 0
                size = (8, 4, 14, 7)[stage - 1] if first else window
                out = dim * 2 if first else dim
                heads = heads * 2 if first else heads
                blocks.append(Block(dim, out, heads, 0 if len(blocks) in everywhere else size, first))
                dim = out
            self.ends.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)
        self.neck = nn.ModuleList([nn.Conv2d(c, 256, 1) for c in (96, 192, 384, 768)])

    def forward(self, images):
        x = self.patches(images).permute(0, 2, 3, 1)
        size = x.shape[1:3]
        position = F.interpolate(self.background, size=size, mode="bicubic")
        position = position + self.window.tile(1, 1, size[0] // 8, size[1] // 8)
        x = x + position.permute(0, 2, 3, 1)
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.ends:
                maps.append(x.permute(0, 3, 1, 2))
        out = [conv(m) for conv, m in zip(self.neck, maps)]
        out[2] = out[2] + F.interpolate(out[3], scale_factor=2.0, mode="nearest")
        return out[:3]


def program(*arguments):
    environment = os.environ | {"MEDSEG_THREADS": str(THREADS), "OMP_NUM_THREADS": str(THREADS)}
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{PROGRAM}: {done.stderr.strip()}")
    return [[float(word) for word in line.split()] for line in done.stdout.splitlines()]


def python_times(network, rounds):
    image = torch.rand(1, 3, SIDE, SIDE)
    times = []
    with torch.no_grad():
        network(image)
        for _ in range(rounds):
            start = time.perf_counter()
            network(image)
            times.append(time.perf_counter() - start)
    return times


def compare_encoder(rounds):
    network = Encoder().eval()
    flop = program("flops", "sam2_hiera_t", SIDE)[0][0]
    ours, theirs = [], []
    for _ in range(rounds):
        ours += [row[0] for row in program("encoder", "sam2_hiera_t", SIDE, 2)]
        theirs += python_times(network, 2)
    mine, peer = statistics.median(ours), statistics.median(theirs)
    print(f"Hiera-T encoder at {SIDE}x{SIDE}: {flop / 1e9:.0f} GFLOP")
    print(f"  medseg       {mine:7.3f} s  {flop / mine / 1e9:5.0f} GFLOP/s   torch / medseg {peer / mine:.2f}")
    print(f"  Python torch {peer:7.3f} s  {flop / peer / 1e9:5.0f} GFLOP/s")
    floor = flop / CEILING / 1e9
    print(f"  floor at {CEILING:.0f} GFLOP/s: {floor:.3f} s; medseg / floor {mine / floor:.2f}")


def compare_propagation():
    shared = program("propagation", "sam2_hiera_t", 512, 40, 5, "shared")[0]
    original = program("propagation", "sam2_hiera_t", 512, 40, 5, "original")[0]
    print("five classes through 40 slices, Hiera-T at 512 pixels")
    print(f"  medseg           {shared[0]:7.1f} s, {shared[1]:.0f} embeddings   original / medseg {original[0] / shared[0]:.2f}")
    print(f"  original scheme  {original[0]:7.1f} s, {original[1]:.0f} embeddings")


def show_memory():
    for slices in (75, 150, 300):
        seconds, peak = program("memory", "hiera_mini", 256, slices)[0]
        print(f"memory propagation of {slices:3d} slices (hiera_mini, 256 pixels): {seconds:6.1f} s, peak {peak:.0f} MB")


def main():
    numbers = [a for a in sys.argv[1:] if a.isdigit()]
    parts = [a for a in sys.argv[1:] if not a.isdigit()] or ["encoder", "propagation", "memory"]
    rounds = int(numbers[0]) if numbers else 3
    torch.set_num_threads(THREADS)
    print(f"torch {torch.__version__}; {THREADS} threads each; {rounds} alternating rounds of 2; medians")
    if "encoder" in parts:
        compare_encoder(rounds)
    if "propagation" in parts:
        compare_propagation()
    if "memory" in parts:
        show_memory()


if __name__ == "__main__":
    main()
