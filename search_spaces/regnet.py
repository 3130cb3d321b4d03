"""RegNet: stages of bottleneck blocks with one group width, whose widths follow a linear rule.

Source: Radosavovic et al. 2020, arXiv:2003.13678 (section 3.3: the rule; Y, with squeeze-and-excitation: section 4; the
networks: section 5, all 24 with timm's names, from `regnetx_002`, 200 MF, to `regnety_320`, 32 GF). The released code (pycls)
rounds a stage's width to the nearest multiple of the group width, halves to even, and squeezes to a quarter of a block's
input; we follow it. torchvision, whose names are `regnet_x_400mf` and the like, rounds as MobileNet does, never more than a
tenth down: its X-400MF, Y-800MF and Y-8GF are wider than the paper's, the others equal.

The space is AnyNet, which section 3.2 narrows to RegNet step by step: group width and ratio are one choice for all stages,
and widths do not decrease.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU, Activation
from nas.layers.attention import SqueezeExcite, divisible
from nas.layers.conv import ConvNormAct
from nas.notation import notation
from nas.records import RecordError
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual
from search_spaces.resnet import PROJECTION

SWISH = Activation("swish")


def block(group_width: int, squeeze: SqueezeExcite | None = None, ratio: float = 1.0) -> Residual:
    """Return the bottleneck block with that group width; squeeze-and-excitation follows the 3x3 convolution."""
    grouped = ConvNormAct(3, ratio=ratio, group_width=group_width)
    inside: tuple[Node, ...] = (ConvNormAct(1, ratio=ratio), grouped, *([squeeze] if squeeze else []))
    return Residual(Chain((*inside, ConvNormAct(1, activation=None)), strided=1), PROJECTION, RELU)


def nearest(width: float, multiple: int) -> int:
    """Return the nearest multiple to a width, at least one; halves round to even (pycls)."""
    return max(1, round(width / multiple)) * multiple


Rounding = Callable[[float, int], int]
"""Rounds a width to a multiple of a number: `nearest` in the paper's networks, `divisible` in torchvision's."""


def rule(
    depth: int,
    initial: int,
    slope: float,
    step: float,
    group_width: int,
    ratio: float = 1.0,
    rounding: Rounding = nearest,
) -> list[tuple[int, int]]:
    """Return (width, depth) of each stage by the rule of RegNet.

    Block widths grow linearly by `slope` and are quantised to `initial` times powers of `step`, then to multiples of 8.
    `rounding` makes the inner width of the bottlenecks, `ratio` times the stage's, a multiple of the group width, which is at
    most as large. Raises RecordError where the paper's limits are exceeded.
    """
    if initial < 1 or initial % 8 or slope < 0 or step <= 1:
        raise RecordError(
            f"initial width {initial}, slope {slope} and step {step} are not a rule of RegNet: give a multiple of 8, a slope "
            "of at least 0, and a step above 1"
        )
    # Equations 2 to 4: linear widths, their rounded exponents, and the quantised widths. Equal widths form a stage.
    powers = (round(math.log(1 + slope * i / initial, step)) for i in range(depth))
    widths = (round(initial * step**power / 8) * 8 for power in powers)
    return [(_compatible(width, group_width, ratio, rounding), len([*same])) for width, same in groupby(widths)]


def _compatible(width: int, group_width: int, ratio: float, rounding: Rounding) -> int:
    """Return the width whose inner width, times `ratio`, consists of whole groups; a ratio above 1 also divides the latter."""
    inside = max(1, int(width * ratio))
    groups = min(group_width, inside)
    return int(rounding(inside, math.lcm(groups, int(ratio)) if ratio > 1 else groups) / ratio)


def regnet_x(
    depth: int,
    initial: int,
    slope: float,
    step: float,
    group_width: int,
    ratio: float = 1.0,
    rounding: Rounding = nearest,
) -> Network:
    """Return a network without squeeze-and-excitation for ImageNet."""
    widths = rule(depth, initial, slope, step, group_width, ratio, rounding)
    stages = (Stage(block(group_width, ratio=ratio), repeat, width, 2) for width, repeat in widths)
    return Network(ConvNormAct(3, 32, 2), tuple(stages), Classifier(1000))


def regnet_y(
    depth: int,
    initial: int,
    slope: float,
    step: float,
    group_width: int,
    ratio: float = 1.0,
    rounding: Rounding = nearest,
) -> Network:
    """Return a network with squeeze-and-excitation for ImageNet, which squeezes to a quarter of a block's input."""

    def stages() -> Iterator[Stage]:
        before = 32
        for width, repeat in rule(depth, initial, slope, step, group_width, ratio, rounding):
            blocks = [block(group_width, SqueezeExcite(channels=round(each / 4)), ratio) for each in (before, width)]
            yield Stage(blocks[0], 1, width, 2)
            if repeat > 1:
                yield Stage(blocks[1], repeat - 1)
            before = width

    return Network(ConvNormAct(3, 32, 2), tuple(stages()), Classifier(1000))


