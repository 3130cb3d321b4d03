"""DARTS: two cells of four nodes, each node keeping two of the states before it; about 10^18 pairs of cells.

Source: Liu et al. 2019, arXiv:1806.09055, section 2; networks as in the released code (quark0/darts).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

from nas.building import Node
from nas.family import Family
from nas.operations.conv import AsymmetricConv, Conv
from nas.operations.pooling import AvgPool, MaxPool
from nas.operations.separable import DilConv, SepConv
from nas.operations.skip import Skip, Zero
from nas.records import Positive, RecordError, nearest
from nas.space import one_of, some_of
from nas.topology.cell import Cell, Cells, Edge, describe_cells
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Auxiliary, Network

OPERATIONS: tuple[Node, ...] = (MaxPool(3), AvgPool(3), Skip(), SepConv(3), SepConv(5), DilConv(3), DilConv(5))

NAMES: dict[str, Node] = {
    "none": Zero(),
    "max_pool_3x3": MaxPool(3),
    "avg_pool_3x3": AvgPool(3),
    "skip_connect": Skip(),
    "sep_conv_3x3": SepConv(3),
    "sep_conv_5x5": SepConv(5),
    "sep_conv_7x7": SepConv(7),
    "dil_conv_3x3": DilConv(3),
    "dil_conv_5x5": DilConv(5),
    "conv_7x1_1x7": AsymmetricConv(7),
}
"""The genotype's names, those of the repository's NASNet and AmoebaNet too."""

_NAMES = {operation: name for name, operation in NAMES.items()}


def cell(name: str) -> Cell:
    """Return an open cell: four nodes, each keeps two of the edges from the states before it."""

    def edges(node: int) -> tuple[Edge, ...]:
        mixed = (one_of(f"{name}/{source}-{node}", OPERATIONS, supernet_only=[Zero()]) for source in range(node))
        return some_of(f"{name}/{node}", 2, [Edge(source, operation) for source, operation in enumerate(mixed)])

    return Cell(tuple(edges(node) for node in range(2, 6)), concat=(2, 3, 4, 5))


def darts() -> Cells:
    """Return the space: a normal and a reduction cell."""
    return Cells(cell("normal"), cell("reduction"))


def from_genotype(genotype: Mapping[str, Any]) -> Cells:
    """Read the genotype of the DARTS repository: `normal`, `normal_concat`, `reduce`, `reduce_concat`.

    The two edges of a node are put in the order of the states that they read: the sum is the same, and so is the digest.
    """
    for key in ("normal", "normal_concat", "reduce", "reduce_concat"):
        if key not in genotype:
            raise RecordError(f"the genotype has no {key!r}: give normal, normal_concat, reduce and reduce_concat")
    normal, reduction = (_read_cell(genotype[key], genotype[f"{key}_concat"]) for key in ("normal", "reduce"))
    return Cells(normal, reduction)


def _read_cell(pairs: Sequence[Sequence[Any]], concat: Sequence[int]) -> Cell:
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[1], int):
            raise RecordError(f"the genotype has {pair!r}: give pairs of an operation and the state that it reads")
        if pair[0] not in NAMES:
            raise RecordError(f"the genotype has an operation {pair[0]!r}: {nearest(str(pair[0]), NAMES)}")
    edges = [Edge(source, NAMES[name]) for name, source in pairs]
    nodes = (edges[i : i + 2] for i in range(0, len(edges), 2))
    return Cell(tuple(tuple(sorted(node, key=lambda edge: edge.source)) for node in nodes), tuple(concat))


def to_genotype(cells: Cells) -> dict[str, Any]:
    """Write two cells as a genotype."""
    genotype: dict[str, Any] = {}
    for key, each in (("normal", cells.normal), ("reduce", cells.reduction)):
        genotype[key] = [[_NAMES[edge.operation], edge.source] for edges in each.nodes for edge in edges]
        genotype[f"{key}_concat"] = list(each.concat or ())
    return genotype


def describe(cells: Cells) -> str:
    """Write two cells as short text, a node's edges in parentheses."""
    return describe_cells(cells, _NAMES)


