"""Mobile: stages of inverted residuals; each block's kernel, expansion and squeeze, and whether it is present, are open.

The space of MnasNet (Tan et al. 2019, arXiv:1807.11626, section 4), ProxylessNAS (Cai et al. 2019, arXiv:1812.00332, section
4.2: a block may become a skip, which is how depth is searched) and once-for-all networks (Cai et al. 2020, arXiv:1908.09791).
Decisions are taken per block, as in ProxylessNAS; MnasNet takes one for all blocks of a stage.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.activation import Activation
from nas.layers.conv import ConvNormAct
from nas.notation import notation
from nas.operations.mbconv import MBConv
from nas.operations.skip import Skip
from nas.records import Positive, RecordError
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes

RELU6 = Activation("relu6")


def mobile(
    widths: Sequence[Positive] = (16, 24, 40),
    strides: Sequence[Positive] = (1, 2, 2),
    depth: Positive = 3,
    kernels: Sequence[Positive] = (3, 5, 7),
    expansions: Sequence[float] = (3.0, 6.0),
    squeezes: Sequence[float] = (0.0, 0.25),
    stem_stride: Positive = 1,
    last: Positive = 128,
    classes: Positive = 10,
) -> Network:
    """Return the space: every block opens kernel, expansion and squeeze, and all but a stage's first may be left out.

    Close to the space of ProxylessNAS at 224 px: widths 24, 40, 80, 96, 192, 320, strides 2, 2, 2, 1, 2, 1, depth 4, kernels
    3, 5, 7, expansions 3, 6, squeezes 0, stem_stride 2, last 1280. There a stem of 32 channels and a fixed block of 16 come
    first, and the last stage is one block.
    """
    if len(widths) != len(strides):
        raise RecordError(
            f"there are {len(strides)} strides and {len(widths)} widths: give one of each per stage", "strides"
        )

    def block(name: str) -> Node:
        kernel, expansion = one_of(f"{name}/kernel", kernels), one_of(f"{name}/expansion", expansions)
        return MBConv(kernel, expansion, one_of(f"{name}/squeeze", squeezes))

    def stage(i: int, width: int, stride: int) -> Stage:
        names = [f"stage{i + 1}/block{j + 1}" for j in range(depth)]
        others = (one_of(f"{name}/stands", (block(name), Skip())) for name in names[1:])
        return Stage(Chain((block(names[0]), *others)), 1, width, stride)

    stages = [stage(i, *each) for i, each in enumerate(zip(widths, strides, strict=True))]
    stem = ConvNormAct(3, widths[0], stem_stride, activation=RELU6)
    return Network(stem, (*stages, ConvNormAct(1, last, activation=RELU6)), Classifier(classes))


family = Family("Cai et al. 2019, arXiv:1812.00332", mobile, with_classes, notation)
