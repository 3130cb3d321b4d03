"""NAS-Bench-201: a cell of four states and six edges, five operations each; 15,625 cells, all trained and published.

Source: Dong and Yang 2020, arXiv:2001.00326, section 2; the networks as in the released code (AutoDL-Projects).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from nas.building import Node
from nas.family import Family, OtherForm
from nas.fields import shown
from nas.notation import notation
from nas.operations.conv import Conv
from nas.operations.pooling import AvgPool
from nas.operations.skip import Skip, Zero
from nas.records import Positive, RecordError, nearest
from nas.space import one_of
from nas.topology.cell import Cell, Edge
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from nas.topology.residual import Residual

OPERATIONS: dict[str, Node] = {
    "none": Zero(),
    "skip_connect": Skip(),
    "nor_conv_1x1": Conv(1),
    "nor_conv_3x3": Conv(3),
    "avg_pool_3x3": AvgPool(3),
}
"""In the benchmark's order, so that a decision is a digit of an index of its table."""

_NAMES = {operation: name for name, operation in OPERATIONS.items()}

FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
"""The pattern of the benchmark's notation."""


def nasbench201() -> Cell:
    """Return the space: each of three nodes reads every state before it, and the operation of each edge is open."""
    return _cell([[one_of(f"{source}-{node}", OPERATIONS.values()) for source in range(node)] for node in (1, 2, 3)])


def _cell(operations: list[list[Node]]) -> Cell:
    # As in the benchmark, state 0 is the input itself and the output is the last node alone.
    nodes = tuple(tuple(Edge(source, each) for source, each in enumerate(edges)) for edges in operations)
    return Cell(nodes, concat=(3,), reads=1, preprocess="never")


def from_string(text: str) -> Cell:
    """Return the cell of the benchmark's notation, `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|`.

    Text printed around it by its repository is ignored: `Structure(4 nodes with |...|)`. Raises OtherForm where the text is
    not in this notation, and RecordError, with the missing or unknown part, where it is damaged.
    """
    begins = re.search(r"\|\s*[\w.-]+\s*~", text)
    if begins is None:
        raise OtherForm(f"{shown(text)} is not a NAS-Bench-201 cell: write {FORM}")
    # From the first edge on, without spaces and without the quotes and brackets of a list or call around the cell.
    body = re.sub(r"\s+", "", text[begins.start() :].rstrip().rstrip("'\")}],;"))
    nodes = []
    for node, part in enumerate(body.split("+"), 1):
        if not re.fullmatch(r"\|([^|~]+~\d+\|)+", part):
            raise RecordError(f"{shown(text)} is not a NAS-Bench-201 cell: write {FORM} (node {node} is {part!r})")
        nodes.append([(name, int(source)) for name, source in re.findall(r"([^|~]+)~(\d+)", part)])
    try:
        return from_edges(nodes)
    except RecordError as error:
        raise RecordError(f"{shown(text)} {error}") from None


def from_edges(nodes: Sequence[Sequence[tuple[Any, Any]]]) -> Cell:
    """Return the cell of three nodes whose edges are (operation, state), as in AutoDL-Projects' Structure.

    Raises RecordError where an edge is missing, or its operation is unknown.
    """
    sources = [[source for _, source in edges] for edges in nodes]
    if sources != [[0], [0, 1], [0, 1, 2]] or any(type(each) is not int for read in sources for each in read):
        raise RecordError(f"is not a NAS-Bench-201 cell: write {FORM} (its nodes read the states {sources})")
    for node, edges in enumerate(nodes, 1):
        for name, _ in edges:
            if name not in OPERATIONS:
                raise RecordError(f"has at node {node} an operation {name!r}: {nearest(str(name), OPERATIONS)}")
    return _cell([[OPERATIONS[name] for name, _ in edges] for edges in nodes])


def to_string(cell: Cell) -> str:
    """Return a cell in the benchmark's notation. Raises RecordError where an operation has no name there."""
    for operation in (edge.operation for edges in cell.nodes for edge in edges):
        if operation not in _NAMES:
            raise RecordError(
                f"the cell has the operation {notation(operation)}, and NAS-Bench-201 only {', '.join(OPERATIONS)}"
            )
    parts = ["".join(f"|{_NAMES[edge.operation]}~{edge.source}" for edge in edges) + "|" for edges in cell.nodes]
    return "+".join(parts)


def canonical(cell: Cell) -> str:
    """Return a text that is the same for cells that compute the same function: 4,930 of the 15,625 differ.

    A skip is its input, a zero is left out of a sum, and a sum has no order. The released code (`to_unique_str` of
    AutoDL-Projects) keeps zeros as terms, and so counts 6,466.
    """
    states = [["in"]]
    for edges in cell.nodes:
        states.append(sorted(term for edge in edges for term in _terms(edge.operation, states[edge.source])))
    return "+".join(states[-1])


def _terms(operation: Node, state: list[str]) -> list[str]:
    """Return the terms that an edge adds to a sum, none for zeros."""
    if not state or isinstance(operation, Zero):
        return []
    return state if isinstance(operation, Skip) else [f"{_NAMES[operation]}({'+'.join(state)})"]


def network(cell: Cell, channels: Positive = 16, cells_per_stage: Positive = 5, classes: Positive = 10) -> Network:
    """Stack a cell as the benchmark does: three stages with residual blocks of stride 2 between them."""
    stages = [Stage(cell, cells_per_stage, channels)]
    for width in (2 * channels, 4 * channels):
        shortcut = Chain((Stage(AvgPool(2), channels=width // 2), Conv(1, activation="none", norm=False)))
        stages.append(Stage(Residual(Chain((Conv(3), Conv(3))), shortcut), 1, width, stride=2))
        stages.append(Stage(cell, cells_per_stage, width))
    stem = Stage(Conv(3, activation="none"), channels=channels)
    return Network(stem, tuple(stages), Classifier(classes, norm=True, relu=True))


_ALL_CONV = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"

family = Family(
    source="Dong and Yang 2020, arXiv:2001.00326",
    space=nasbench201,
    network=network,
    describe=to_string,
    parse=from_string,
    canonical=canonical,
    published={
        "all_conv_3x3": from_string(_ALL_CONV),
        "all_skip": from_string(re.sub("nor_conv_3x3", "skip_connect", _ALL_CONV)),
        "resnet": from_string("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"),
    },
)
