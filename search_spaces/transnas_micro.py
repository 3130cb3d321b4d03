"""TransNAS-Bench-101, micro: the cell of NAS-Bench-201 with four operations, also where the map is halved; 4,096 networks.

Source: Duan et al. 2021, arXiv:2105.11871, section 3; the networks as in the released code (yawen-d/TransNASBench), for the tasks
of classification: five modules of two cells, of which the first, third and fifth halve the map and double its width. The
parameters of the cell of all 3x3 convolutions are also those of another port of that code.
"""

from __future__ import annotations

import re

from nas.building import Node
from nas.family import Family, OtherForm
from nas.fields import shown
from nas.notation import notation
from nas.operations.conv import Conv
from nas.operations.skip import Skip, Zero
from nas.records import Positive, RecordError
from nas.space import one_of
from nas.topology.backbone import Backbone
from nas.topology.cell import Cell, Edge
from nas.topology.chain import Stage
from nas.topology.network import Network
from search_spaces import transnas_macro

OPERATIONS: tuple[Node, ...] = (Zero(), Skip(), Conv(1), Conv(3))
"""In the benchmark's order, so that a decision is a digit of its notation. A skip that halves the map has weights."""

MACRO = "64-41414"
"""The benchmark's notation of the modules around the cells."""


def transnas_micro() -> Cell:
    """Return the space: each of three nodes reads every state before it, and the operation of each edge is open."""
    return _cell([[one_of(f"{source}-{node}", OPERATIONS) for source in range(node)] for node in (1, 2, 3)])


def _cell(operations: list[list[Node]]) -> Cell:
    nodes = tuple(tuple(Edge(source, each) for source, each in enumerate(edges)) for edges in operations)
    return Cell(nodes, concat=(3,), reads=1, preprocess="never")


def from_string(text: str) -> Cell:
    """Return the cell of a text such as 64-41414-1_02_333: a digit for each edge, node by node.

    0 is no edge, 1 a skip, 2 a 1x1 and 3 a 3x3 convolution. Raises OtherForm where the text is anything else.
    """
    match = re.fullmatch(rf"{MACRO}-([0-3])_([0-3]{{2}})_([0-3]{{3}})", text.strip())
    if match is None:
        raise OtherForm(
            f"{shown(text)} is no cell of TransNAS-Bench-101: write {MACRO}-1_02_333, with digits from 0 to 3"
        )
    return _cell([[OPERATIONS[int(digit)] for digit in node] for node in match.groups()])


def to_string(cell: Cell) -> str:
    """Return a cell in the benchmark's notation, as 64-41414-1_02_333. Raises RecordError where it is of another space."""
    for operation in (edge.operation for edges in cell.nodes for edge in edges):
        if operation not in OPERATIONS:
            known = ", ".join(map(notation, OPERATIONS))
            raise RecordError(f"the cell has the operation {notation(operation)}, and TransNAS-Bench-101 only {known}")
    digits = ("".join(str(OPERATIONS.index(edge.operation)) for edge in edges) for edges in cell.nodes)
    return f"{MACRO}-{'_'.join(digits)}"


def network(cell: Cell, classes: Positive = 75, cells_per_stage: Positive = 2) -> Network:
    """Stack a cell as the benchmark does: five modules, of which the first, third and fifth halve the map."""
    return transnas_macro.network(Backbone(Stage(cell, cells_per_stage), 5, (0, 2, 4), (0, 2, 4)), classes)


family = Family(
    source="Duan et al. 2021, arXiv:2105.11871",
    space=transnas_micro,
    network=network,
    describe=to_string,
    parse=from_string,
    published={
        "all_conv_3x3": from_string("64-41414-3_33_333"),
    },
    input=(3, 256, 256),
)
