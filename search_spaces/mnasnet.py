"""MnasNet: inverted residuals whose kernel, expansion, attention, width and depth were searched stage by stage.

Source: Tan et al. 2019, arXiv:1807.11626, section 4.1 and figure 4 (the space), figure 7 (A1). `mnasnet0_5` to `mnasnet1_3`
are B1, without attention, as in torchvision, at four widths; `semnasnet_050` to `semnasnet_140` (A1, at four widths too) and
`mnasnet_small` are as in timm and the released TensorFlow code. Norms keep torch's momentum, and maps are padded equally on
both sides.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU
from nas.layers.attention import divisible
from nas.layers.conv import ConvNormAct
from nas.notation import notation
from nas.operations.mbconv import MBConv
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes

Table = Sequence[tuple[int, int, float, int, int, int]]
"""Kernel, expansion, squeeze ratio, width, depth and stride of each stage."""


def mnasnet(table: Table, stem: int = 32, multiplier: float = 1.0, dropout: float = 0.2) -> Network:
    """Return the network of a table; the multiplier scales every width but that of the last convolution."""
    stages = tuple(
        Stage(MBConv(kernel, expansion, squeeze, activation=RELU), depth, divisible(width * multiplier), stride)
        for kernel, expansion, squeeze, width, depth, stride in table
    )
    return Network(
        ConvNormAct(3, divisible(stem * multiplier), 2),
        (*stages, ConvNormAct(1, 1280)),
        Classifier(1000, dropout=dropout),
    )


def mnasnet_space(channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2, 3)) -> Network:
    """Return the space: in each of three stages the decisions of figure 4 are open; pooling is no skip here.

    Squeeze-and-excitation is a share of the expanded width, so that the narrow blocks of this small space have enough units.
    """

    def stage(i: int) -> Stage:
        name, width = f"stage{i + 1}", channels * (i + 1)
        kernel = one_of(f"{name}/kernel", [3, 5])
        inverted = MBConv(
            kernel,
            one_of(f"{name}/expansion", [3.0, 6.0]),
            one_of(f"{name}/squeeze", [0.0, 0.25]),
            "expanded",
            RELU,
            residual=one_of(f"{name}/skip", [False, True]),
        )
        separable = Chain((ConvNormAct(kernel, groups="depthwise"), ConvNormAct(1)))
        block: Node = one_of(f"{name}/block", [ConvNormAct(kernel), separable, inverted])
        widths = one_of(f"{name}/width", [width * 3 // 4, width, width * 5 // 4])
        return Stage(block, one_of(f"{name}/depth", depths), widths, 1 if i == 0 else 2)

    return Network(ConvNormAct(3, channels), tuple(map(stage, range(3))), Classifier(classes))


# Kernel, expansion, squeeze ratio, width, depth, stride: A1 is figure 7, B1 and SMALL are from the released code.
B1: Table = (
    *((3, 1, 0.0, 16, 1, 1), (3, 3, 0.0, 24, 3, 2), (5, 3, 0.0, 40, 3, 2), (5, 6, 0.0, 80, 3, 2)),
    *((3, 6, 0.0, 96, 2, 1), (5, 6, 0.0, 192, 4, 2), (3, 6, 0.0, 320, 1, 1)),
)
A1: Table = (
    *((3, 1, 0.0, 16, 1, 1), (3, 6, 0.0, 24, 2, 2), (5, 3, 0.25, 40, 3, 2), (3, 6, 0.0, 80, 4, 2)),
    *((3, 6, 0.25, 112, 2, 1), (5, 6, 0.25, 160, 3, 2), (3, 6, 0.0, 320, 1, 1)),
)
SMALL: Table = (
    *((3, 1, 0.0, 8, 1, 1), (3, 3, 0.0, 16, 1, 2), (3, 6, 0.0, 16, 2, 2), (5, 6, 0.25, 32, 4, 2)),
    *((3, 6, 0.25, 32, 3, 1), (5, 6, 0.25, 88, 3, 2), (3, 6, 0.0, 144, 1, 1)),
)

PUBLISHED: dict[str, Network] = {
    "mnasnet0_5": mnasnet(B1, multiplier=0.5),
    "mnasnet0_75": mnasnet(B1, multiplier=0.75),
    "mnasnet1_0": mnasnet(B1),
    "mnasnet1_3": mnasnet(B1, multiplier=1.3),
    **{f"semnasnet_{share:03}": mnasnet(A1, multiplier=share / 100) for share in (50, 75, 100, 140)},
    "mnasnet_small": mnasnet(SMALL, stem=8, dropout=0.0),
}

family = Family(
    "Tan et al. 2019, arXiv:1807.11626", mnasnet_space, with_classes, notation, PUBLISHED, input=(3, 224, 224)
)
