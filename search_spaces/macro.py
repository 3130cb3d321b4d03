"""Macro: every stage of a network is serial, residual, dense or inception; its depth, width and operations are open too.

The structures are those of VGG (Simonyan and Zisserman 2015, arXiv:1409.1556), ResNet (He et al. 2016, arXiv:1512.03385),
DenseNet (Huang et al. 2017, arXiv:1608.06993) and GoogLeNet (Szegedy et al. 2015, arXiv:1409.4842). Their combination in one
tree, with the operations of cells, is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import notation, parse
from nas.operations.conv import AsymmetricConv, Conv
from nas.operations.mbconv import MBConv
from nas.operations.separable import DilConv, SepConv
from nas.operations.skip import Skip
from nas.records import Positive, RecordError
from nas.space import one_of
from nas.topology.branches import Branches
from nas.topology.chain import Chain, Stage
from nas.topology.dense import Dense
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual

# Without repeats: `depth` decides how many are in a row. The structure adds the skip connections, so MBConv has none.
OPERATIONS: tuple[Node, ...] = (
    Conv(3),
    Conv(3, bottleneck=4),
    SepConv(3, 1),
    SepConv(5, 1),
    DilConv(3),
    AsymmetricConv(5),
    MBConv(3, 3.0, residual=False),
)

POINTWISE = ConvNormAct(1)


def serial(operation: Node, depth: int) -> Node:
    """Return operations one after another."""
    return Stage(operation, depth)


def residual(operation: Node, depth: int) -> Node:
    """Return operations, each with a skip connection around it."""
    return Stage(Residual(operation, Skip()), depth)


def dense(operation: Node, depth: int) -> Node:
    """Return operations that read all outputs before them, and a transition back to the requested width."""
    return Chain((Dense(operation, depth), POINTWISE))


def inception(operation: Node, other: Node, depth: int) -> Node:
    """Return blocks of four parallel paths: 1x1, one operation, another, and pooling."""
    paths = POINTWISE, Chain((POINTWISE, operation)), Chain((POINTWISE, other)), Chain((Pool(3, 1), POINTWISE))
    return Stage(Branches(paths), depth)


def macro(
    stages: Positive = 3,
    widths: Sequence[Positive] = (16, 24, 32),
    depths: Sequence[Positive] = (1, 2, 3),
    operations: Sequence[str] = (),
    classes: Positive = 10,
) -> Network:
    """Return the space: in each stage structure, depth, width and operations are open; each but the first halves the size.

    `widths` are those of the first stage, and double with each following stage. `operations` are in notation, such as
    `sep_conv5(repeats=1)`; by default they are OPERATIONS.
    """
    for name, values in (("widths", widths), ("depths", depths)):
        if not values:
            raise RecordError(f"{name} is empty: give at least one", name)
    known = [parse(text) for text in operations] or OPERATIONS
    opened = (_stage(i, widths, depths, known) for i in range(stages))
    return Network(ConvNormAct(3, widths[0]), tuple(opened), Classifier(classes))


def _stage(i: int, widths: Sequence[int], depths: Sequence[int], operations: Sequence[Node]) -> Stage:
    name = f"stage{i + 1}"
    operation, other = (one_of(f"{name}/{which}", operations) for which in ("operation", "other"))
    depth = one_of(f"{name}/depth", depths)
    structures = [serial(operation, depth), residual(operation, depth), inception(operation, other, depth)]
    # Dense layers have another width at each depth, so each depth is an option with its own transition.
    structures.append(one_of(f"{name}/layers", [dense(operation, each) for each in depths]))
    body = Chain((ConvNormAct(3), one_of(f"{name}/structure", structures)))
    return Stage(body, 1, one_of(f"{name}/width", [width * 2**i for width in widths]), 1 if i == 0 else 2)


family = Family("this project", macro, with_classes, notation)
