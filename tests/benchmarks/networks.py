"""Compare networks that are built from trees with the same modules written by hand, and time profiles.

Paired in one process, by turns: building ResNet-50, and a pass forward and backward of ResNet-50 and DenseNet-121, in CPU
seconds. The modules written by hand are those of the papers as torchvision has them. One thread; batch 4 at 96 pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time

import torch
from _timing import report
from torch import Tensor, nn
from torch.nn import functional

from nas.building import build
from nas.family import families, published
from nas.profiling import profile

ROUNDS = 15
IMAGES = (4, 3, 96, 96)


class Bottleneck(nn.Module):
    def __init__(self, incoming: int, inner: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(incoming, inner, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, 4 * inner, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(4 * inner)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module | None = None
        if stride != 1 or incoming != 4 * inner:
            conv = nn.Conv2d(incoming, 4 * inner, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(4 * inner))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(self.conv1(x)))
        y = self.relu(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        y += x if self.shortcut is None else self.shortcut(x)
        output: Tensor = self.relu(y)
        return output


def resnet50() -> nn.Module:
    parts: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    parts.append(nn.MaxPool2d(3, 2, 1))
    incoming = 64
    for stage, (depth, inner) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for i in range(depth):
            parts.append(Bottleneck(incoming, inner, 2 if stage and not i else 1))
            incoming = 4 * inner
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(incoming, 1000))


class DenseLayer(nn.Module):
    def __init__(self, incoming: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(incoming), nn.Conv2d(incoming, 128, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(128), nn.Conv2d(128, 32, 3, padding=1, bias=False)

    def forward(self, outputs: list[Tensor]) -> Tensor:
        y = functional.relu(self.norm1(torch.cat(outputs, 1)), inplace=True)
        y = functional.relu(self.norm2(self.conv1(y)), inplace=True)
        made: Tensor = self.conv2(y)
        return made


class DenseBlock(nn.Module):
    def __init__(self, incoming: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DenseLayer(incoming + 32 * i) for i in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        outputs = [x]
        for layer in self.layers:
            outputs.append(layer(outputs))
        return torch.cat(outputs, 1)


def densenet121() -> nn.Module:
    parts: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    parts.append(nn.MaxPool2d(3, 2, 1))
    width = 64
    for depth in (6, 12, 24, 16):
        if len(parts) > 4:
            conv = nn.Conv2d(width, width // 2, 1, bias=False)
            parts += [nn.BatchNorm2d(width), nn.ReLU(inplace=True), conv, nn.AvgPool2d(2)]
            width //= 2
        parts.append(DenseBlock(width, depth))
        width += 32 * depth
    parts += [nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*parts, nn.Linear(width, 1000))


def step(model: nn.Module) -> Callable[[], None]:
    """Return a pass forward and backward."""
    torch.manual_seed(0)
    images = torch.randn(IMAGES)

    def run() -> None:
        model.zero_grad()
        model(images).square().mean().backward()

    return run


def paired(first: Callable[[], object], second: Callable[[], object], rounds: int = ROUNDS) -> tuple[float, float]:
    """Return medians of CPU seconds of two calls that take turns, the order changing."""
    times: dict[int, list[float]] = {0: [], 1: []}
    calls = (first, second)
    for i in range(rounds + 1):
        for which in (0, 1) if i % 2 else (1, 0):
            begun = process_time()
            calls[which]()
            if i:
                times[which].append(process_time() - begun)
    return median(times[0]), median(times[1])


def main() -> None:
    torch.set_num_threads(1)
    tree = published("resnet:resnet50")[1]
    ours, by_hand = paired(lambda: build(tree, (3, 224, 224)), resnet50)
    report("build ResNet-50, beside the modules by hand", 100 * ours / by_hand, "%", "at most 130")
    for name, make in {"resnet:resnet50": resnet50, "densenet:densenet121": densenet121}.items():
        built, hand = build(published(name)[1], IMAGES[1:]), make()
        assert sum(p.numel() for p in built.parameters()) == sum(p.numel() for p in hand.parameters())
        ours, by_hand = paired(step(built), step(hand))
        report(f"forward and backward of {name}, beside by hand", 100 * ours / by_hand, "%", "at most 103")
    profile(tree, (3, 224, 224))  # what torch imports when it is first used
    slowest, seconds = "", 0.0
    for family_name, family in families().items():
        for member, architecture in family.published.items():
            begun = perf_counter()
            profile(family.network(architecture), family.input_of(member))
            if perf_counter() - begun > seconds:
                slowest, seconds = f"{family_name}:{member}", perf_counter() - begun
    report(f"slowest profile of a published network, {slowest}", 1000 * seconds, "ms", "at most 1,000")


if __name__ == "__main__":
    main()
