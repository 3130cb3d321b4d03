"""Hierarchical representations: a cell whose edges carry motifs, which are small cells whose edges carry primitives.

Source: Liu et al. 2018, arXiv:1711.00436, sections 2 and 4.1. Each edge of a motif (level 2) has one of six primitives or
none, each edge of the cell (level 3) one of the motifs or none; a motif may be on several edges. The paper has six motifs of
four nodes and a cell of five. Deviation: the paper merges the inputs of a node by concatenation, every cell of this project
by addition. The code was not released, and the cells found are printed as drawings only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from nas.building import Node
from nas.cell_text import GraphText, describe_nodes, parse_graphs
from nas.family import Family
from nas.layers.conv import ConvNormAct
from nas.operations.pooling import AvgPool, MaxPool
from nas.operations.skip import Skip, Zero
from nas.records import Positive, RecordError, nearest
from nas.space import one_of
from nas.topology.cell import Cell, Edge
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.hierarchy import Hierarchy, Motif
from nas.topology.network import Network

_DEPTHWISE = ConvNormAct(3, groups="depthwise", norm="none", activation=None, bias=False)

NAMES: dict[str, Node] = {
    "conv1": ConvNormAct(1),
    "dw3": ConvNormAct(3, groups="depthwise"),
    "sep3": Chain((_DEPTHWISE, ConvNormAct(1))),
    "max3": MaxPool(3),
    "avg3": AvgPool(3),
    "skip": Skip(),
    "none": Zero(),
}
"""The six primitives, with batch norm and ReLU after each convolution; `none` is no edge."""

_NAMES = {operation: name for name, operation in NAMES.items()}


def graph(edges: Sequence[Node], nodes: int) -> Cell:
    """Return the graph of `nodes` nodes, input included, with edges in the order 0-1, 0-2, 1-2, 0-3 and so on."""
    if len(edges) != nodes * (nodes - 1) // 2:
        raise RecordError(f"{len(edges)} edges are given for {nodes} nodes: give {nodes * (nodes - 1) // 2}")
    rest = iter(edges)
    # State 0 is the input; the output is the last node alone.
    with_edges = tuple(tuple(Edge(source, next(rest)) for source in range(node)) for node in range(1, nodes))
    return Cell(with_edges, concat=(nodes - 1,), reads=1, preprocess="never")


def hierarchical(
    primitives: Sequence[str] = tuple(NAMES), motifs: int = 3, motif_nodes: int = 3, cell_nodes: int = 4
) -> Hierarchy:
    """Return the space: the operation on each edge of the motifs, and the motif on each edge of the cell, are open."""
    for i, name in enumerate(primitives):
        if name not in NAMES:
            raise RecordError(f"primitives[{i}] is {name!r}: {nearest(name, NAMES)}", f"primitives[{i}]")

    def open_graph(name: str, nodes: int, options: Sequence[Node]) -> Cell:
        edges = ((source, node) for node in range(1, nodes) for source in range(node))
        return graph([one_of(f"{name}/{source}-{node}", options) for source, node in edges], nodes)

    chosen = [NAMES[name] for name in primitives]
    level2 = tuple(open_graph(f"motif{i}", motif_nodes, chosen) for i in range(motifs))
    return Hierarchy(level2, open_graph("cell", cell_nodes, [*map(Motif, range(motifs)), NAMES["none"]]))


def describe(hierarchy: Hierarchy) -> str:
    """Return the motifs and the cell as short text: a node's edges in parentheses, each with the state that it reads."""
    names = _NAMES | {Motif(i): f"motif{i}" for i in range(len(hierarchy.motifs))}
    cells: Any = (*hierarchy.motifs, hierarchy.body)
    graphs = zip([*(f"motif{i}" for i in range(len(hierarchy.motifs))), "cell"], cells, strict=True)
    return "  ".join(f"{name}: {describe_nodes(made, names)}" for name, made in graphs)


def parse(text: str) -> Hierarchy:
    """Return the hierarchy of a text by `describe`."""
    motifs = dict.fromkeys(re.findall(r"motif\d+", text))
    graphs = parse_graphs(text, {**NAMES, **{name: Motif(int(name[5:])) for name in motifs}}, r"motif\d+|cell")
    expected = [*(f"motif{i}" for i in range(len(graphs) - 1)), "cell"]
    if list(graphs) != expected:
        raise RecordError(f"the text has {', '.join(graphs)}: give {', '.join(expected)}, in this order")
    *level2, body = (_of_text(graph) for graph in graphs.values())
    return Hierarchy(tuple(level2), body)


def _of_text(read: GraphText) -> Cell:
    return Cell(read.nodes, concat=(len(read.nodes),), reads=1, preprocess="never")


def network(
    hierarchy: Hierarchy, channels: Positive = 16, cells_per_stage: Positive = 1, classes: Positive = 10
) -> Network:
    """Stack the cell in three stages with a separable convolution after each; two of them halve the size and double the width."""
    stages: list[Node] = []
    for width, stride in ((channels * 2, 2), (channels * 4, 2), (channels * 4, 1)):
        stages += [Stage(hierarchy, cells_per_stage), Stage(NAMES["sep3"], 1, width, stride)]
    return Network(ConvNormAct(3, channels), tuple(stages), Classifier(classes))


family = Family("Liu et al. 2018, arXiv:1711.00436", hierarchical, network, describe, parse=parse)
