"""AdaNet: ensembles that grow, of plain convolutional networks that differ in depth.

Source: Cortes et al. 2017, arXiv:1607.01097. The paper grows fully connected networks for pairs of classes of CIFAR-10, and
Weill et al. 2019, arXiv:1905.00080, NASNet-A cells; here the members are convolutions of one width, as deep as chosen.
"""

from __future__ import annotations

from typing import Literal

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct
from nas.notation import notation
from nas.records import Positive
from nas.space import one_of
from nas.topology.chain import Stage
from nas.topology.ensemble import Ensemble
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes


def adanet(
    members: Positive = 4,
    depth: Positive = 4,
    channels: Positive = 8,
    mixture: Literal["scalar", "class"] = "scalar",
    classes: Positive = 10,
) -> Ensemble:
    """Return the space: up to `members` networks, each with up to `depth` layers after the first, which halves the map."""
    grown = [_member(f"member{i}", depth, channels, classes) for i in range(1, members + 1)]
    return one_of("size", [Ensemble(tuple(grown[:size]), mixture) for size in range(1, members + 1)])


def _member(name: str, depth: int, channels: int, classes: int) -> Node:
    layers = one_of(f"{name}/depth", range(1, depth + 1))
    body = Stage(ConvNormAct(3), layers, channels)
    return Network(ConvNormAct(3, channels, 2), (body,), Classifier(classes))


family = Family("Cortes et al. 2017, arXiv:1607.01097", adanet, with_classes, notation)
