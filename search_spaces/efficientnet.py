"""EfficientNet: inverted residuals with attention, scaled in depth, width and resolution together.

Source: Tan and Le 2019, arXiv:1905.11946, table 1 (B0) and section 3.3 (scaling); V2: Tan and Le 2021, arXiv:2104.00298,
table 4. Networks as in torchvision, which has B2 at 288 pixels (the paper's code: 260), and whose shares of drop path grow
from block to block; here they grow from stage to stage. Norms are torchvision's: torch's own up to B4, an epsilon of 1e-3 from
B5 on and in V2. Lite: the authors' repository of TPU models; no attention, ReLU6, and the depth of the first and the last stage
and the width of the first and the last convolution are not scaled; norms and padding are those of the released weights.

The space is the paper's first step: the search of the coefficients of depth, width and resolution, with alpha * beta^2 *
gamma^2 about 2, for a small network whose kernels are open too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, product

from nas.building import Node
from nas.family import Family
from nas.layers.activation import Activation
from nas.layers.attention import divisible
from nas.layers.conv import ConvNormAct
from nas.layers.norm import BatchNorm
from nas.layers.resize import Resize
from nas.notation import notation
from nas.operations.mbconv import MBConv
from nas.preprocessing import Preprocessing
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_batch_norms, with_classes

SWISH, RELU6 = Activation("swish"), Activation("relu6")

TENSORFLOW_NORM = BatchNorm(1e-3, 0.01)
"""The norm of the released code, which is TensorFlow's."""

Table = Sequence[tuple[MBConv, int, int, int]]
"""Block, width, depth and stride of each stage."""


def mbconv(kernel: int, expansion: float) -> MBConv:
    """Return the block with attention."""
    return MBConv(kernel, expansion, 0.25, activation=SWISH)


def fused(expansion: float) -> MBConv:
    """Return the block of V2's first stages: a dense 3x3 convolution, and no attention."""
    return MBConv(3, expansion, activation=SWISH, fused=True)


def stages(
    table: Table, depth: float = 1.0, width: float = 1.0, divisor: int = 8, fixed: Sequence[int] = ()
) -> Iterator[Stage]:
    """Yield the scaled stages of a table; depths are rounded up, widths to a multiple of the divisor.

    The depths of the stages `fixed` are not scaled.
    """
    scales = [1.0 if i in fixed else depth for i in range(len(table))]
    depths = [math.ceil(repeat * scale) for (_, _, repeat, _), scale in zip(table, scales, strict=True)]
    before = accumulate(depths, initial=0)
    for (block, channels, _, stride), repeat, passed in zip(table, depths, before, strict=False):
        body = replace(block, drop_path=round(passed / sum(depths), 2))
        yield Stage(body, repeat, divisible(channels * width, divisor), stride)


def efficientnet(depth: float, width: float, dropout: float) -> Network:
    """Return B0 scaled in depth and width; the resolution is that of the images.

    The last convolution's 1280 channels are scaled separately, as in the released code; torchvision has four times the width
    before it, which is the same in B0 to B7.
    """
    stem = ConvNormAct(3, divisible(32 * width), 2, activation=SWISH)
    last = ConvNormAct(1, divisible(1280 * width), activation=SWISH)
    return Network(stem, (*stages(B0, depth, width), last), Classifier(1000, dropout=dropout))


def efficientnet_lite(depth: float, width: float, dropout: float) -> Network:
    """Return B0's Lite form scaled in depth and width; its first and last stage keep their depth."""
    plain = [replace(block, squeeze=0.0, activation=RELU6, padding="same_upper") for block, *_ in B0]
    table = [(block, *row[1:]) for block, row in zip(plain, B0, strict=True)]
    last = ConvNormAct(1, 1280, activation=RELU6)
    body = stages(table, depth, width, fixed=(0, len(table) - 1))
    stem = ConvNormAct(3, 32, 2, padding="same_upper", activation=RELU6)
    return with_batch_norms(Network(stem, (*body, last), Classifier(1000, dropout=dropout)), TENSORFLOW_NORM)


def efficientnet_v2(table: Table, dropout: float) -> Network:
    """Return the network of a V2 table; the first convolution is as wide as the first stage."""
    stem = ConvNormAct(3, table[0][1], 2, activation=SWISH)
    last = ConvNormAct(1, 1280, activation=SWISH)
    network = Network(stem, (*stages(table), last), Classifier(1000, dropout=dropout))
    return with_batch_norms(network, BatchNorm(1e-3))


