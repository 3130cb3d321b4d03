"""Graphs: sketches of cells, motifs, free and wired graphs as states and the links between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from nas.building import BuildError
from nas.choice import Choice, is_open
from nas.drawing.sketch import Graph, Link, Sketch
from nas.drawing.words import kind_of, value_of
from nas.topology.cell import Cell, Edge
from nas.topology.dag import Dag
from nas.topology.wired import Wired

Make = Callable[[Any], Sketch]


def is_graph(node: Any) -> bool:
    """Return whether a node is drawn as a graph: a cell, a free graph, or a wired one without open choices in its wiring."""
    if isinstance(node, Cell):
        return isinstance(node.nodes, tuple)
    if isinstance(node, Dag):
        return not any(isinstance(each, Choice) for each in (node.operations, node.edges, *node.edges))
    return isinstance(node, Wired) and not any(is_open(each) for each in _drawn_from(node))


def _drawn_from(wired: Wired) -> tuple[Any, ...]:
    return wired.nodes, wired.graph, wired.degree, wired.probability, wired.seed


def sketch_graph(node: Any, make: Make) -> Graph:
    """Return the sketch of a cell, a free or a wired graph; `make` sketches the operations of a cell."""
    if isinstance(node, Cell):
        return _sketch_cell(node, make)
    return _sketch_dag(_drawn(node)) if isinstance(node, Dag) else _sketch_wired(node)


def _sketch_cell(cell: Cell, make: Make) -> Graph:
    # the outputs of the two cells before this one are called k-2 and k-1, as in DARTS
    states: tuple[str, ...] = ("in",) if cell.reads == 1 else ("k-2", "k-1")
    states += tuple(str(cell.reads + i) for i in range(len(cell.nodes)))
    links = [_link(edge, cell.reads + i, make) for i, edges in enumerate(cell.nodes) for edge in _edges(edges)]
    notes = ("",) * cell.reads + tuple(
        f"{edges.k} of {len(edges.options)}" if isinstance(edges, Choice) and edges.k is not None else ""
        for edges in cell.nodes
    )
    concat: Any = cell.concat
    outputs = tuple(range(cell.reads, len(states))) if isinstance(concat, Choice) else cell.concatenated()
    output = "out" if len(outputs) == 1 else "concat"
    return Graph(states, cell.reads, tuple(links), output, outputs, notes)


def _edges(edges: Any) -> Iterator[Edge]:
    """Yield the edges of a cell's node, all options of open choices included."""
    if isinstance(edges, Edge):
        yield edges
        return
    for each in edges.options if isinstance(edges, Choice) else edges:
        yield from _edges(each)


def _link(edge: Edge, target: int, make: Make) -> Link:
    source: Any = edge.source
    sources = tuple(source.options) if isinstance(source, Choice) else (source,)
    return Link(sources, target, make(edge.operation), is_open(edge))


def _drawn(graph: Dag) -> Dag:
    """Return a free graph as it is built, without unused vertices; an open one, or one without a path, as it is declared."""
    try:
        return graph if is_open(graph.edges) else graph.pruned()
    except BuildError:
        return graph


def _sketch_dag(graph: Dag) -> Graph:
    output = len(graph.edges)
    # state 0 is the input, and each other state an operation
    pairs = [(source, source + i + 1, edge) for source, row in enumerate(graph.edges) for i, edge in enumerate(row)]
    present = [(source, target, is_open(edge)) for source, target, edge in pairs if edge]
    links = tuple(
        Link((source,), target, is_open=undecided) for source, target, undecided in present if target < output
    )
    outputs = tuple(source for source, target, _ in present if target == output)
    states = ("in", *map(value_of, graph.operations))
    kinds = ("state", *("open" if is_open(each) else kind_of(each) for each in graph.operations))
    return Graph(states, 1, links, "concat" if len(outputs) > 1 else "out", outputs, kinds=kinds)


def _sketch_wired(wired: Wired) -> Graph:
    edges = sorted(wired.edges(), key=lambda edge: (edge[1], edge[0]))
    # state 0 is the input, and node n is state n + 1: a node without an edge reads the input, one that no node reads is an output
    targets, sources = {target for _, target in edges}, {source for source, _ in edges}
    links = [Link((0,), node + 1) for node in range(wired.nodes) if node not in targets]
    links += [Link((source + 1,), target + 1) for source, target in edges]
    states = ("in", *(str(node) for node in range(wired.nodes)))
    unread = tuple(node + 1 for node in range(wired.nodes) if node not in sources)
    kinds = ("state", *(kind_of(wired.operation),) * wired.nodes)
    return Graph(states, 1, tuple(links), "mean", unread, kinds=kinds)


def described(wired: Wired) -> str:
    """Return a wired graph in words: its nodes, their operation, and the random graph model and seed."""
    graph = {"ws": "Watts-Strogatz", "er": "Erdos-Renyi", "ba": "Barabasi-Albert"}[wired.graph]
    return f"{wired.nodes} nodes, each {value_of(wired.operation)}; {graph}, seed {wired.seed}"
