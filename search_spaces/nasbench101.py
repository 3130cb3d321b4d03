"""NAS-Bench-101: a cell is a free graph of at most seven vertices and nine edges; 423,624 cells, all trained and published.

Source: Ying et al. 2019, arXiv:1902.09635, section 2; the networks as in the released code (google-research/nasbench). The paper
counts 2^21 graphs with 3^5 labels, and so do we: 509,607,936. As there, vertices on no path from the input to the output are
left out, and a cell that then has more than nine edges, or no path, has no network.
"""

from __future__ import annotations

import re
from hashlib import md5
from itertools import accumulate, pairwise
from typing import Literal

from nas.building import BuildError, Node
from nas.choice import is_open
from nas.family import Family, OtherForm
from nas.fields import shown
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import notation
from nas.operations.pooling import MaxPool
from nas.records import Positive, RecordError, nearest
from nas.space import one_of
from nas.topology.chain import Stage
from nas.topology.dag import Dag
from nas.topology.heads import Classifier
from nas.topology.network import Network

OPERATIONS: dict[str, Node] = {"conv3x3": ConvNormAct(3), "conv1x1": ConvNormAct(1), "maxpool3x3": MaxPool(3)}
"""In the benchmark's order, by which its hash numbers them."""

_NAMES = {operation: name for name, operation in OPERATIONS.items()}

VERTICES = 7
"""The most vertices of a cell, its input and output included."""

EDGES = 9
"""The most edges of a cell."""

FORM = "the upper triangle of the adjacency matrix and the operations, as 111:conv3x3"

_EDGE: tuple[Literal[0, 1], ...] = (0, 1)


def nasbench101() -> Dag:
    """Return the space: each edge and the operation of each inner vertex are open."""
    operations = tuple(one_of(f"op{vertex}", OPERATIONS.values()) for vertex in range(1, VERTICES - 1))
    targets = [(source, range(source + 1, VERTICES)) for source in range(VERTICES - 1)]
    return Dag(operations, tuple(tuple(one_of(f"{source}-{each}", _EDGE) for each in row) for source, row in targets))


def from_string(text: str) -> Dag:
    """Return the cell of a text: the upper triangle of its adjacency matrix, row by row, a colon, and its operations.

    `111:conv3x3` has three vertices and all edges; several operations are separated by commas. A cell of fewer than seven
    vertices gets further ones without edges before its output, so that it is a member of the space. Raises OtherForm where
    the text is not in this notation, and RecordError where it is damaged.
    """
    match = re.fullmatch(r"([01]+):([\w\s,+|-]*)", text.strip())
    if match is None:
        raise OtherForm(f"{shown(text)} is not a NAS-Bench-101 cell: write {FORM}")
    names = [name.removesuffix("-bn-relu") for name in re.findall(r"[\w-]+", match[2])]
    vertices = len(names) + 2
    if vertices > VERTICES or len(match[1]) != vertices * (vertices - 1) // 2:
        raise RecordError(
            f"{shown(text)} is not a NAS-Bench-101 cell: it has {len(names)} operations and {len(match[1])} edges; write {FORM}, "
            f"with at most {VERTICES - 2} operations"
        )
    for name in names:
        if name not in OPERATIONS:
            raise RecordError(f"{shown(text)} has an operation {name!r}: {nearest(name, OPERATIONS)}")
    ends = list(accumulate(range(vertices - 1, 0, -1), initial=0))
    rows = [match[1][start:end] for start, end in pairwise(ends)]
    return _cell(names, rows)


def _cell(names: list[str], rows: list[str]) -> Dag:
    """Return the cell of seven vertices with these operations and rows of its adjacency matrix, of at most seven vertices."""
    more = VERTICES - 2 - len(names)
    filled = [row[:-1] + "0" * more + row[-1] for row in rows] + ["0" * length for length in range(more, 0, -1)]
    operations = tuple(OPERATIONS[name] for name in names + ["conv3x3"] * more)
    return Dag(operations, tuple(tuple(_EDGE[int(digit)] for digit in row) for row in filled))


def describe(cell: Dag) -> str:
    """Return a cell as text that `from_string` reads, without the last vertices that it adds.

    Raises RecordError where the cell is of another space.
    """
    for operation in cell.operations:
        if operation not in _NAMES:
            raise RecordError(
                f"the cell has the operation {notation(operation)}, and NAS-Bench-101 only {', '.join(OPERATIONS)}"
            )
    names = [_NAMES[operation] for operation in cell.operations]
    rows = ["".join(map(str, row)) for row in cell.edges]
    # a last vertex without edges: its row is empty, and its column, the last but one, too
    while names and names[-1] == "conv3x3" and rows[-1] == "0" and not any(int(row[-2]) for row in rows[:-1]):
        names.pop()
        rows = [row[:-2] + row[-1] for row in rows[:-1]]
    return f"{''.join(rows)}:{','.join(names)}"


def canonical(cell: Dag) -> str:
    """Return the benchmark's hash of a cell, which is the same for isomorphic graphs; 423,624 of those with a network differ.

    The hash is that of the released code (`hash_module` of graph_util.py): each vertex is hashed with its neighbours' hashes, as
    often as there are vertices. Ying et al. checked that it tells all graphs of the space apart.
    """
    try:
        graph = cell.pruned()
    except BuildError:
        return "no path"
    numbers = list(OPERATIONS)
    labels = [-1, *(numbers.index(_NAMES[operation]) for operation in graph.operations), -2]
    vertices = range(len(labels))
    read = [[source for source in range(vertex) if graph.edge(source, vertex)] for vertex in vertices]
    readers = [[target for target in vertices if vertex in read[target]] for vertex in vertices]
    hashes = [_hash(str((len(readers[vertex]), len(read[vertex]), labels[vertex]))) for vertex in vertices]
    for _ in vertices:
        hashes = [
            _hash(f"{_joined(hashes, read[vertex])}|{_joined(hashes, readers[vertex])}|{hashes[vertex]}")
            for vertex in vertices
        ]
    return _hash(str(sorted(hashes)))


def _joined(hashes: list[str], vertices: list[int]) -> str:
    return "".join(sorted(hashes[vertex] for vertex in vertices))


def _hash(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def network(cell: Dag, channels: Positive = 128, cells_per_stage: Positive = 3, classes: Positive = 10) -> Network:
    """Stack a cell as the benchmark does: three stages, with max pooling between them and double the width after it.

    Raises BuildError where the cell has more than nine edges.
    """
    if not is_open(cell.edges) and (edges := sum(map(sum, cell.pruned().edges))) > EDGES:
        raise BuildError(f"the cell has {edges} edges, and those of NAS-Bench-101 have at most {EDGES}: leave some out")
    stages: list[Node] = [Stage(cell, cells_per_stage, channels)]
    for width in (2 * channels, 4 * channels):
        stages += [Pool(2, 2, 0, ceil=True), Stage(cell, cells_per_stage, width)]
    return Network(ConvNormAct(3, channels), tuple(stages), Classifier(classes))


_INCEPTION = "111010" + "00001" + "0001" + "100" + "01" + "1"

family = Family(
    source="Ying et al. 2019, arXiv:1902.09635",
    space=nasbench101,
    network=network,
    describe=describe,
    parse=from_string,
    canonical=canonical,
    published={"inception": from_string(f"{_INCEPTION}:conv1x1,conv3x3,conv3x3,conv3x3,maxpool3x3")},
)
