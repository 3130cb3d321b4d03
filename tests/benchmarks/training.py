"""Training throughput of stacked DARTS_V2 beside a plain loop over the same network, round by round in one run.

Claim: at least 1.4 times the images/s on two processor cores, and 2 times on a GPU (bfloat16, channels last).
The plain loop is that of the released DARTS code: eager, float32, channels first, the images cropped, mirrored, normalised and
cut out one by one in two worker processes. Both train with the auxiliary head, drop path and a clipped gradient. Images are
random: what they show costs nothing. On a GPU also ImageNet's size (C=48, L=14, 224 px, synthetic), its share of the chip's
peak, and a profile.

    python tests/benchmarks/training.py [batch] [steps] [rounds]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from random import Random
from statistics import median

import torch
from _timing import report
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from nas.building import build
from nas.data import Augmentation, Digits, Images, Split
from nas.operations.drop_path import DropPath
from nas.profiling import profile
from nas.training import Epoch, Execution, Recipe, best_device, seeded, train
from search_spaces import darts

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
DROP_PATH = 0.1
CELLS = darts.family.published["DARTS_V2"]


def images(number: int, size: int, classes: int, validation: int = 0) -> Split:
    """Return random images to train on, and some to validate with."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (number + validation, 3, size, size), generator=generator, dtype=torch.uint8)
    y = torch.randint(classes, (number + validation,), generator=generator)
    every, names = Images(x, y), tuple(map(str, range(classes)))
    return Split("random", Digits(), every.at(slice(number)), every.at(slice(number, None)), names, MEAN, STD)


class PlainImages(Dataset[tuple[Tensor, Tensor]]):
    """Varies each image by itself, as torchvision's transforms and the released Cutout do."""

    def __init__(self, of: Images) -> None:
        self.of, self.rng = of, Random(0)
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x, size = self.of.x[index].float().div(255), self.of.x.shape[-1]
        padded = nn.functional.pad(x, (4, 4, 4, 4))
        top, left = self.rng.randrange(9), self.rng.randrange(9)
        x = padded[:, top : top + size, left : left + size]
        x = x.flip(2) if self.rng.random() < 0.5 else x
        x = x.sub(self.mean).div(self.std)
        row, column = self.rng.randrange(size), self.rng.randrange(size)
        x[:, max(0, row - 8) : row + 8, max(0, column - 8) : column + 8] = 0
        return x, self.of.y[index]


def network(device: torch.device) -> nn.Module:
    """Return DARTS_V2 in its CIFAR form."""
    with seeded(0):
        return build(darts.network(CELLS, auxiliary=True), (3, 32, 32)).to(device)


def plain(split: Split, batch: int, device: torch.device) -> Callable[[], float]:
    """Return a function that trains an epoch by the plain loop and returns its seconds."""
    model = network(device)
    for module in model.modules():
        if isinstance(module, DropPath):
            module.probability = DROP_PATH
    optimizer = torch.optim.SGD(model.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)
    assert isinstance(split.train, Images)
    loader = DataLoader(
        PlainImages(split.train),
        batch,
        shuffle=True,
        num_workers=2,
        pin_memory=device.type == "cuda",
        persistent_workers=True,  # started anew each short epoch they would cost more than in a long one
    )
    iter(loader)  # before there is memory that a fork shares

    def epoch() -> float:
        model.train()
        begun = time.perf_counter()
        for x, y in loader:
            x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
            optimizer.zero_grad()
            logits, auxiliary = model(x)
            loss = nn.functional.cross_entropy(logits, y) + 0.4 * nn.functional.cross_entropy(auxiliary, y)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), 5)
            optimizer.step()
            loss.item()
        return time.perf_counter() - begun

    return epoch


def own(split: Split, batch: int, device: torch.device, epochs: int) -> Callable[[], float]:
    """Return a function that trains the next epoch by the library's loop and returns its seconds."""
    recipe = Recipe(epochs=epochs, batch=batch, drop_path=DROP_PATH, drop_path_schedule="constant")
    reports = train(network(device), split, recipe, seed=0, device=device, execution=Execution(report_seconds=1e9))

    def epoch() -> float:
        found = next(reports)
        assert isinstance(found, Epoch)
        return found.seconds

    return epoch


def main(batch: int = 96, steps: int = 3, rounds: int = 3) -> None:
    """Measure and print."""
    device = best_device()
    split = images(batch * steps, 32, 10)
    ways = {"plain": plain(split, batch, device), "own": own(split, batch, device, rounds + 1)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(rounds + 1):
        for name, epoch in ways.items():
            taken = epoch()
            if i:  # the first round warms up
                seconds[name].append(taken)
    for name, each in seconds.items():
        report(
            f"DARTS_V2, C=36 L=20, batch {batch}, {device.type}: {name}", batch * steps / median(each), "images/s", ""
        )
    ratio = median(first / second for first, second in zip(seconds["plain"], seconds["own"], strict=True))
    report("own beside plain", 100 * ratio, "%", ">= 200 %" if device.type == "cuda" else ">= 140 %")
    if device.type == "cuda":
        imagenet(device)


def imagenet(device: torch.device, batch: int = 256, steps: int = 20) -> None:
    """Measure ImageNet's size on a GPU, with random images, and print what the time goes into."""
    tree = darts.network(CELLS, channels=48, layers=14, classes=1000, stem="imagenet", auxiliary=True)
    macs = profile(tree, (3, 224, 224)).macs
    with seeded(0):
        model = build(tree, (3, 224, 224))
    recipe = Recipe(epochs=3, batch=batch, drop_path=0, label_smoothing=0.1, augmentation=Augmentation(flip=True))
    reports = train(model, images(batch * steps, 224, 1000), recipe, seed=0, device=device)
    epochs = (each for each in reports if isinstance(each, Epoch))
    next(epochs)
    speed = next(epochs).images_per_second
    report("DARTS_V2, C=48 L=14, 224 px, synthetic", speed, "images/s", "")
    report("multiply-adds a second, forward and backward", 3 * macs * speed / 1e12, "T", "half the peak in TFLOPS")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiled:
        next(epochs)
    print(profiled.key_averages().table(sort_by="self_cuda_time_total", row_limit=15))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
