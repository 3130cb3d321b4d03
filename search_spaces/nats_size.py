"""NATS-Bench, size: the channels of five layers around one cell of NAS-Bench-201; 32,768 networks, all trained and published.

Source: Dong et al. 2020, arXiv:2009.00437, section 3; the networks as in the released code (`DynamicShapeTinyNet` of
AutoDL-Projects). The topology space of NATS-Bench is `nasbench201`. Outside the table, which is not part of this library, we
found the costs of one network, number 12.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nas.building import Node
from nas.family import Family, OtherForm
from nas.fields import shown
from nas.layers.pool import Pool
from nas.operations.conv import Conv
from nas.operations.skip import Skip
from nas.records import Positive, RecordError
from nas.space import one_of
from nas.topology.cell import Cell, Edge
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual

WIDTHS = tuple(range(8, 65, 8))
"""The channels that each layer may have, in the benchmark's order."""

LAYERS = 5

# A skip that changes the width has no ReLU, unlike other skips in the released code.
_CONV, _SKIP = Conv(3), Skip("projection")

CELL = Cell(
    ((Edge(0, _CONV),), (Edge(0, _CONV), Edge(1, _CONV)), (Edge(0, _SKIP), Edge(1, _CONV), Edge(2, _CONV))),
    concat=(3,),
    reads=1,
    preprocess="never",
)
"""The best cell of the topology space on CIFAR-100: all 3x3 convolutions, but for a skip from the first state to the last."""

REDUCTION = Residual(Chain((Conv(3), Conv(3))), Chain((Pool(2, 1, 0, "mean"), Conv(1, activation="none", norm=False))))
"""The residual block that halves the map, as in NAS-Bench-201. Its pooling takes the stride of the stage."""


def nats_size(classes: Positive = 10) -> Network:
    """Return the space: the channels of each of five layers are open."""
    return _network([one_of(f"layer{layer}", WIDTHS) for layer in range(1, LAYERS + 1)], classes)


def _network(widths: Sequence[int], classes: int) -> Network:
    """Return the network: cells at three sizes and the blocks that halve the map between them, one width each."""
    bodies: tuple[Node, ...] = (CELL, REDUCTION, CELL, REDUCTION, CELL)
    stages = [Stage(body, 1, width, 2 if body is REDUCTION else 1) for body, width in zip(bodies, widths, strict=True)]
    return Network(Stage(Conv(3, "none"), 1, widths[0]), tuple(stages), Classifier(classes, norm=True, relu=True))


def from_string(text: str) -> Network:
    """Return the network of a text such as 64:64:64:64:64, the channels of its five layers.

    Raises OtherForm where the text is not in this notation, and RecordError for other channels.
    """
    if not re.fullmatch(r"\d+(:\d+){4}", text.strip()):
        raise OtherForm(
            f"{shown(text)} is no network of NATS-Bench: write the channels of five layers, as 64:64:64:64:64"
        )
    widths = [int(width) for width in text.strip().split(":")]
    if not set(widths) <= set(WIDTHS):
        raise RecordError(
            f"{shown(text)} is no network of NATS-Bench: its layers have {', '.join(map(str, WIDTHS))} channels"
        )
    return _network(widths, 10)


def to_string(network: Network) -> str:
    """Return the channels of a network's layers, as 64:64:64:64:64. Raises RecordError where it is of another space."""
    widths = [stage.channels or 0 for stage in network.stages if isinstance(stage, Stage)]
    is_known = len(widths) == LAYERS and set(widths) <= set(WIDTHS)
    if not is_known or _network(widths, getattr(network.head, "classes", 10)) != network:
        raise RecordError("the network is none of NATS-Bench: its layers are others")
    return ":".join(map(str, widths))


family = Family(
    source="Dong et al. 2020, arXiv:2009.00437",
    space=nats_size,
    network=with_classes,
    describe=to_string,
    parse=from_string,
    published={"number_12": from_string("8:8:8:16:40")},
)