def regnet_space(channels: int = 32, classes: int = 10, depths: Sequence[int] = (1, 2, 3, 4)) -> Network:
    """Return the space: group width, ratio and squeeze-and-excitation are open, and width and depth of three stages.

    Squeeze-and-excitation has a swish: its few channels may all be negative, and after a ReLU no gradient would flow.
    """
    group_width, ratio = one_of("group_width", [4, 8, 16]), one_of("ratio", [0.5, 1.0])
    blocks = [block(group_width, squeeze, ratio) for squeeze in (None, SqueezeExcite(4, activation=SWISH))]
    body = one_of("block", blocks)
    stages = (
        Stage(
            body,
            one_of(f"stage{i + 1}/depth", depths),
            one_of(f"stage{i + 1}/width", [channels * each for each in factors]),
            1 if i == 0 else 2,
        )
        for i, factors in enumerate(((1, 2), (2, 3, 4), (4, 5, 6)))
    )
    return Network(ConvNormAct(3, channels), tuple(stages), Classifier(classes))


# depth d, initial width w_0, slope w_a, step w_m, group width g
_X = {
    "002": (13, 24, 36.44, 2.49, 8),
    "004": (22, 24, 24.48, 2.54, 16),
    "006": (16, 48, 36.97, 2.24, 24),
    "008": (16, 56, 35.73, 2.28, 16),
    "016": (18, 80, 34.01, 2.25, 24),
    "032": (25, 88, 26.31, 2.25, 48),
    "040": (23, 96, 38.65, 2.43, 40),
    "064": (17, 184, 60.83, 2.07, 56),
    "080": (23, 80, 49.56, 2.88, 120),
    "120": (19, 168, 73.36, 2.37, 112),
    "160": (22, 216, 55.59, 2.1, 128),
    "320": (23, 320, 69.86, 2.0, 168),
}

_Y = {
    "002": (13, 24, 36.44, 2.49, 8),
    "004": (16, 48, 27.89, 2.09, 8),
    "006": (15, 48, 32.54, 2.32, 16),
    "008": (14, 56, 38.84, 2.4, 16),
    "016": (27, 48, 20.71, 2.65, 24),
    "032": (21, 80, 42.63, 2.66, 24),
    "040": (22, 96, 31.41, 2.24, 64),
    "064": (25, 112, 33.22, 2.27, 72),
    "080": (17, 192, 76.82, 2.19, 56),
    "120": (19, 168, 73.36, 2.37, 112),
    "160": (18, 200, 106.23, 2.48, 112),
    "320": (20, 232, 115.89, 2.53, 232),
}
"""The rule's parameters by tens of millions of multiply-adds, from the released code; the paper rounds them."""

_TORCHVISION = {
    "400mf": "004",
    "800mf": "008",
    "1_6gf": "016",
    "3_2gf": "032",
    "8gf": "080",
    "16gf": "160",
    "32gf": "320",
}

PUBLISHED: dict[str, Network] = {
    **{f"regnetx_{name}": regnet_x(*parameters) for name, parameters in _X.items()},
    **{f"regnety_{name}": regnet_y(*parameters) for name, parameters in _Y.items()},
    **{f"regnet_x_{name}": regnet_x(*_X[same], rounding=divisible) for name, same in _TORCHVISION.items()},
    **{f"regnet_y_{name}": regnet_y(*_Y[same], rounding=divisible) for name, same in _TORCHVISION.items()},
}

SOURCES = dict.fromkeys(
    ("regnet_x_400mf", "regnet_y_800mf", "regnet_y_8gf"),
    "torchvision, whose rounding makes it wider than the network of arXiv:2003.13678",
)

family = Family(
    "Radosavovic et al. 2020, arXiv:2003.13678",
    regnet_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(3, 224, 224),
)
