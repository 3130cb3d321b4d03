"""Dual path networks: blocks add some channels to a residual path and append others to a dense one.

Source: Chen et al. 2017, arXiv:1707.01629 (table 1, section 4). The form is that of the released MXNet code and of timm's
port: batch norm and ReLU precede each convolution, and in a block that changes the shape the projection has its own. The "b"
networks end a block in one norm and two convolutions, which is one convolution here: the same weights and outputs. Norms have
torch's epsilon of 1e-5 where the code has 1e-3; timm's newer versions end in an ELU instead of a ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.dual_path import DualPath
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes


def body(inner: int, groups: int) -> Chain:
    """Return 1x1, grouped 3x3 and 1x1 convolutions, the first two `inner` wide, pre-activated."""
    convs = (
        ConvNormAct(1, inner, order="pre"),
        ConvNormAct(3, inner, groups=groups, order="pre"),
        ConvNormAct(1, order="pre"),
    )
    return Chain(convs, strided=1)


def dual_stage(block: Node, more: int, growth: int, width: int, stride: int) -> Chain:
    """Return a block with a projection and the stride, and `more` blocks without."""
    # A width is that of the residual path; the dense path grows by `growth` with every block.
    first = Stage(DualPath(block, growth, ConvNormAct(1, order="pre")), 1, width, stride)
    return Chain((first, Stage(DualPath(block, growth), more, width)))


def dpn(
    stem: Node, inner: int, groups: int, depths: Sequence[int], growths: Sequence[int], width: int = 256
) -> Network:
    """Return a network for ImageNet: `inner` and `width`, that of the residual path, double from stage to stage."""
    stages = (
        dual_stage(body(inner * 2**i, groups), depth - 1, growth, width * 2**i, 1 if i == 0 else 2)
        for i, (depth, growth) in enumerate(zip(depths, growths, strict=True))
    )
    return Network(stem, tuple(stages), Classifier(1000, norm=True, relu=True))


def stem(channels: int, kernel: int = 7) -> Chain:
    """Return a convolution and pooling, each halving the size."""
    return Chain((ConvNormAct(kernel, channels, 2), Pool(3, 2)))


def dpn_space(channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2, 3)) -> Network:
    """Return the space: in each of three stages residual width, growth, inner width, groups and depth are open.

    `depths` count the blocks after a stage's first.
    """

    def stage(i: int) -> Chain:
        name, wide = f"stage{i + 1}", channels * 2**i
        inner = one_of(f"{name}/inner", [wide // 2, wide, 3 * wide // 2])
        block = body(inner, one_of(f"{name}/groups", [1, 2, 4, 8]))
        growth = one_of(f"{name}/growth", [wide // 4, wide // 2])
        width = one_of(f"{name}/width", [wide, 2 * wide])
        return dual_stage(block, one_of(f"{name}/depth", depths), growth, width, 1 if i == 0 else 2)

    return Network(ConvNormAct(3, channels), tuple(map(stage, range(3))), Classifier(classes, norm=True, relu=True))


# stem, inner width, groups, depths, growths, residual width
PUBLISHED: dict[str, Network] = {
    "dpn68": dpn(stem(10, 3), 128, 32, (3, 4, 12, 3), (16, 32, 32, 64), 64),
    "dpn92": dpn(stem(64), 96, 32, (3, 4, 20, 3), (16, 32, 24, 128)),
    "dpn98": dpn(stem(96), 160, 40, (3, 6, 20, 3), (16, 32, 32, 128)),
    "dpn131": dpn(stem(128), 160, 40, (4, 8, 28, 3), (16, 32, 32, 128)),
    "dpn107": dpn(stem(128), 200, 50, (4, 8, 20, 3), (20, 64, 64, 128)),
}

family = Family("Chen et al. 2017, arXiv:1707.01629", dpn_space, with_classes, notation, PUBLISHED, input=(3, 224, 224))
