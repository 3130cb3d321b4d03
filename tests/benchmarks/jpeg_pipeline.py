"""Measure the input pipeline alone: from JPEG files of 500x375 to normalised batches of 224 pixels, beside a plain one.

The plain pipeline is Pillow in torch's DataLoader with the transforms of torchvision: open, random resized crop, flip, to a
float tensor, normalise, collate. Ours is `load_batches`, a flip of the batch and `normalise`. Both have one worker process,
pinned with the main process to one processor, and take turns round by round; compared are the medians of seconds and of CPU
seconds, of worker and main process together. The photographs are the two of scikit-learn, cut and scaled, in JPEG of quality 90.
"""

from __future__ import annotations

import math
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from statistics import median
from time import perf_counter

import numpy as np
import torch
from _timing import report
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nas.data import ImageFiles, RandomCrop, decoder_name, load_batches, normalise
from nas.data.decode import has_simplejpeg
from nas.data.encoded import IMAGENET_MEAN, IMAGENET_STD, Encoded

IMAGES = 1024
BATCH = 32
ROUNDS = 5
SIZE = 224
SCALE = (0.08, 1.0)


def write_photographs(folder: Path) -> None:
    photographs = [Image.fromarray(each) for each in load_sample_images().images]
    draw = random.Random(0)
    for i in range(IMAGES + 2):
        share = draw.uniform(0.85, 1.0)
        width, height = int(500 * share), int(375 * share)
        left, top = draw.randint(0, 640 - width), draw.randint(0, 427 - height)
        cut = (
            photographs[i % 2]
            .crop((left, top, left + width, top + height))
            .resize((500, 375), Image.Resampling.BICUBIC)
        )
        file = folder / ("val" if i >= IMAGES else "train") / f"class{i % 2}" / f"{i}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        cut.save(file, quality=90)


class Plain(Dataset[tuple[Tensor, int]]):
    """The pipeline that most code has, with what torchvision's transforms do."""

    def __init__(self, files: list[str]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self.files[index]) as file:
            image = file.convert("RGB")
        left, top, width, height = resized_crop(*image.size)
        image = image.crop((left, top, left + width, top + height)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
        return x.clone().sub_(mean).div_(std), index % 2


def resized_crop(width: int, height: int) -> tuple[int, int, int, int]:
    for _ in range(10):
        area = width * height * random.uniform(*SCALE)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if w <= width and h <= height:
            return random.randint(0, width - w), random.randint(0, height - h), w, h
    return 0, 0, width, height


def plain(files: list[str]) -> Iterable[Tensor]:
    for x, _ in DataLoader(Plain(files), BATCH, shuffle=True, num_workers=1):
        yield x


def ours(images: Encoded) -> Iterable[Tensor]:
    parts = torch.split(images.order(torch.Generator().manual_seed(0)), BATCH)
    for batch in load_batches(images, parts, torch.device("cpu"), RandomCrop(SCALE, 0), 1):
        for image in batch.x.unbind():
            if random.random() < 0.5:
                image.copy_(image.flip(2))
        yield normalise(batch.x, IMAGENET_MEAN, IMAGENET_STD)


def spent(pipeline: Callable[[], Iterable[Tensor]]) -> tuple[float, float]:
    """Return the seconds, and the CPU seconds, of an epoch."""
    cpu, started, images = cpu_seconds(), perf_counter(), 0
    for x in pipeline():
        images += len(x)
    assert images == IMAGES
    return perf_counter() - started, cpu_seconds() - cpu


def cpu_seconds() -> float:
    each = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in each)


def ours_with_pillow(images: Encoded) -> Iterable[Tensor]:
    hidden, sys.modules["simplejpeg"] = sys.modules.get("simplejpeg"), None  # type: ignore[assignment]
    try:
        yield from ours(images)
    finally:
        del sys.modules["simplejpeg"]
        if hidden is not None:
            sys.modules["simplejpeg"] = hidden


def main() -> None:
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder))
        images = ImageFiles(folder, size=SIZE).load().train
        assert isinstance(images, Encoded)
        files = [images.source.name(number) for number in images.numbers.tolist()]
        pipelines: dict[str, Callable[[], Iterable[Tensor]]] = {
            "plain DataLoader": lambda: plain(files),
            "feed, Pillow": lambda: ours_with_pillow(images),
        }
        if has_simplejpeg():
            pipelines["feed, simplejpeg"] = lambda: ours(images)
        compare(pipelines)


def compare(pipelines: dict[str, Callable[[], Iterable[Tensor]]]) -> None:
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in pipelines}
    for i in range(ROUNDS + 1):
        for name, pipeline in pipelines.items():
            measured = spent(pipeline)
            if i:
                times[name].append(measured)
    print(decoder_name())
    seconds, cpu = ({name: median(each[i] for each in times[name]) for name in times} for i in (0, 1))
    for name in pipelines:
        report(name, IMAGES / seconds[name], "images/s", "none")
    for name in [name for name in pipelines if name.startswith("feed")]:
        report(f"{name}: speed beside the plain one", seconds["plain DataLoader"] / seconds[name], "times", "1.5")
        report(f"{name}: the same in CPU seconds", cpu["plain DataLoader"] / cpu[name], "times", "1.5")


if __name__ == "__main__":
    main()
