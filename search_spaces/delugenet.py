"""DelugeNet: in a block, every layer reads a sum of all outputs before it that weighs each of their channels.

Source: Kuen et al. 2016, arXiv:1611.05552, section 3 and the authors' repository, which has the networks for CIFAR: three blocks
of pre-activated bottlenecks, of which the first begins with one that reads the stem only, and the others with a norm and a 3x3
convolution that halves the size. Of the networks for ImageNet (92, 104 and 122 layers) nothing but their size is at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct, bare
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.deluge import Deluge
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes

TRANSITION = ConvNormAct(3, order="pre", activation=None)
"""The layer between blocks: it changes the width and halves the size."""


def layer(ratio: float = 0.5, kernel: int = 3) -> Chain:
    """Return the bottleneck, narrowed to `ratio` of the width, with norm and ReLU before each convolution."""
    return Chain(
        (
            ConvNormAct(1, ratio=ratio, order="pre"),
            ConvNormAct(kernel, ratio=ratio, order="pre"),
            ConvNormAct(1, order="pre"),
        )
    )


def delugenet(stem: Node, first: Node, blocks: Sequence[Deluge], widths: Sequence[int], classes: int) -> Network:
    """Stack the blocks, each after a node that sets its width: `first`, then transitions."""

    def stages() -> Iterator[Stage]:
        for i, (block, width) in enumerate(zip(blocks, widths, strict=True)):
            yield Stage(TRANSITION if i else first, 1, width, 2 if i else 1)
            yield Stage(block, 1, width)

    return Network(stem, tuple(stages()), Classifier(classes, norm=True, relu=True))


def cifar(depth: int, width: float = 1.0) -> Network:
    """Return a network of 18 * depth + 2 layers for images of 32x32."""
    blocks = [Deluge(layer(), repeat) for repeat in (depth - 1, 2 * depth, 3 * depth)]
    widths = [int(64 * width * 2**i) for i in range(3)]
    return delugenet(bare(3, widths[0] // 2), layer(), blocks, widths, 10)


def delugenet_space(channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2, 4, 6)) -> Network:
    """Return the space: in each of three blocks depth, width, and the ratio and kernel of the layers are open."""

    def block(i: int) -> Deluge:
        name = f"block{i + 1}"
        body = layer(one_of(f"{name}/ratio", [0.25, 0.5, 1.0]), one_of(f"{name}/kernel", [3, 5]))
        return Deluge(body, one_of(f"{name}/depth", depths))

    widths = [one_of(f"block{i + 1}/width", [channels * 2**i, channels * 3 * 2**i // 2]) for i in range(3)]
    return delugenet(bare(3, channels), layer(), [block(i) for i in range(3)], widths, classes)


PUBLISHED: dict[str, Network] = {
    "delugenet146_cifar": cifar(8),
    "delugenet218_cifar": cifar(12),
    "wide_delugenet146_cifar": cifar(8, 1.75),
}

family = Family(
    "Kuen et al. 2016, arXiv:1611.05552", delugenet_space, with_classes, notation, PUBLISHED, input=(3, 32, 32)
)
