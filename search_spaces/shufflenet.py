"""ShuffleNet V1 and V2: channels are shuffled, so that cheap convolutions over a part of them see all.

Sources: V1: Zhang et al. 2018, arXiv:1707.01083 (table 1, figure 2): grouped 1x1 convolutions. V2: Ma et al. 2018,
arXiv:1807.11164 (table 5, figure 3): half of the channels bypass the block. V1 as in pytorchcv, with the pooled channels
before the others: the first 1x1 convolution of stage 2 is not grouped, and a block's inner width is a quarter of its output,
pooled channels included. V2 as in torchvision. Names of V1 contain the groups, those of V2 the width.

The V2 paper's large networks (appendix, table 3 and figure 2) have a stage more, at stride 1. It prints their widths; we choose,
by the multiply-adds, an inner width of half the output in `shufflenet_v1_50` and zero channels in the shortcut of its first
block, and a reduction of 16 in `se_shufflenet_v2_164`. What the authors released as the latter is `shufflenet_v2_large`, of
other widths: 3x3 convolutions of 8 groups, no reduction, and a 3x3 convolution in place of the bypass where a stage begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU
from nas.layers.attention import SqueezeExcite
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
from nas.topology.network import Auxiliary, Network, with_classes
from nas.topology.residual import Residual

PROJECTION = Skip("projection")


def stem(*widths: int) -> Chain:
    """Return a stem: 3x3 convolutions, of which the first halves the size, and a pooling that halves it again."""
    first, *others = widths
    return Chain((ConvNormAct(3, first, 2), *(ConvNormAct(3, width) for width in others), Pool(3, 2)))


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


def residual(body: Node, shortcut: Node = PROJECTION) -> Residual:
    """Return the block of V1 that keeps the shape."""
    return Residual(body, shortcut, RELU)


def separable(kernel: int = 3, ending: Sequence[Node] = ()) -> Chain:
    """Return the body of a V2 block, which ends in the nodes `ending`."""
    return Chain((ConvNormAct(1), depthwise(kernel), ConvNormAct(1), *ending), strided=1)


def halving_v2(kernel: int = 3, ending: Sequence[Node] = ()) -> Chain:
    """Return the block of V2 that halves the size: both paths read all channels."""
    short = Chain((depthwise(kernel), ConvNormAct(1)))
    return Chain((Branches((short, separable(kernel, ending))), ChannelShuffle(2)))


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

    return Network(stem(24), (*stage(0, 3), *stage(1, 7), *stage(2, 3)), Classifier(1000))


def shufflenet_v2(widths: Sequence[int], last: int = 1024) -> Network:
    """Return V2 with the widths of its stages and of the 1x1 convolution after them."""
    stages = (
        each
        for wide, more in zip(widths, (3, 7, 3), strict=True)
        for each in (Stage(halving_v2(), 1, wide, 2), Stage(split(), more))
    )
    return Network(stem(24), (*stages, ConvNormAct(1, last)), Classifier(1000))


def shufflenet_v1_50(groups: int = 3, width: int = 360) -> Network:
    """Return V1 with 50 layers."""
    # In a block that halves the size the body has half of the output's width, so its narrow part has all of the body's.
    opening, halved, kept = (
        grouped(ConvNormAct(1, ratio=ratio, groups=inner), groups)
        for ratio, inner in ((0.5, 1), (1.0, groups), (0.5, groups))
    )
    stages = [Stage(residual(opening, Skip("padded")), 1, width), Stage(residual(kept), 2)]
    for i, depth in enumerate((4, 6, 3), 1):
        stages += [Stage(halving(halved), 1, width * 2**i, 2), Stage(residual(kept), depth - 1)]
    return Network(stem(64), tuple(stages), Classifier(1000))


def large_v2(stem: Chain, first: Node, other: Node, depths: Sequence[int], width: int) -> Network:
    """Stack four stages, each of one block that changes the width and others that keep the shape."""
    stages = (
        each
        for i, depth in enumerate(depths)
        for each in (Stage(first, 1, width * 2**i, 2 if i else 1), Stage(other, depth - 1))
    )
    return Network(stem, (*stages, ConvNormAct(1, 2048)), Classifier(1000))


def se_shufflenet_v2_164() -> Network:
    """Return V2 with 164 layers, squeeze-and-excitation, and sums of body and input."""
    body = Chain((ConvNormAct(1), depthwise(), ConvNormAct(1, activation=None), SqueezeExcite(16)))
    other = Chain((Branches((Skip(), residual(body)), split=True), ChannelShuffle(2)))
    return large_v2(stem(64, 64, 128), halving_v2(ending=[SqueezeExcite(16)]), other, (10, 10, 23, 10), 340)


def shufflenet_v2_large() -> Network:
    """Return the released network of 164 layers, with its auxiliary heads after the stages."""
    convs = ConvNormAct(1), ConvNormAct(3, groups=8), ConvNormAct(1, activation=None)
    body = Chain((*convs, SqueezeExcite(1)), strided=1)
    paths = (ConvNormAct(3, activation=None), body), (Skip(), Residual(body))
    first, other = (Chain((ChannelShuffle(2), Branches(each, split=True), RELU), strided=1) for each in paths)
    stages: list[Node] = [Stage(first, 1, 256), Stage(other, 9)]
    for width, depth in ((512, 10), (1024, 23), (2048, 10)):
        stages += [Stage(first, 1, width, 2), ConvNormAct(1, width), Stage(other, depth - 1)]
    heads = (
        Auxiliary(layers - 1, head=Chain((Pool(3, 2), ConvNormAct(1, width), ConvNormAct(3, width), Classifier(1000))))
        for layers, width in zip(accumulate((10, 11, 24)), (256, 512, 1024), strict=True)
    )
    head = Classifier(1000, dropout=0.2)
    return Network(stem(64, 64, 128), (*stages, ConvNormAct(3, 1280)), head, tuple(heads))


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
    "shufflenet_v1_50": shufflenet_v1_50(),
    "shufflenet_v2_50": large_v2(stem(64), halving_v2(), split(), (3, 4, 6, 3), 244),
    "se_shufflenet_v2_164": se_shufflenet_v2_164(),
    "shufflenet_v2_large": shufflenet_v2_large(),
}

SOURCES = {
    name: "Ma et al. 2018, arXiv:1807.11164" for name in PUBLISHED if "_v2_" in name or name == "shufflenet_v1_50"
}

family = Family(
    "Zhang et al. 2018, arXiv:1707.01083",
    shufflenet_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(3, 224, 224),
)
