"""Growing: a plain convolutional network whose stages can be widened and deepened, and whose layers can grow kernels and skips.

Options are listed from the smallest to the largest, and each step to the next one is a network morphism: with inherited weights
the grown network computes what the smaller one computes. Elsken et al. 2017, arXiv:1711.04528, begin from such a network (three
convolutions, max pooling between) and widen, deepen and connect it; Real et al. 2017, arXiv:1703.01041, evolve one. Sizes and
depths here are ours. Elsken et al. add a skip with a weight that begins at 0, as here.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct, LayerScale
from nas.layers.pool import Pool
from nas.notation import notation
from nas.operations.skip import Skip
from nas.records import Positive, RecordError
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual


def layer(name: str, kernels: Sequence[int]) -> Node:
    """Return a convolution with an open kernel, and an open skip connection around it."""
    conv = ConvNormAct(one_of(f"{name}/kernel", kernels))
    skip = Chain((Skip("projection"), LayerScale(0.0)))
    return one_of(f"{name}/skip", [conv, Residual(conv, skip)])


def growing(
    stages: Positive = 3,
    widths: Sequence[Positive] = (8, 12, 16, 24, 32, 48, 64),
    depth: Positive = 4,
    kernels: Sequence[Positive] = (3, 5, 7),
    classes: Positive = 10,
) -> Network:
    """Return the space: each stage has a width and a depth, up to `depth`; max pooling halves the map between stages."""
    for name, values in (("widths", widths), ("kernels", kernels)):
        if not values or list(values) != sorted(values):
            raise RecordError(f"{name} is {list(values)}: give at least one, from the smallest to the largest", name)
    opened = []
    for i in range(1, stages + 1):
        layers = [layer(f"stage{i}/layer{j}", kernels) for j in range(1, depth + 1)]
        grown = one_of(f"stage{i}/depth", [Chain(tuple(layers[:each])) for each in range(1, depth + 1)])
        width = one_of(f"stage{i}/width", widths)
        opened.append(Stage(Chain((Pool(2, 2, 0), grown)) if i > 1 else grown, channels=width))
    return Network(ConvNormAct(3, widths[0]), tuple(opened), Classifier(classes))


family = Family("this project", growing, with_classes, notation)
