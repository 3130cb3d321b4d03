"""MobileNet V1, V2 and V3: depthwise separable convolutions, then inverted residuals, then those with attention.

Source: V1: Howard et al. 2017, arXiv:1704.04861, table 1; V2: Sandler et al. 2018, arXiv:1801.04381, table 2; V3: Howard et
al. 2019, arXiv:1905.02244, tables 1 and 2. V2 and V3 as in torchvision; V1 with ReLU, as in the paper, where the released
code has ReLU6.

A multiplier scales widths as in the released code (tensorflow/models, slim): V1 truncates them to integers, V2 and V3 round
them to multiples of 8, and blocks expand their scaled input. torchvision's V3 scales the expanded widths of the table
instead, and the hidden layer too. Norms are torchvision's: torch's own, save for V3's epsilon and momentum. Maps are padded
equally on both sides (the released TensorFlow code pads even sizes at stride 2 on the right and the bottom).
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU, Activation
from nas.layers.attention import divisible
from nas.layers.conv import ConvNormAct
from nas.layers.norm import BatchNorm
from nas.notation import notation
from nas.operations.mbconv import MBConv
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier, FullyConnected
from nas.topology.network import Network, with_batch_norms, with_classes

RELU6, HARD_SWISH, HARD_SIGMOID = Activation("relu6"), Activation("hard_swish"), Activation("hard_sigmoid")

SEPARABLE = Chain((ConvNormAct(3, groups="depthwise"), ConvNormAct(1)))
"""The block of V1: a depthwise and a 1x1 convolution."""


def mobilenet_v1(multiplier: float = 1.0) -> Network:
    """Return V1; the multiplier scales every width, to at least 8."""
    # width, depth, stride
    table = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))
    stages = (Stage(SEPARABLE, depth, max(8, int(width * multiplier)), stride) for width, depth, stride in table)
    return Network(ConvNormAct(3, max(8, int(32 * multiplier)), 2), tuple(stages), Classifier(1000, dropout=0.001))


def mobilenet_v2(multiplier: float = 1.0) -> Network:
    """Return V2; a multiplier below one does not scale the last convolution."""
    # expansion, width, depth, stride
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    stages: list[Node] = [
        Stage(MBConv(3, expansion), depth, divisible(width * multiplier), stride)
        for expansion, width, depth, stride in table
    ]
    last = ConvNormAct(1, divisible(1280 * max(1.0, multiplier)), activation=RELU6)
    stem = ConvNormAct(3, divisible(32 * multiplier), 2, activation=RELU6)
    return Network(stem, (*stages, last), Classifier(1000, dropout=0.2))


def inverted(kernel: int, expansion: float, attention: bool, activation: Activation) -> MBConv:
    """Return the block of V3, whose attention has a piecewise linear gate."""
    if not attention:
        return MBConv(kernel, expansion, activation=activation)
    return MBConv(kernel, expansion, 0.25, "expanded", activation, HARD_SIGMOID)


def mobilenet_v3(
    table: Sequence[tuple[int, float, bool, bool, int, int, int]], last: int, hidden: int, multiplier: float = 1.0
) -> Network:
    """Return V3 from rows of kernel, expansion, attention, hard swish, width, depth and stride.

    A multiplier scales every width but that of the hidden layer.
    """
    stages = tuple(
        Stage(
            inverted(kernel, expansion, attention, HARD_SWISH if hard else RELU),
            depth,
            divisible(width * multiplier),
            stride,
        )
        for kernel, expansion, attention, hard, width, depth, stride in table
    )
    head = FullyConnected(1000, (hidden,), HARD_SWISH, dropout=0.2, pool=1)
    stem = ConvNormAct(3, divisible(16 * multiplier), 2, activation=HARD_SWISH)
    last_conv = ConvNormAct(1, divisible(last * multiplier), activation=HARD_SWISH)
    return with_batch_norms(Network(stem, (*stages, last_conv), head), BatchNorm(1e-3, 0.01))


def mobilenet_space(channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2, 3)) -> Network:
    """Return the space: in each of three stages kernel, expansion, attention, activation, depth and width are open."""

    def stage(i: int) -> Stage:
        name, width = f"stage{i + 1}", channels * (i + 1)
        block = MBConv(
            one_of(f"{name}/kernel", [3, 5, 7]),
            one_of(f"{name}/expansion", [1.0, 3.0, 6.0]),
            one_of(f"{name}/squeeze", [0.0, 0.25]),
            "expanded",
            one_of(f"{name}/activation", [RELU, HARD_SWISH]),
            HARD_SIGMOID,
        )
        widths = one_of(f"{name}/width", [width, width * 3 // 2])
        return Stage(block, one_of(f"{name}/depth", depths), widths, 1 if i == 0 else 2)

    return Network(ConvNormAct(3, channels), tuple(map(stage, range(3))), Classifier(classes))


# Kernel, expansion, attention, hard swish, width, depth, stride (arXiv:1905.02244, tables 1 and 2). The tables list expanded
# widths: an expansion is such a width over the input's, as 200 / 80 = 2.5 and 88 / 24 = 3.67.
LARGE = (
    *((3, 1, False, False, 16, 1, 1), (3, 4, False, False, 24, 1, 2), (3, 3, False, False, 24, 1, 1)),
    *((5, 3, True, False, 40, 3, 2), (3, 6, False, True, 80, 1, 2), (3, 2.5, False, True, 80, 1, 1)),
    *((3, 2.3, False, True, 80, 2, 1), (3, 6, True, True, 112, 2, 1), (5, 6, True, True, 160, 3, 2)),
)
SMALL = (
    *((3, 1, True, False, 16, 1, 2), (3, 4.5, False, False, 24, 1, 2), (3, 3.67, False, False, 24, 1, 1)),
    *((5, 4, True, True, 40, 1, 2), (5, 6, True, True, 40, 2, 1), (5, 3, True, True, 48, 2, 1)),
    (5, 6, True, True, 96, 3, 2),
)

PUBLISHED: dict[str, Network] = {
    "mobilenet_v1": mobilenet_v1(),
    **{f"mobilenet_v1_{share:03}": mobilenet_v1(share / 100) for share in (25, 50, 75)},
    "mobilenet_v2": mobilenet_v2(),
    **{f"mobilenetv2_{share:03}": mobilenet_v2(share / 100) for share in (35, 50, 75, 130, 140)},
    "mobilenet_v3_large": mobilenet_v3(LARGE, 960, 1280),
    "mobilenet_v3_small": mobilenet_v3(SMALL, 576, 1024),
    "mobilenetv3_large_075": mobilenet_v3(LARGE, 960, 1280, 0.75),
    "mobilenetv3_small_075": mobilenet_v3(SMALL, 576, 1024, 0.75),
}

SOURCES = {
    **{name: "Sandler et al. 2018, arXiv:1801.04381" for name in PUBLISHED if "v2" in name},
    **{name: "Howard et al. 2019, arXiv:1905.02244" for name in PUBLISHED if "v3" in name},
}

family = Family(
    "Howard et al. 2017, arXiv:1704.04861",
    mobilenet_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(3, 224, 224),
)
