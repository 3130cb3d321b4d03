"""Slices of a trained network beside FastNAS of NVIDIA's Model Optimizer: the same ResNet-20, data, budget and fine-tuning.

    python tools/beside_modelopt.py PYTHON [images] [epochs]

PYTHON is an interpreter that has torch, nvidia-modelopt, torchprofile 0.0.4, requests and Cellstack's own dependencies. NAS_DATA
holds CIFAR-10. docs/modules.md has the numbers of a run, which takes a quarter of an hour of one processor core.

A ResNet-20 (He et al. 2016, arXiv:1512.03385, section 4.2; shortcuts by 1x1 convolutions) is trained for `epochs` on `images`
training images. Both ways then look for a network of at most half its multiply-adds, with a quarter, a half, three quarters or
all channels of each group, by the accuracy on the same 400 validation images with batch norms recalibrated on the same 250. Both
networks are trained on for a quarter of the epochs, and both forms are also trained from scratch for all epochs and that
quarter. Tested are the first 2,000 test images. MACs are those of `nas.profiling`; latency is that of onnxruntime with one
thread, as the median of 300 runs on one image.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

import nas
from nas.data import Augmentation, Split, normalise, split
from nas.data.cifar import Cifar10
from nas.evaluation.captured import onnx_program
from nas.evaluation.latency import onnx_latency_ms
from nas.evaluation.recalibrated import Recalibrated
from nas.profiling import profile_module
from nas.strategies.evolution import RegularizedEvolution
from nas.training import Recipe, evaluate, save_weights, seeded, train
from nas.training.checkpoint import read_tensors
from nas.training.recalibration import recalibrate

INPUT = (3, 32, 32)
RATIOS = (0.25, 0.5, 0.75, 1.0)
KEPT_MACS = 0.5
VALIDATION, CALIBRATION, TESTED = 400, 250, 2000
EVALUATIONS = 60

CPU = torch.device("cpu")

RECIPE = Recipe(batch=64, lr=0.1, weight_decay=5e-4, drop_path=0.0, augmentation=Augmentation(crop_pad=4, flip=True))


class Block(nn.Module):
    """Two 3x3 convolutions, of which the inner one has a width of its own, and a shortcut."""

    def __init__(self, inputs: int, inner: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, inner, 3, stride, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        projection = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.shortcut = projection if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet20(nn.Module):
    """Three stages of three blocks; `inner` are the widths inside the blocks, by default those of their stages."""

    def __init__(self, widths: Sequence[int] = (16, 32, 64), inner: Sequence[int] = (), classes: int = 10) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0])
        inner = inner or [width for width in widths for _ in range(3)]
        blocks, inputs = [], widths[0]
        for i, inside in enumerate(inner):
            width = widths[i // 3]
            blocks.append(Block(inputs, inside, width, 2 if i in (3, 6) else 1))
            inputs = width
        self.blocks, self.fc = nn.Sequential(*blocks), nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.blocks(functional.relu(self.bn(self.conv(x)))).mean((2, 3)))
        return y


def like(tensors: dict[str, Tensor]) -> ResNet20:
    """Return the ResNet-20 of the widths of a state dict, without its weights."""
    inner = [len(tensors[f"blocks.{i}.conv1.weight"]) for i in range(9)]
    return ResNet20([len(tensors[f"blocks.{3 * i}.conv2.weight"]) for i in range(3)], inner)


def cifar(images: int) -> Split:
    """Return the images of the comparison."""
    return split(Cifar10(), VALIDATION, 0, images)


def trained(model: nn.Module, images: Split, epochs: int, lr: float = RECIPE.lr) -> nn.Module:
    """Train a network."""
    for _ in train(model, images, replace(RECIPE, epochs=epochs, lr=lr), seed=0, device=CPU):
        pass
    return model


def fastnas(weights: Path, found: Path, images: int) -> None:
    """Search with FastNAS, and write the state dict of the network that it found; called by PYTHON."""
    import modelopt.torch.prune as mtp

    data, model = cifar(images), ResNet20()
    model.load_state_dict(read_tensors(weights))
    x = normalise(cast(Any, data.train).at(torch.arange(CALIBRATION)).x, data.mean, data.std)

    def score(each: nn.Module) -> float:
        return evaluate(each, data.validation, data, RECIPE, CPU).top1_percent

    # its usual divisor of channels, 32, leaves 16 and 32 as they are
    convolutions = {"channels_ratio": RATIOS, "kernel_size": (), "channel_divisor": 4}
    others = {"features_ratio": RATIOS, "feature_divisor": 4}
    config = {"nn.Conv2d": {"*": convolutions}, "nn.BatchNorm2d": {"*": others}, "nn.Linear": {"*": others}}
    # norms are calibrated only where the loader fills its queue, which has 50 batches
    loader = [(part, torch.zeros(len(part))) for part in torch.split(x, len(x) // 50)]
    settings = {"data_loader": loader, "score_func": score, "collect_func": lambda batch: batch[0]}
    smaller, _ = mtp.prune(
        model=model,
        mode=[("fastnas", config)],
        constraints={"flops": f"{100 * KEPT_MACS:g}%"},
        dummy_input=torch.rand(1, *INPUT),
        config=cast(Any, settings),
    )
    save_weights(smaller, found)


def sliced(model: nn.Module, whole_macs: int, images: int, folder: Path) -> nn.Module:
    """Search the slices of a model, and return the best one with its weights."""
    run = nas.search(
        nas.from_module(model, INPUT, ratios=RATIOS),
        Recalibrated(Cifar10(), CALIBRATION, VALIDATION, images, batch=RECIPE.batch),
        RegularizedEvolution(population=16, sample=5),
        limits={"macs": {"most": KEPT_MACS * whole_macs}},
        evaluations=EVALUATIONS,
        folder=folder,
    )
    return nas.build(run.best.architecture, INPUT)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: a network, its test accuracies in percent, its costs, and the CPU minutes of its search."""

    name: str
    before: float
    after: float | None
    scratch: float | None
    model: nn.Module
    minutes: float | None = None

    def told(self) -> str:
        """Return the line, with the latency measured now."""
        costs = profile_module(self.model, INPUT)
        numbers = [self.before, self.after, self.scratch, latency_ms(self.model), self.minutes]
        cells = ["-" if each is None else f"{each:.2f}" for each in numbers]
        return f"| {self.name} | {costs.macs / 1e6:.1f} | {costs.params:,} | " + " | ".join(cells) + " |"


