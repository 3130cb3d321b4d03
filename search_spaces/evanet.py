"""EvaNet: modules of parallel space-time layers for clips; how many, of which kind, how long in time and how wide is open.

Source: Piergiovanni et al. 2019, arXiv:1811.10636. As there, the layers of a module are 3-D convolutions, (2+1)D convolutions,
temporal convolutions and space-time pooling with a convolution of one pixel, each with its own length in time; they are
concatenated, and a module is repeated. The paper also has inflated temporal Gaussian mixtures and residual connections, which are
left out, and larger modules; the sizes here are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.space_time import SpaceTimeConv, SpaceTimePool
from nas.notation import notation
from nas.records import Positive, RecordError
from nas.space import one_of
from nas.topology.branches import Branches
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes


def evanet(
    frames: Positive = 3,
    modules: Positive = 2,
    branches: Positive = 3,
    lengths: Sequence[Positive] = (1, 3, 5),
    widths: Sequence[Positive] = (2, 4, 6),
    repeats: Sequence[Positive] = (1, 2),
    classes: Positive = 10,
) -> Network:
    """Return the space, for clips of `frames` frames: images of that many channels, or of a multiple.

    Each module has up to `branches` parallel layers, each of one of `lengths` in frames and of one of `widths` for a frame;
    pooling halves the frames' sides before each module but the first. The stem is a convolution of each frame alone.
    """
    for name, values in (("lengths", lengths), ("widths", widths), ("repeats", repeats)):
        if not values:
            raise RecordError(f"{name} is empty: give at least one", name)
    opened = []
    for i in range(1, modules + 1):
        paths = [_layer(f"module{i}/layer{j}", frames, lengths, widths) for j in range(1, branches + 1)]
        joined = [Branches(tuple(paths[:number])) for number in range(1, branches + 1)]
        body = one_of(f"module{i}/layers", joined)
        repeated = Stage(body, one_of(f"module{i}/repeat", repeats))
        pooled = Chain((SpaceTimePool(3, 1, frames, 2), repeated))
        opened.append(pooled if i > 1 else repeated)
    return Network(SpaceTimeConv(3, max(widths), 1, frames), tuple(opened), Classifier(classes))


def _layer(name: str, frames: int, lengths: Sequence[int], widths: Sequence[int]) -> Node:
    """Return the choice among the kinds of a layer, which share its open length and width."""
    length, width = one_of(f"{name}/length", lengths), one_of(f"{name}/width", widths)
    spatial = SpaceTimeConv(3, width, 1, frames)
    temporal = SpaceTimeConv(1, width, length, frames)
    pooled = Chain((SpaceTimePool(3, length, frames), SpaceTimeConv(1, width, 1, frames)))
    kinds = [SpaceTimeConv(3, width, length, frames), Chain((spatial, temporal)), temporal, pooled]
    return one_of(f"{name}/kind", kinds)


family = Family("Piergiovanni et al. 2019, arXiv:1811.10636", evanet, with_classes, notation)
