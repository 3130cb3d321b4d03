"""RegNet: stages of bottleneck blocks with groups of one width, whose widths follow from a linear rule.

Source: Radosavovic et al. 2020, arXiv:2003.13678 (section 3.3: the rule; Y, with squeeze-and-excitation: section 4;
the networks: section 5). Networks as in torchvision, which squeezes to a quarter of a block's input. The
space is AnyNet, of which section 3.2 makes RegNet step by step: groups and ratio are one choice for all stages, and
widths do not fall.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU, Activation
from nas.layers.attention import SqueezeExcite, divisible
from nas.layers.conv import ConvNormAct
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, of_classes
from nas.topology.residual import Residual
from search_spaces.resnet import PROJECTION

SWISH = Activation("swish")


def block(group_width: int, squeeze: SqueezeExcite | None = None, ratio: float = 1.0) -> Residual:
    """Return the bottleneck block with groups of that width; squeeze-and-excitation follows the 3x3 convolution."""
    grouped = ConvNormAct(3, ratio=ratio, group_width=group_width)
    inside: tuple[Node, ...] = (ConvNormAct(1, ratio=ratio), grouped, *([squeeze] if squeeze else []))
    return Residual(Chain((*inside, ConvNormAct(1, activation=None)), strided=1), PROJECTION, RELU)


def rule(depth: int, initial: int, slope: float, step: float, group_width: int) -> list[tuple[int, int]]:
    """Return width and depth of each stage: blocks grow by `slope`, and their widths are powers of `step`, in eights.

    Each is then made a multiple of the groups' width.
    """
    powers = (round(math.log(1 + slope * i / initial, step)) for i in range(depth))
    widths = (round(initial * step**power / 8) * 8 for power in powers)
    return [(divisible(width, min(group_width, width)), len([*same])) for width, same in groupby(widths)]


def regnet_x(depth: int, initial: int, slope: float, step: float, group_width: int) -> Network:
    """Return a network without squeeze-and-excitation for ImageNet."""
    stages = (Stage(block(group_width), more, wide, 2) for wide, more in rule(depth, initial, slope, step, group_width))
    return Network(ConvNormAct(3, 32, 2), tuple(stages), Classifier(1000))


def regnet_y(depth: int, initial: int, slope: float, step: float, group_width: int) -> Network:
    """Return a network with squeeze-and-excitation for ImageNet."""

    def stages() -> Iterator[Stage]:
        before = 32
        for wide, repeat in rule(depth, initial, slope, step, group_width):
            blocks = [block(group_width, SqueezeExcite(channels=round(width / 4))) for width in (before, wide)]
            yield Stage(blocks[0], 1, wide, 2)
            if repeat > 1:
                yield Stage(blocks[1], repeat - 1)
            before = wide

    return Network(ConvNormAct(3, 32, 2), tuple(stages()), Classifier(1000))


def regnet_space(channels: int = 32, classes: int = 10, depths: Sequence[int] = (1, 2, 3, 4)) -> Network:
    """Return the space: groups, ratio and squeeze-and-excitation are open, and width and depth of each of three stages.

    Squeeze-and-excitation has a swish: of its few channels all may be negative, and behind a ReLU nothing would be
    learned.
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


_X = {
    "400mf": (22, 24, 24.48, 2.54, 16),
    "800mf": (16, 56, 35.73, 2.28, 16),
    "1_6gf": (18, 80, 34.01, 2.25, 24),
    "3_2gf": (25, 88, 26.31, 2.25, 48),
    "8gf": (23, 80, 49.56, 2.88, 120),
    "16gf": (22, 216, 55.59, 2.1, 128),
    "32gf": (23, 320, 69.86, 2.0, 168),
}

_Y = {
    "400mf": (16, 48, 27.89, 2.09, 8),
    "800mf": (14, 56, 38.84, 2.4, 16),
    "1_6gf": (27, 48, 20.71, 2.65, 24),
    "3_2gf": (21, 80, 42.63, 2.66, 24),
    "8gf": (17, 192, 76.82, 2.19, 56),
    "16gf": (18, 200, 106.23, 2.48, 112),
    "32gf": (20, 232, 115.89, 2.53, 232),
}

PUBLISHED: dict[str, Network] = {
    **{f"regnet_x_{name}": regnet_x(*parameters) for name, parameters in _X.items()},
    **{f"regnet_y_{name}": regnet_y(*parameters) for name, parameters in _Y.items()},
}

family = Family(
    "Radosavovic et al. 2020, arXiv:2003.13678", regnet_space, of_classes, notation, PUBLISHED, input=(3, 224, 224)
)
