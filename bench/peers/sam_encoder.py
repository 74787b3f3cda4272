"""SAM's ViT-B: image encoder, decoder for one box, training step of the encoder. medseg beside Python torch (the same
networks, random weights), alternating, medians and ratio.

Usage: /usr/bin/python3 bench/peers/sam_encoder.py [rounds] [encoder] [decoder] [training]
The peer computes in fp32; medseg in fp32 and, where the CPU multiplies it, in bf16.
"""
import math
import os
import statistics
import subprocess
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

PROGRAM = os.path.join(os.path.dirname(__file__), "../../build/release/bench/bench_nn_sam_encoder")
WIDTH, DEPTH, HEADS, WINDOW, GLOBAL = 768, 12, 12, 14, (2, 5, 8, 11)
TRAINING_SIZE = 512  # at 1024 the peer keeps twelve 805 MB matrices of logits

with open("/proc/cpuinfo") as info:
    FEATURES = info.read()
AVX512, BF16 = "avx512vl" in FEATURES, "avx512_bf16" in FEATURES


def relative(table, size):
    steps = torch.arange(size)
    return table[steps[:, None] - steps[None, :] + size - 1]


class GridAttention(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.table_h = nn.Parameter(torch.randn(2 * size - 1, WIDTH // HEADS) / 10)
        self.table_w = nn.Parameter(torch.randn(2 * size - 1, WIDTH // HEADS) / 10)

    def forward(self, x):
        b, h, w, _ = x.shape
        d = WIDTH // HEADS
        q, k, v = self.qkv(x).view(b, h * w, 3, HEADS, d).permute(2, 0, 3, 1, 4).reshape(3, b * HEADS, h * w, d)
        logits = (q / math.sqrt(d)) @ k.transpose(1, 2)
        grid = q.view(b * HEADS, h, w, d)
        rows = torch.einsum("bhwc,hkc->bhwk", grid, relative(self.table_h, h))
        columns = torch.einsum("bhwc,wkc->bhwk", grid, relative(self.table_w, w))
        logits = (logits.view(-1, h, w, h, w) + rows[..., :, None] + columns[..., None, :]).view(-1, h * w, h * w)
        mixed = logits.softmax(-1) @ v
        return self.proj(mixed.view(b, HEADS, h, w, d).permute(0, 2, 3, 1, 4).reshape(b, h, w, WIDTH))


class Block(nn.Module):
    def __init__(self, window, grid):
        super().__init__()
        self.window = window
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6), nn.LayerNorm(WIDTH, eps=1e-6)
        self.attention = GridAttention(window or grid)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def windowed(self, x):
        b, h, w, c = x.shape
        s = self.window
        padded = F.pad(x, (0, 0, 0, -w % s, 0, -h % s))
        rows, columns = padded.shape[1] // s, padded.shape[2] // s
        y = padded.view(b, rows, s, columns, s, c).transpose(2, 3).reshape(-1, s, s, c)
        y = self.attention(y).view(b, rows, columns, s, s, c).transpose(2, 3).reshape(b, rows * s, columns * s, c)
        return y[:, :h, :w]

    def forward(self, x):
        y = self.norm1(x)
        x = x + (self.windowed(y) if self.window else self.attention(y))
        return x + self.mlp(self.norm2(x))


class ChannelNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x):
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Encoder(nn.Module):
    def __init__(self, size):
        super().__init__()
        grid = size // 16
        self.patches = nn.Conv2d(3, WIDTH, 16, stride=16)
        self.positions = nn.Parameter(torch.zeros(1, grid, grid, WIDTH))
        self.blocks = nn.Sequential(*(Block(0 if i in GLOBAL else WINDOW, grid) for i in range(DEPTH)))
        self.neck = nn.Sequential(nn.Conv2d(WIDTH, 256, 1, bias=False), ChannelNorm(256),
                                  nn.Conv2d(256, 256, 3, padding=1, bias=False), ChannelNorm(256))

    def forward(self, x):
        return self.neck(self.blocks(self.patches(x).permute(0, 2, 3, 1) + self.positions).permute(0, 3, 1, 2))


def peer_encoder():
    net = Encoder(1024).eval()

    def step():
        with torch.no_grad():
            net(torch.rand(1, 3, 1024, 1024))
    return step


def peer_training():
    net = Encoder(TRAINING_SIZE)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)

    def step():
        optimizer.zero_grad()
        net(torch.rand(1, 3, TRAINING_SIZE, TRAINING_SIZE)).square().mean().backward()
        optimizer.step()
    return step


def timed(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def medseg(work, size, rounds=1, precision="fp32"):
    # The program chooses OpenBLAS's kernels before it loads the library; the benchmark links it.
    environment = os.environ | {"OPENBLAS_CORETYPE": "SkylakeX"} if AVX512 else os.environ
    lines = subprocess.run([PROGRAM, work, str(size), str(rounds), precision], capture_output=True, text=True, check=True,
                           env=environment).stdout.split()
    return statistics.median(map(float, lines))


def beside(title, work, size, rounds, step):
    ours, half, theirs = [], [], []
    for _ in range(rounds):
        theirs.append(timed(step))
        ours.append(medseg(work, size))
        if BF16:
            half.append(medseg(work, size, precision="bf16"))
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"{title:38s} medseg {a:7.3f} s   Python torch {b:7.3f} s   ratio {b / a:5.2f}", flush=True)
    if BF16:
        c = statistics.median(half)
        print(f"    in bf16: {c:.3f} s   ratio {b / c:.2f}", flush=True)
    return a


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    parts = sys.argv[2:] or ["encoder", "decoder", "training"]
    torch.set_num_threads(int(os.environ.get("MEDSEG_THREADS", os.cpu_count())))  # Debian's build starts with one
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {rounds} rounds, medians")
    if "encoder" in parts:
        seconds = beside("ViT-B encoder, 1024 x 1024", "encoder", 1024, rounds, peer_encoder())
        print(f"    0.94 TFLOP: {940 / seconds:.0f} GFLOP/s; floor at 300 GFLOP/s 3.13 s")
    if "decoder" in parts:
        encoder, decoder = medseg("encoder", 1024), medseg("decoder", 1024, 5)
        print(f"decoder, one box    medseg {decoder:.4f} s   {100 * decoder / encoder:.1f} % of the encoder")
    if "training" in parts:
        beside(f"training step of the encoder, {TRAINING_SIZE} x {TRAINING_SIZE}", "training", TRAINING_SIZE, rounds,
               peer_training())


if __name__ == "__main__":
    main()
