"""DenseNet: in a block, every layer reads all outputs before it; transitions between blocks narrow and halve.

Source: Huang et al. 2017, arXiv:1608.06993 (section 3, table 1). Networks for ImageNet as in torchvision, for CIFAR as in the
paper. "BC" is for bottlenecks (a 1x1 convolution before each 3x3) and transitions that halve the width; the others have
neither. Names of CIFAR networks contain depth and growth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct, bare
from nas.layers.pool import Pool
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain
from nas.topology.dense import Dense
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes

PLAIN = ConvNormAct(3, order="pre")
"""A layer without a bottleneck."""


def bottleneck(ratio: float = 4.0) -> Chain:
    """Return the layer that first narrows its input to `ratio` times the growth."""
    return Chain((ConvNormAct(1, ratio=ratio, order="pre"), PLAIN))


def transition(ratio: float = 0.5) -> Chain:
    """Return the layer between blocks that keeps `ratio` of the width and halves the size."""
    return Chain((ConvNormAct(1, ratio=ratio, order="pre"), Pool(2, 2, 0, "mean")))


def densenet(stem: Node, blocks: Sequence[Node], transitions: Sequence[Node], classes: int) -> Network:
    """Return the network of blocks with transitions between them, a stem and a classifier."""

    def stages() -> Iterator[Node]:
        yield blocks[0]
        for between, block in zip(transitions, blocks[1:], strict=True):
            yield from (between, block)

    return Network(stem, tuple(stages()), Classifier(classes, norm=True, relu=True))


def transitions(width: int, depths: Sequence[int], growth: int, ratio: float) -> Iterator[Chain]:
    """Yield the transition after each block but the last; `width` is the stem's.

    It keeps `ratio` of the width, rounded down (section 3, compression): of 99 channels a half is 49.
    """
    for depth in depths[:-1]:
        width += depth * growth
        kept = int(width * ratio)
        yield transition(kept / width)
        width = kept


def imagenet(depths: Sequence[int], growth: int = 32) -> Network:
    """Return a network for ImageNet, whose stem has twice the growth."""
    stem = Chain((ConvNormAct(7, 2 * growth, 2), Pool(3, 2)))
    blocks = [Dense(bottleneck(), depth, growth) for depth in depths]
    return densenet(stem, blocks, tuple(transitions(2 * growth, depths, growth, 0.5)), 1000)


def cifar(depth: int, growth: int, bc: bool = True, classes: int = 10) -> Network:
    """Return a network of `depth` layers in three blocks for images of 32x32 (section 3, implementation details)."""
    # Four layers are outside the blocks: the stem, two transitions and the classifier.
    layer, repeat = (bottleneck(), (depth - 4) // 6) if bc else (PLAIN, (depth - 4) // 3)
    width = 2 * growth if bc else 16
    between = tuple(transitions(width, [repeat] * 3, growth, 0.5 if bc else 1.0))
    return densenet(bare(3, width), [Dense(layer, repeat, growth)] * 3, between, classes)


def densenet_space(
    channels: int = 24, classes: int = 10, growths: Sequence[int] = (6, 12, 18), depths: Sequence[int] = (2, 4, 6, 8)
) -> Network:
    """Return the space: in each of three blocks depth, growth and bottleneck are open, in each transition the ratio."""

    def block(i: int) -> Dense:
        name = f"block{i + 1}"
        layer = one_of(f"{name}/layer", [PLAIN, bottleneck(2.0), bottleneck(4.0)])
        return Dense(layer, one_of(f"{name}/depth", depths), one_of(f"{name}/growth", growths))

    between = [transition(one_of(f"transition{i + 1}/ratio", [0.25, 0.5, 1.0])) for i in range(2)]
    stem = bare(3, channels)
    return densenet(stem, [block(i) for i in range(3)], between, classes)


# Layers of each block: table 1, and 161 as in torchvision. CIFAR: depth and growth, table 2.
PUBLISHED: dict[str, Network] = {
    "densenet121": imagenet((6, 12, 24, 16)),
    "densenet161": imagenet((6, 12, 36, 24), 48),
    "densenet169": imagenet((6, 12, 32, 32)),
    "densenet201": imagenet((6, 12, 48, 32)),
    "densenet264": imagenet((6, 12, 64, 48)),
    "densenet40_k12_cifar": cifar(40, 12, bc=False),
    "densenet100_k12_cifar": cifar(100, 12, bc=False),
    "densenet100_k12_bc_cifar": cifar(100, 12),
    "densenet250_k24_bc_cifar": cifar(250, 24),
    "densenet190_k40_bc_cifar": cifar(190, 40),
}

INPUTS = {name: (3, 32, 32) for name in PUBLISHED if name.endswith("_cifar")}

family = Family(
    "Huang et al. 2017, arXiv:1608.06993",
    densenet_space,
    with_classes,
    notation,
    PUBLISHED,
    input=(3, 224, 224),
    inputs=INPUTS,
)
