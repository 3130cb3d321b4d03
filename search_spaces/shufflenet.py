"""ShuffleNet V1 and V2: channels are shuffled, so that cheap convolutions over a part of them see all.

Sources: V1: Zhang et al. 2018, arXiv:1707.01083 (table 1, figure 2): grouped 1x1 convolutions. V2: Ma et al. 2018,
arXiv:1807.11164 (table 5, figure 3): half of the channels bypass the block. V1 as in pytorchcv, with the pooled channels
before the others: the first 1x1 convolution of stage 2 is not grouped, and a block's inner width is a quarter of its output,
pooled channels included. V2 as in torchvision. Names of V1 contain the groups, those of V2 the width.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.layers.shuffle import ChannelShuffle
from nas.notation import notation
from nas.operations.skip import Skip
from nas.space import one_of
from nas.topology.appended import Appended
from nas.topology.branches import Branches
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual

STEM = Chain((ConvNormAct(3, 24, 2), Pool(3, 2)))
"""The stem of ImageNet networks: 3x3 and pooling, each halving the size."""


def depthwise(kernel: int = 3) -> ConvNormAct:
    """Return a depthwise convolution without an activation."""
    return ConvNormAct(kernel, groups="depthwise", activation=None)


def grouped(narrow: ConvNormAct, groups: int, kernel: int = 3) -> Chain:
    """Return the body of a V1 block: a 1x1 convolution to a narrow width, a shuffle, and two more convolutions."""
    nodes = (narrow, ChannelShuffle(groups), depthwise(kernel), ConvNormAct(1, groups=groups, activation=None))
    return Chain(nodes, strided=2)


def halving(body: Node) -> Chain:
    """Return the block of V1 that halves the size and appends its output to the pooled input."""
    return Chain((Appended(body), RELU))


def residual(body: Node) -> Residual:
    """Return the block of V1 that keeps the shape."""
    return Residual(body, activation=RELU)


def separable(kernel: int = 3) -> Chain:
    """Return the body of a V2 block."""
    return Chain((ConvNormAct(1), depthwise(kernel), ConvNormAct(1)), strided=1)


def halving_v2(kernel: int = 3) -> Chain:
    """Return the block of V2 that halves the size: both paths read all channels."""
    return Chain((Branches((Chain((depthwise(kernel), ConvNormAct(1))), separable(kernel))), ChannelShuffle(2)))


def split(kernel: int = 3) -> Chain:
    """Return the block of V2 that keeps the shape: half of the channels bypass it."""
    return Chain((Branches((Skip(), separable(kernel)), split=True), ChannelShuffle(2)))


def shufflenet(groups: int, width: int) -> Network:
    """Return V1 with `width` channels in stage 2; the width doubles from stage to stage."""

    def stage(i: int, more: int) -> tuple[Stage, Stage]:
        wide = width * 2**i
        narrow = ConvNormAct(1, wide // 4, groups=groups)
        first = ConvNormAct(1, wide // 4) if i == 0 else narrow
        return Stage(halving(grouped(first, groups)), 1, wide, 2), Stage(residual(grouped(narrow, groups)), more)

    return Network(STEM, (*stage(0, 3), *stage(1, 7), *stage(2, 3)), Classifier(1000))


def shufflenet_v2(widths: Sequence[int], last: int = 1024) -> Network:
    """Return V2 with the widths of its stages and of the 1x1 convolution after them."""
    stages = (
        each
        for wide, more in zip(widths, (3, 7, 3), strict=True)
        for each in (Stage(halving_v2(), 1, wide, 2), Stage(split(), more))
    )
    return Network(STEM, (*stages, ConvNormAct(1, last)), Classifier(1000))


def shufflenet_space(
    channels: int = 24, classes: int = 10, groups: Sequence[int] = (1, 2, 3), kernels: Sequence[int] = (3, 5, 7)
) -> Network:
    """Return the space: in each of three stages V1 with its groups or V2, kernel, width and depth are open.

    Each stage halves the size and is wider than the one before. `channels` is a multiple of 4 and of twice the groups.
    """

    def stage(i: int) -> Node:
        name, wide = f"stage{i + 1}", channels * 2 ** (i + 1)
        kernel = one_of(f"{name}/kernel", kernels)
        shared = one_of(f"{name}/groups", groups)
        width = one_of(f"{name}/width", [wide, *([5 * wide // 4] if i else []), 3 * wide // 2])
        more = one_of(f"{name}/depth", [1, 2, 3])
        bodies = [grouped(ConvNormAct(1, ratio=ratio, groups=shared), shared, kernel) for ratio in (0.5, 0.25)]
        first = Chain((Stage(halving(bodies[0]), 1, width, 2), Stage(residual(bodies[1]), more, width)))
        second = Chain((Stage(halving_v2(kernel), 1, width, 2), Stage(split(kernel), more, width)))
        return one_of(f"{name}/version", [first, second])

    return Network(ConvNormAct(3, channels), tuple(map(stage, range(3))), Classifier(classes))


# widths of stages 2 to 4 of V2 (table 5)
_WIDTHS = {"x0_5": (48, 96, 192), "x1_0": (116, 232, 464), "x1_5": (176, 352, 704), "x2_0": (244, 488, 976)}

PUBLISHED: dict[str, Network] = {
    # groups, and the width of stage 2 (V1, table 1)
    **{
        f"shufflenet_g{groups}": shufflenet(groups, width)
        for groups, width in ((1, 144), (2, 200), (3, 240), (4, 272), (8, 384))
    },
    **{
        f"shufflenet_v2_{name}": shufflenet_v2(widths, 2048 if name == "x2_0" else 1024)
        for name, widths in _WIDTHS.items()
    },
}

SOURCES = {name: "Ma et al. 2018, arXiv:1807.11164" for name in PUBLISHED if "_v2_" in name}

family = Family(
    "Zhang et al. 2018, arXiv:1707.01083",
    shufflenet_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(3, 224, 224),
)
