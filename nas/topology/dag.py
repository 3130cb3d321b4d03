"""Free graph: a directed acyclic graph of operations, any edge of which may be there or not."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Literal, final

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Site
from nas.choice import Choice, SpaceError, choices, is_open
from nas.layers.conv import ConvNormAct
from nas.records import record


@record
class Dag(Node):
    """Put an operation on each inner vertex of a free graph: a vertex adds what it reads, the output concatenates it.

    Vertex 0 is the input and the last one the output. `edges` is the upper triangle of the adjacency matrix: row i says of each
    later vertex whether it reads vertex i. The input is read through a `projection` of its own for each reader; the output adds
    its own to the concatenation. The output's width is shared equally among the vertices that it reads, and the first ones
    take the remainder. Every other vertex is as wide as its widest reader; a narrower one reads its first channels. Vertices on
    no path from the input to the output are left out. Source: NAS-Bench-101, Ying et al. 2019, arXiv:1902.09635, section 2.2,
    and the released code (`model_builder.py`).
    """

    operations: tuple[Node, ...]
    edges: tuple[tuple[Literal[0, 1], ...], ...]
    projection: Node = ConvNormAct(1)

    def __post_init__(self) -> None:
        if isinstance(self.operations, Choice) or isinstance(self.edges, Choice):
            return
        lengths = [None if isinstance(row, Choice) else len(row) for row in self.edges]
        expected = list(range(len(self.operations) + 1, 0, -1))
        if len(lengths) != len(expected) or any(a not in (None, b) for a, b in zip(lengths, expected, strict=True)):
            raise BuildError(
                f"the graph has {len(self.operations)} operations, and rows of {lengths} edges: give rows of {expected}"
            )

    def build(self, site: Site) -> nn.Module:
        graph, shape = self.pruned(), self.shape(site)
        widths = graph.widths(site.channels)
        operations = []
        for node, width in zip(graph.operations, widths[:-1], strict=True):
            inner = site.put((width, *shape[1:]), width)
            if inner.output(node) != inner.shape:
                raise BuildError(
                    f"an operation of the graph changes the shape from {inner.shape} to {inner.output(node)} (C, H, W): give "
                    "one that keeps it"
                )
            operations.append(inner.build(node))
        readers = [vertex for vertex, reads in enumerate(graph.edges[0]) if reads]
        projections = [site.put(site.shape, widths[each], site.stride).build(self.projection) for each in readers]
        sources = [graph.sources(vertex) for vertex in range(len(widths))]
        return DagModule(operations, projections, readers, sources, widths)

    def edge(self, source: int, target: int) -> int:
        """Return 1 where vertex `target` reads vertex `source`, else 0."""
        return self.edges[source][target - source - 1]

    def sources(self, reader: int) -> list[int]:
        """Return the inner vertices that an inner vertex or the output reads, all counted from the first inner vertex."""
        return [source for source in range(reader) if self.edge(source + 1, reader + 1)]

    def pruned(self) -> Dag:
        """Return the graph without the vertices that are on no path from the input to the output.

        Raises BuildError where there is no path, and SpaceError where an edge is open.
        """
        if is_open(self.edges):
            raise SpaceError(
                f"choice {next(iter(choices(self.edges)))!r} does not relax: it is an edge of a free graph, whose widths depend "
                "on all edges; resolve it first, or search it by evolution"
            )
        output = len(self.edges)
        reached, used = {0}, {output}
        for vertex in range(1, output + 1):
            if any(self.edge(source, vertex) for source in reached):
                reached.add(vertex)
        for vertex in range(output - 1, -1, -1):
            if any(self.edge(vertex, target) for target in used):
                used.add(vertex)
        kept = sorted(reached & used)
        if not kept:
            raise BuildError("the graph has no path from its input to its output: give it an edge to the output")
        rows = tuple(
            tuple(self.edges[source][target - source - 1] for target in kept[i + 1 :])
            for i, source in enumerate(kept[:-1])
        )
        return Dag(tuple(self.operations[vertex - 1] for vertex in kept[1:-1]), rows, self.projection)

    def widths(self, channels: int) -> list[int]:
        """Return the widths of the inner vertices of a pruned graph, and of its output, the last.

        Raises BuildError where the output has fewer channels than vertices to read.
        """
        output = len(self.operations)
        joined = self.sources(output)
        if len(joined) > channels:
            raise BuildError(f"{channels} channels cannot be shared among {len(joined)} vertices: give more channels")
        widths = [0] * output + [channels]
        for i, vertex in enumerate(joined):
            widths[vertex] = channels // len(joined) + (i < channels % len(joined))
        for vertex in reversed(range(output)):
            if vertex not in joined:
                widths[vertex] = max(
                    widths[reader] for reader in range(vertex + 1, output) if vertex in self.sources(reader)
                )
        return widths


@final
class DagModule(nn.Module):
    """The graph: `sources` are the inner vertices that each inner vertex reads, and last the output; `widths` their widths.

    `readers` are those that read the input, each through one of the `projections`.
    """

    def __init__(
        self,
        operations: list[nn.Module],
        projections: list[nn.Module],
        readers: list[int],
        sources: list[list[int]],
        widths: list[int],
    ) -> None:
        super().__init__()
        self.operations = nn.ModuleList(operations)
        self.projections = nn.ModuleList(projections)
        self.readers, self.sources, self.widths = readers, sources, widths

    def forward(self, x: Tensor) -> Tensor:
        states: list[Tensor] = []
        for vertex, operation in enumerate(self.operations):
            read = [states[source][:, : self.widths[vertex]] for source in self.sources[vertex]]
            states.append(operation(reduce(add, read + self._projected(x, vertex))))
        joined = [states[source] for source in self.sources[-1]]
        output = [torch.cat(joined, 1)] if joined else []
        return reduce(add, output + self._projected(x, len(states)))

    def _projected(self, x: Tensor, reader: int) -> list[Tensor]:
        return [self.projections[self.readers.index(reader)](x)] if reader in self.readers else []
