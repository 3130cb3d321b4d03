"""RandWire: stages wired by a random graph; the kind of graph, its parameters and the seed are open.

Source: Xie et al. 2019, arXiv:1904.01569, section 3 and table 1. The code was not released: the form is the paper's. Its
published parameter and operation counts imply that the first convolutions are dense and all in the graphs separable. Its
seeds are not known; ours are the first consecutive ones with the paper's counts, which vary with the number of nodes that
read a stage's input. Deviation: no dropout of edges.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct
from nas.notation import notation
from nas.operations.conv import Conv
from nas.operations.separable import SepConv
from nas.space import one_of
from nas.topology.chain import Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.wired import Wired

NODE = SepConv(3, repeats=1)
"""The operation of every node: ReLU, a separable convolution and batch norm."""


def small(channels: int = 78, nodes: int = 32, seeds: Sequence[int] = (2, 3, 4)) -> Network:
    """Return the small regime: a convolution and three graphs WS(4, 0.75), each halving the size."""
    graphs = (Stage(Wired(NODE, nodes, "ws", 4, 0.75, seed), 1, channels * 2**i, 2) for i, seed in enumerate(seeds))
    return _imagenet(channels, (Stage(Conv(3), 1, channels, 2), *graphs))


def regular(channels: int, nodes: int = 32, seeds: Sequence[int] = (196, 197, 198, 199)) -> Network:
    """Return the regular regime: four graphs WS(4, 0.75), the first of half the nodes."""
    graphs = (
        Stage(Wired(NODE, nodes if i else nodes // 2, "ws", 4, 0.75, seed), 1, channels * 2**i, 2)
        for i, seed in enumerate(seeds)
    )
    return _imagenet(channels, tuple(graphs))


def _imagenet(channels: int, stages: tuple[Node, ...]) -> Network:
    """Return the network of the stages, with a strided convolution before and one of 1280 channels after them."""
    stem = ConvNormAct(3, channels // 2, 2, activation=None)
    return Network(stem, (*stages, Stage(Conv(1), 1, 1280)), Classifier(1000))


def randwire_space(channels: int = 16, nodes: int = 8, classes: int = 10, seeds: int = 10) -> Network:
    """Return the space: in each of three stages the kind of graph, its degree or probability and its seed are open."""

    def stage(i: int) -> Stage:
        name = f"stage{i + 1}"
        seed = one_of(f"{name}/seed", range(seeds))
        rewired = one_of(f"{name}/ws/probability", (0.25, 0.5, 0.75))
        graphs = [
            Wired(NODE, nodes, "ws", one_of(f"{name}/ws/degree", (2, 4)), rewired, seed),
            Wired(NODE, nodes, "er", probability=one_of(f"{name}/er/probability", (0.3, 0.4, 0.5)), seed=seed),
            Wired(NODE, nodes, "ba", one_of(f"{name}/ba/degree", (1, 2, 3)), seed=seed),
        ]
        return Stage(one_of(f"{name}/graph", graphs), 1, channels * 2**i, 1 if i == 0 else 2)

    stem = ConvNormAct(3, channels, activation=None)
    return Network(stem, tuple(map(stage, range(3))), Classifier(classes, relu=True))


PUBLISHED: dict[str, Network] = {
    "randwire_small": small(),
    "randwire_c109": regular(109),
    "randwire_c154": regular(154),
}

family = Family(
    "Xie et al. 2019, arXiv:1904.01569", randwire_space, with_classes, notation, PUBLISHED, input=(3, 224, 224)
)
