"""Residual attention networks: residual units whose output is scaled by the mask of an hourglass.

Source: Wang et al. 2017, arXiv:1704.06904, section 3 and table 2, and the authors' Caffe models: units are pre-activated
bottlenecks with the stride in the 3x3, a mask reads the output of a module's first unit, its last convolution has no norm, and
its function is tanh (the paper: sigmoid). The number is that of the trunk's layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.activation import Activation
from nas.layers.conv import ConvNormAct, bare
from nas.layers.pool import Pool
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.hourglass import Hourglass
from nas.topology.masked import Masked
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual
from search_spaces.resnet import preactivated, preactivated_bottleneck

POOL = Pool(3, 2, 0, ceil=True)
"""Pooling as in Caffe."""

TANH, SIGMOID = Activation("tanh"), Activation("sigmoid")


def mask(unit: Node, levels: int, gate: Node = TANH, pool: Node = POOL) -> Chain:
    """Return an hourglass of so many levels, with a unit as skip between equal sizes, and two 1x1 convolutions."""
    inside: Node = Chain((unit, unit))
    for _ in range(levels - 1):
        inside = Chain((unit, Residual(Hourglass(inside, pool), unit), unit))
    return Chain((Hourglass(inside, pool), ConvNormAct(1, order="pre"), ConvNormAct(1, order="pre"), gate))


def module(unit: Node, attention: Node, trunk: int = 2) -> Chain:
    """Return a unit, `trunk` units scaled by the attention, and a unit."""
    return Chain((unit, Masked(Stage(unit, trunk), attention), unit))


def imagenet(modules: Sequence[int]) -> Network:
    """Stack three stages of a unit and so many modules, and a stage of three units; masks have 3, 2 and 1 levels."""
    unit = preactivated_bottleneck()
    stages: list[Stage] = []
    for i, repeat in enumerate(modules):
        width = 256 * 2**i
        stages += [Stage(unit, 1, width, 2 if i else 1), Stage(module(unit, mask(unit, 3 - i)), repeat, width)]
    return Network(
        Chain((ConvNormAct(7, 64, 2), POOL)), (*stages, Stage(unit, 3, 2048, 2)), Classifier(1000, norm=True, relu=True)
    )


def residual_attention_space(channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2)) -> Network:
    """Return the space: in each of three stages unit, width, trunk, depth, and the levels and gate of the mask are open.

    `depths` are numbers of modules.
    """

    def stage(i: int) -> Stage:
        name, width = f"stage{i + 1}", channels * 2**i
        unit = one_of(f"{name}/unit", [preactivated(), preactivated_bottleneck()])
        gate = one_of(f"{name}/gate", [SIGMOID, TANH])
        attention = one_of(f"{name}/levels", [mask(unit, levels, gate, Pool(3, 2)) for levels in (1, 2)])
        body = module(unit, attention, one_of(f"{name}/trunk", [1, 2]))
        repeated = Stage(body, one_of(f"{name}/depth", depths))
        return Stage(Chain((unit, repeated)), 1, one_of(f"{name}/width", [width, width * 3 // 2]), 2 if i else 1)

    return Network(bare(3, channels), tuple(map(stage, range(3))), Classifier(classes, norm=True, relu=True))


PUBLISHED: dict[str, Network] = {
    "attention56": imagenet((1, 1, 1)),
    "attention92": imagenet((1, 2, 3)),
}

family = Family(
    "Wang et al. 2017, arXiv:1704.06904",
    residual_attention_space,
    with_classes,
    notation,
    PUBLISHED,
    input=(3, 224, 224),
)
