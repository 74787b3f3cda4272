"""Training step of the 117-output U-Net: medseg beside Python torch, alternating, medians and ratio. For prediction see
unet_inference.py.

Usage: /usr/bin/python3 bench/peers/training_step.py [rounds]
"""
import os
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

PROGRAM = os.path.join(os.path.dirname(__file__), "../../build/release/bench/bench_nn_training_step")

with open("/proc/cpuinfo") as info:
    FEATURES = info.read()
AVX512, BF16 = "avx512vl" in FEATURES, "avx512_bf16" in FEATURES


def double(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True),
                         nn.Conv2d(o, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class UNet(nn.Module):
    def __init__(self, outputs=117, features=(32, 64, 128, 256), bottleneck=512):
        super().__init__()
        widths = (1,) + tuple(features)
        self.down = nn.ModuleList(double(a, b) for a, b in zip(widths, widths[1:]))
        self.middle = double(features[-1], bottleneck)
        above = tuple(features[1:]) + (bottleneck,)
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, f, 2, stride=2) for a, f in zip(above, features))
        self.merge = nn.ModuleList(double(2 * f, f) for f in features)
        self.out = nn.Conv2d(features[0], outputs, 1)

    def forward(self, x):
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.middle(x)
        for up, merge, skip in zip(reversed(self.up), reversed(self.merge), reversed(skips)):
            x = merge(torch.cat([up(x), skip], 1))
        return self.out(x)


def peer(batch):
    torch.manual_seed(1)
    net = UNet()
    images = torch.rand(batch, 1, 256, 256)
    masks = (torch.rand(batch, 117, 256, 256) < 0.01).float()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-5)
    loss_of = nn.BCEWithLogitsLoss()

    def step():
        start = time.perf_counter()
        optimizer.zero_grad()
        loss_of(net(images), masks).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return time.perf_counter() - start

    step()
    return step


def medseg(batch, *precision):
    # The program chooses OpenBLAS's kernels before it loads the library; the benchmark links it.
    environment = os.environ | {"OPENBLAS_CORETYPE": "SkylakeX"} if AVX512 else os.environ
    return float(subprocess.run([PROGRAM, str(batch), "1", *precision], capture_output=True, text=True, check=True,
                                env=environment).stdout)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    torch.set_num_threads(int(os.environ.get("MEDSEG_THREADS", os.cpu_count())))  # Debian's build starts with one
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {rounds} rounds, medians")
    step = peer(8)
    ours, half, theirs = [], [], []
    for _ in range(rounds):
        theirs.append(step())
        ours.append(medseg(8))
        if BF16:
            half.append(medseg(8, "bf16"))
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"training step, 8 x 256 x 256, 117 outputs    medseg {a:7.3f} s   Python torch {b:7.3f} s   ratio {b / a:5.2f}")
    if BF16:
        c = statistics.median(half)
        print(f"    in bf16 {c:.3f} s   ratio {b / c:.2f}")


if __name__ == "__main__":
    main()