def efficientnet_space(
    channels: int = 16,
    classes: int = 10,
    depths: Sequence[float] = (1.0, 1.2, 1.5, 2.0),
    scales: Sequence[float] = (1.0, 1.1, 1.15, 1.2, 1.3, 1.4),
    budget: float = 2.0,
    tolerance: float = 0.1,
) -> Network:
    """Return the space: coefficients of depth, width and resolution with a product near the budget, and kernels, are open."""
    kernels = [one_of(f"stage{i + 1}/kernel", [3, 5]) for i in range(3)]
    blocks = [mbconv(kernel, 4.0 if i else 1.0) for i, kernel in enumerate(kernels)]
    widths = channels, channels * 3 // 2, channels * 2
    table = [(block, widths[i], i + 1, 2 if i else 1) for i, block in enumerate(blocks)]

    def scaled(depth: float, width: float, resolution: float) -> Node:
        stem = ConvNormAct(3, divisible(channels * width, 4), activation=SWISH)
        last = ConvNormAct(1, divisible(channels * 8 * width, 4), activation=SWISH)
        return Chain((Resize(resolution), stem, *stages(table, depth, width, 4), last))

    kept = [
        (depth, width, resolution)
        for depth, width, resolution in product(depths, scales, scales)
        if abs(depth * width**2 * resolution**2 - budget) <= tolerance
    ]
    # Rounding makes some of these networks equal: `dict` keeps one of each, in order.
    networks = dict.fromkeys(scaled(*coefficients) for coefficients in kept)
    return Network(one_of("scaling", networks), (), Classifier(classes))


# block, width, depth, stride (table 1)
B0: Table = (
    *((mbconv(3, 1.0), 16, 1, 1), (mbconv(3, 6.0), 24, 2, 2), (mbconv(5, 6.0), 40, 2, 2), (mbconv(3, 6.0), 80, 3, 2)),
    *((mbconv(5, 6.0), 112, 3, 1), (mbconv(5, 6.0), 192, 4, 2), (mbconv(3, 6.0), 320, 1, 1)),
)

_TORCH_SCALES = {
    "efficientnet_b0": (1.0, 1.0, 0.2),
    "efficientnet_b1": (1.1, 1.0, 0.2),
    "efficientnet_b2": (1.2, 1.1, 0.3),
    "efficientnet_b3": (1.4, 1.2, 0.3),
    "efficientnet_b4": (1.8, 1.4, 0.4),
}
_TENSORFLOW_SCALES = {
    "efficientnet_b5": (2.2, 1.6, 0.4),
    "efficientnet_b6": (2.6, 1.8, 0.5),
    "efficientnet_b7": (3.1, 2.0, 0.5),
}
"""Depth, width and dropout of each network, as in the released code, by whose norms torchvision has."""

_LITE_SCALES = {
    "efficientnet_lite0": (1.0, 1.0, 0.2),
    "efficientnet_lite1": (1.1, 1.0, 0.2),
    "efficientnet_lite2": (1.2, 1.1, 0.3),
    "efficientnet_lite3": (1.4, 1.2, 0.3),
    "efficientnet_lite4": (1.8, 1.4, 0.3),
}

# Block, width, depth, stride: S is table 4 of arXiv:2104.00298, M and L are from the released code.
_V2_S: Table = (
    *((fused(1.0), 24, 2, 1), (fused(4.0), 48, 4, 2), (fused(4.0), 64, 4, 2)),
    *((mbconv(3, 4.0), 128, 6, 2), (mbconv(3, 6.0), 160, 9, 1), (mbconv(3, 6.0), 256, 15, 2)),
)
_V2_M: Table = (
    *((fused(1.0), 24, 3, 1), (fused(4.0), 48, 5, 2), (fused(4.0), 80, 5, 2), (mbconv(3, 4.0), 160, 7, 2)),
    *((mbconv(3, 6.0), 176, 14, 1), (mbconv(3, 6.0), 304, 18, 2), (mbconv(3, 6.0), 512, 5, 1)),
)
_V2_L: Table = (
    *((fused(1.0), 32, 4, 1), (fused(4.0), 64, 7, 2), (fused(4.0), 96, 7, 2), (mbconv(3, 4.0), 192, 10, 2)),
    *((mbconv(3, 6.0), 224, 19, 1), (mbconv(3, 6.0), 384, 25, 2), (mbconv(3, 6.0), 640, 7, 1)),
)

PUBLISHED: dict[str, Network] = {
    **{name: efficientnet(*scale) for name, scale in _TORCH_SCALES.items()},
    **{name: with_batch_norms(efficientnet(*scale), TENSORFLOW_NORM) for name, scale in _TENSORFLOW_SCALES.items()},
    "efficientnet_v2_s": efficientnet_v2(_V2_S, 0.2),
    "efficientnet_v2_m": efficientnet_v2(_V2_M, 0.3),
    "efficientnet_v2_l": efficientnet_v2(_V2_L, 0.4),
    **{name: efficientnet_lite(*scale) for name, scale in _LITE_SCALES.items()},
}

SOURCES = {name: "Tan and Le 2021, arXiv:2104.00298" for name in PUBLISHED if "v2" in name}

# Image sizes, in the order of PUBLISHED: B0 to B7, V2-S to V2-L, Lite0 to Lite4.
_SIZES = (224, 240, 288, 300, 380, 456, 528, 600, 384, 480, 480, 224, 240, 260, 280, 300)
INPUTS = {name: (3, size, size) for name, size in zip(PUBLISHED, _SIZES, strict=True)}

# "own preprocessing" of the released Lite weights: pixels minus 127, over 128, bicubic, 224 of 256 pixels at the first size.
LITE = Preprocessing((127 / 255,) * 3, (128 / 255,) * 3, "RGB", "crop", 0.875, "bicubic")

family = Family(
    "Tan and Le 2019, arXiv:1905.11946",
    efficientnet_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(3, 224, 224),
    inputs=INPUTS,
    preprocessing=dict.fromkeys(_LITE_SCALES, LITE),
)
