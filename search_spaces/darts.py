"""DARTS: two cells of four nodes, each node with edges from two of the states before it; about 10^18 pairs of cells.

Source: Liu et al. 2019, arXiv:1806.09055, section 2; networks as in the released code (quark0/darts).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

from nas.building import Node
from nas.cell_text import GraphText, describe_cells, parse_graphs
from nas.family import Family
from nas.fields import shown
from nas.literal import LONGEST_RANGE, LiteralCall, literal
from nas.operations.conv import AsymmetricConv, Conv
from nas.operations.pooling import AvgPool, MaxPool
from nas.operations.separable import DilConv, SepConv
from nas.operations.skip import Skip, Zero
from nas.records import Positive, RecordError, nearest, one_line
from nas.space import one_of, some_of
from nas.topology.cell import Cell, Cells, Edge
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
"""The operations by their names in genotypes, including those of the repository's NASNet and AmoebaNet."""

_NAMES = {operation: name for name, operation in NAMES.items()}

FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
"""The parts of a genotype, in the order of the repository's namedtuple."""


def cell(name: str) -> Cell:
    """Return an open cell: each of four nodes keeps two of the edges from the states before it."""

    def edges(node: int) -> tuple[Edge, ...]:
        mixed = (one_of(f"{name}/{source}-{node}", OPERATIONS, supernet_only=[Zero()]) for source in range(node))
        return some_of(f"{name}/{node}", 2, [Edge(source, operation) for source, operation in enumerate(mixed)])

    return Cell(tuple(edges(node) for node in range(2, 6)), concat=(2, 3, 4, 5))


def darts() -> Cells:
    """Return the space: a normal and a reduction cell."""
    return Cells(cell("normal"), cell("reduction"))


def from_genotype(genotype: Any) -> Cells:
    """Return the cells of a genotype: a mapping or a namedtuple of `normal`, `normal_concat`, `reduce` and `reduce_concat`.

    Edges are pairs of an operation and the state that it reads, two per node: in one list, as in the DARTS repository, or in
    a list per node (pt.darts, AutoDL-Projects). A third value, the weight of GDAS, is ignored. The two edges of a node are
    sorted by their states: the sum is the same, and so is the digest. Raises RecordError where a part is missing, unknown or
    unused.
    """
    fields = genotype_fields(genotype)
    for key in FIELDS:
        if key not in fields:
            raise RecordError(f"the genotype has no {key!r}: give {', '.join(FIELDS)}")
    return Cells(*(_read_cell(key, fields[key], fields[f"{key}_concat"]) for key in ("normal", "reduce")))


def genotype_fields(genotype: Any) -> Mapping[str, Any]:
    """Return the fields of a genotype in any of its forms. Raises RecordError where it has others."""
    if isinstance(genotype, LiteralCall):
        if len(genotype.values) > len(FIELDS):
            raise RecordError(f"the genotype has {len(genotype.values)} parts: give {', '.join(FIELDS)}")
        genotype = {**dict(zip(FIELDS, genotype.values, strict=False)), **genotype.fields}
    # A namedtuple has the fields as attributes.
    fields: Any = {key: getattr(genotype, key) for key in FIELDS if hasattr(genotype, key)} or genotype
    if not isinstance(fields, Mapping):
        raise RecordError(f"{shown(genotype)} is not a genotype: give {', '.join(FIELDS)}")
    for key in fields:
        if key not in FIELDS:
            raise RecordError(f"the genotype has a part {key!r}: {nearest(str(key), FIELDS)}")
    return fields