def latency_ms(model: nn.Module) -> float:
    """Return the latency of a network in onnxruntime."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        onnx_program(model.eval(), INPUT).save(file)
        return onnx_latency_ms(file, torch.rand(1, *INPUT), warm_up=30, runs=300)


def row(name: str, model: nn.Module, data: Split, epochs: int, minutes: float) -> Row:
    """Measure a smaller network: as it was found, trained on, and trained from scratch."""
    recalibrate(model, data, RECIPE, CALIBRATION)
    before, more = tested(model, data), max(1, epochs // 4)
    fine = trained(model, data, more, RECIPE.lr / 10)
    with seeded(0):
        fresh = like(fine.state_dict())
    scratch = trained(fresh, data, epochs + more)
    return Row(name, before, tested(fine, data), tested(scratch, data), fine, minutes)


def tested(model: nn.Module, data: Split) -> float:
    """Return the test accuracy in percent."""
    images = cast(Any, data.open_test()).at(torch.arange(TESTED))
    return evaluate(model, images, data, RECIPE, CPU).top1_percent


def main(python: str, images: int = 1600, epochs: int = 8) -> None:
    """Measure and print."""
    data, begun = cifar(images), time.process_time()
    with seeded(0):
        model = trained(ResNet20(), data, epochs)
    print(f"trained in {(time.process_time() - begun) / 60:.1f} CPU minutes", flush=True)
    whole = Row("the whole ResNet-20", tested(model, data), None, None, model)
    rows, macs = [whole], profile_module(model, INPUT).macs
    with tempfile.TemporaryDirectory() as folder:
        weights, found = Path(folder) / "weights.safetensors", Path(folder) / "found.safetensors"
        save_weights(model, weights)
        begun = time.process_time()
        smaller = sliced(model, macs, images, Path(folder) / "run")
        minutes = (time.process_time() - begun) / 60
        rows.append(row(f"nas.from_module, {EVALUATIONS} evaluations", smaller, data, epochs, minutes))
        subprocess.run([python, __file__, "fastnas", weights, found, str(images)], check=True)
        spent = float(found.with_suffix(".minutes").read_text())
        theirs = like(read_tensors(found))
        theirs.load_state_dict(read_tensors(found))
        rows.append(row("FastNAS", theirs, data, epochs, spent))
    print(
        "| network | MACs, M | weights | before, % | fine-tuned, % | from scratch, % | latency, ms | search, CPU min |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for each in rows:
        print(each.told())
    shown = [f"{name} {version(name)}" for name in ("torch", "torch-pruning", "onnxruntime")]
    print(f"{', '.join(shown)}; {images:,} images, {epochs} epochs, seed 0")


if __name__ == "__main__":
    if sys.argv[1] == "fastnas":
        fastnas(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
        Path(sys.argv[3]).with_suffix(".minutes").write_text(str(time.process_time() / 60))
    else:
        torch.set_num_threads(1)
        main(sys.argv[1], *map(int, sys.argv[2:]))