def network(
    cells: Cells,
    channels: Positive = 36,
    layers: Positive = 20,
    classes: Positive = 10,
    stem: Literal["cifar", "imagenet"] = "cifar",
    auxiliary: bool = False,
) -> Network:
    """Stack two cells as DARTS does: reductions at a third and two thirds of the layers, each doubling the width.

    The ImageNet stem halves the size three times: twice in the stem, once in a layer of its own. The auxiliary head
    stands after the second reduction. In the released code it has no last batch norm for ImageNet; we follow the code.
    """
    reductions = {layers // 3, 2 * layers // 3}
    plan = [(channels * 2 ** sum(layer >= each for each in reductions), layer in reductions) for layer in range(layers)]
    stages = [
        Stage(cells.reduction if reduces else cells.normal, len(list(run)), width, stride=2 if reduces else 1)
        for (width, reduces), run in groupby(plan)
    ]
    if stem == "cifar":
        opening: Node = Stage(Conv(3, activation="none"), channels=3 * channels)
        extra = Auxiliary(2 * layers // 3, classes)
    else:
        opening = Chain((Stage(Conv(3, activation="none"), 1, channels // 2, 2), Stage(Conv(3), 1, channels, 2)))
        stages.insert(0, Stage(Conv(3), channels=channels, stride=2))
        extra = Auxiliary(2 * layers // 3 + 1, classes, stride=2, last_norm=False)
    return Network(opening, tuple(stages), Classifier(classes), extra if auxiliary else None)


_LONG = {
    "sep3": "sep_conv_3x3",
    "sep5": "sep_conv_5x5",
    "sep7": "sep_conv_7x7",
    "dil3": "dil_conv_3x3",
    "dil5": "dil_conv_5x5",
    "max3": "max_pool_3x3",
    "avg3": "avg_pool_3x3",
    "skip": "skip_connect",
    "c71": "conv_7x1_1x7",
}


def _published(normal: str, reduce: str, concats: Sequence[Sequence[int]] = ((2, 3, 4, 5), (2, 3, 4, 5))) -> Cells:
    """Read two cells from the short form of the table below: operation and state, two a node."""

    def pairs(text: str) -> list[tuple[str, int]]:
        return [(_LONG[name], int(source)) for name, source in (word.split("~") for word in text.split())]

    cells = {"normal": pairs(normal), "reduce": pairs(reduce)}
    return from_genotype({**cells, "normal_concat": concats[0], "reduce_concat": concats[1]})


PUBLISHED: dict[str, Cells] = {
    "DARTS_V1": _published(
        "sep3~1 sep3~0 skip~0 sep3~1 skip~0 sep3~1 sep3~0 skip~2",
        "max3~0 max3~1 skip~2 max3~0 max3~0 skip~2 skip~2 avg3~0",
    ),
    "DARTS_V2": _published(
        "sep3~0 sep3~1 sep3~0 sep3~1 sep3~1 skip~0 skip~0 dil3~2",
        "max3~0 max3~1 skip~2 max3~1 max3~0 skip~2 skip~2 max3~1",
    ),
    "PC_DARTS_cifar": _published(
        "sep3~1 skip~0 sep3~0 dil3~1 sep5~0 sep3~1 avg3~0 dil3~1",
        "sep5~1 max3~0 sep5~1 sep5~2 sep3~0 sep3~3 sep3~1 sep3~2",
    ),
    "PC_DARTS_image": _published(
        "skip~1 sep3~0 sep3~0 skip~1 sep3~1 sep3~3 sep3~1 dil5~4",
        "sep3~0 skip~1 dil5~2 max3~1 sep3~2 sep3~1 sep5~0 sep3~3",
    ),
    "PDARTS": _published(
        "skip~0 dil3~1 skip~0 sep3~1 sep3~1 sep3~3 sep3~0 dil5~4",
        "avg3~0 sep5~1 sep3~0 dil5~2 max3~0 dil3~1 dil3~1 dil5~3",
    ),
    "NASNet_in_DARTS_form": _published(
        "sep5~1 sep3~0 sep5~0 sep3~0 avg3~1 skip~0 avg3~0 avg3~0 sep3~1 skip~1",
        "sep5~1 sep7~0 max3~1 sep7~0 avg3~1 sep5~0 skip~3 avg3~2 sep3~2 max3~1",
        ((2, 3, 4, 5, 6), (4, 5, 6)),
    ),
    "AmoebaNet_in_DARTS_form": _published(
        "avg3~0 max3~1 sep3~0 sep5~2 sep3~0 avg3~3 sep3~1 skip~1 skip~0 avg3~1",
        "avg3~0 sep3~1 max3~0 sep7~2 sep7~0 avg3~1 max3~0 max3~1 c71~0 sep3~5",
        ((4, 5, 6), (3, 4, 6)),
    ),
}

SOURCES = {
    "PC_DARTS_cifar": "Xu et al. 2020, arXiv:1907.05737, found on CIFAR-10",
    "PC_DARTS_image": "Xu et al. 2020, arXiv:1907.05737, found on ImageNet",
    "PDARTS": "Chen et al. 2019, arXiv:1904.12760",
    "NASNet_in_DARTS_form": "as the DARTS repository writes NASNet-A",
    "AmoebaNet_in_DARTS_form": "as the DARTS repository writes AmoebaNet-A; not the published graph, see nasnet:AmoebaNet_A",
}

family = Family("Liu et al. 2019, arXiv:1806.09055", darts, network, describe, PUBLISHED, SOURCES)