def _read_cell(key: str, edges: Any, concat: Any) -> Cell:
    pairs = list(_pairs(key, edges))
    if not pairs or len(pairs) % 2:
        raise RecordError(f"{key} of the genotype has {len(pairs)} pairs: give two for each node, 8 for four nodes")
    # Nodes are numbered as states, from 2; two edges each.
    read = [read_edge(f"{key} of the genotype", 2 + i // 2, pair) for i, pair in enumerate(pairs)]
    nodes = [tuple(sorted(read[i : i + 2], key=lambda edge: edge.source)) for i in range(0, len(read), 2)]
    cell = Cell(tuple(nodes), _read_concat(key, concat, len(nodes)))
    check_whole(key, cell)
    _check_twice(key, cell)
    return cell


def _pairs(key: str, edges: Any) -> Iterator[Any]:
    """Yield the edges of a cell, which may be in a list for each node."""
    if not isinstance(edges, list | tuple):
        raise RecordError(f"{key} of the genotype is {shown(edges)}: give a list of pairs, as ('sep_conv_3x3', 0)")
    for i, each in enumerate(edges):
        if not isinstance(each, list | tuple) or not each or not isinstance(each[0], list | tuple):
            yield each
            continue
        if len(each) != 2:
            raise RecordError(f"node {2 + i} in {key} of the genotype has {len(each)} edges: give two for each node")
        yield from each


def read_edge(where: str, node: int, pair: Any) -> Edge:
    """Return an edge from its operation's name and its state. Raises RecordError, with `where`, where it is none."""
    is_pair = isinstance(pair, list | tuple) and len(pair) in (2, 3)
    if not is_pair or not isinstance(pair[0], str) or type(pair[1]) is not int or not _is_weight(pair[2:]):
        raise RecordError(
            f"{where} has {shown(pair)}: give pairs of an operation and the state that it reads, as ('sep_conv_3x3', 0)"
        )
    name, source = pair[:2]
    if name not in NAMES:
        raise RecordError(f"{where} has an operation {name!r}: {nearest(name, NAMES)}")
    if not 0 <= source < node:
        raise RecordError(
            f"{where} has {shown(pair)} at node {node}, which reads states 0 to {node - 1}: give one of them"
        )
    return Edge(source, NAMES[name])


def _is_weight(rest: Sequence[Any]) -> bool:
    """Whether the values after a pair are nothing, or the weight that GDAS writes there."""
    return all(type(each) in (int, float) and math.isfinite(each) for each in rest)


def _read_concat(key: str, concat: Any, nodes: int) -> tuple[int, ...]:
    """Return the states that a cell of `nodes` nodes concatenates."""
    states = list(concat) if isinstance(concat, range) and len(concat) <= LONGEST_RANGE else concat
    if not isinstance(states, list | tuple) or not states or any(type(each) is not int for each in states):
        raise RecordError(f"{key}_concat is {shown(concat)}: give the states that are concatenated, as [2, 3, 4, 5]")
    if max(states) >= 2 + nodes:
        raise RecordError(
            f"{key}_concat has state {max(states)}, and {key} has {2 * nodes} pairs, for states 2 to {1 + nodes}: give "
            f"{2 * (max(states) - 1)} pairs, or other states"
        )
    if min(states) < 0 or len(set(states)) < len(states):
        raise RecordError(f"{key}_concat is {shown(concat)}: give each state once, from 0 to {1 + nodes}")
    return tuple(states)


def check_whole(key: str, cell: Cell) -> None:
    """Raise RecordError where a node of a cell is unused: neither read nor concatenated."""
    used = {edge.source for edges in cell.nodes for edge in edges} | set(cell.concatenated())
    for state in range(2, 2 + len(cell.nodes)):
        if state not in used:
            raise RecordError(
                f"state {state} of {key} is neither read nor in {key}_concat, {list(cell.concatenated())}: add it there, or "
                "leave its edges out"
            )


def _check_twice(key: str, cell: Cell) -> None:
    """Raise RecordError where a cell of DARTS' form has one edge twice; in NASNet's form it may."""
    if len(cell.nodes) != 4 or cell.concat != (2, 3, 4, 5):
        return
    for node, edges in enumerate(cell.nodes, 2):
        if len(set(edges)) < len(edges):
            name, source = _NAMES[edges[0].operation], edges[0].source
            raise RecordError(f"node {node} of {key} has {name!r} of state {source} twice: give two different edges")


def to_genotype(cells: Cells) -> dict[str, Any]:
    """Return two cells as a genotype. Raises RecordError where an operation has no name there, or a node not two edges."""
    genotype: dict[str, Any] = {}
    for key, each in (("normal", cells.normal), ("reduce", cells.reduction)):
        if any(len(edges) != 2 or any(edge.operation not in _NAMES for edge in edges) for edges in each.nodes):
            raise RecordError(
                f"{key} cannot be a genotype: give each node two edges, with operations {', '.join(NAMES)}"
            )
        genotype[key] = [[_NAMES[edge.operation], edge.source] for edges in each.nodes for edge in edges]
        genotype[f"{key}_concat"] = list(each.concatenated())
    return genotype


def genotype_text(cells: Cells) -> str:
    """Return two cells as the DARTS repository prints them: `Genotype(normal=[('sep_conv_3x3', 0), ...], ...)`."""
    genotype = to_genotype(cells)
    fields = {key: [tuple(each) if isinstance(each, list) else each for each in genotype[key]] for key in genotype}
    return f"Genotype({', '.join(f'{key}={value}' for key, value in fields.items())})"


def describe(cells: Cells) -> str:
    """Return two cells as short text, with the edges of each node in parentheses."""
    return describe_cells(cells, _NAMES, "nodes")


def parse(text: str) -> Cells:
    """Return the two cells of a text by `describe` or `genotype_text`, or of a log of the DARTS repository."""
    if (start := text.find("Genotype(")) >= 0:
        try:
            genotype = literal(text[start : text.rindex(")") + 1])
        except ValueError as error:
            raise RecordError(f"the genotype cannot be read ({one_line(error)}): give it as it was printed") from None
        return from_genotype(genotype)
    graphs = parse_graphs(text, NAMES, "normal|reduce")
    for key in ("normal", "reduce"):
        if key not in graphs:
            raise RecordError(f"the text has no {key!r}: give `normal: ...  reduce: ...`")
    return Cells(*(_of_text(key, graphs[key]) for key in ("normal", "reduce")))


def _of_text(key: str, graph: GraphText) -> Cell:
    nodes = tuple(range(2, 2 + len(graph.nodes)))
    cell = Cell(graph.nodes, None if graph.concat == "unread" else graph.concat or nodes)
    check_whole(key, cell)
    return cell


def network(
    cells: Cells,
    channels: Positive = 36,
    layers: Positive = 20,
    classes: Positive = 10,
    stem: Literal["cifar", "imagenet"] = "cifar",
    auxiliary: bool = False,
) -> Network:
    """Stack two cells as DARTS does: reductions at a third and two thirds of the layers, each doubling the width.

    The ImageNet stem halves the size three times: twice in the stem, once in a separate layer. The auxiliary head follows the
    second reduction. In the released code it has no last batch norm for ImageNet; we follow the code.
    """
    reductions = {layers // 3, 2 * layers // 3}
    # Width, and whether it reduces, of each layer; equal layers in a row then become one stage.
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
    """Return two cells from the short form of the table below: operation~state, two per node."""

    def pairs(text: str) -> list[tuple[str, int]]:
        return [(_LONG[name], int(source)) for name, source in (word.split("~") for word in text.split())]

    cells = {"normal": pairs(normal), "reduce": pairs(reduce)}
    return from_genotype({**cells, "normal_concat": concats[0], "reduce_concat": concats[1]})


# Normal cell, reduction cell, and the concatenated states of both, as in the genotypes.py of the papers' repositories; state 0 is
# the output before the last, 1 the last output.
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

family = Family(
    "Liu et al. 2019, arXiv:1806.09055",
    darts,
    network,
    describe,
    PUBLISHED,
    SOURCES,
    parse=parse,
    usual=genotype_text,
)
