"""Random wiring: a random graph, drawn from a seed, decides which nodes read which."""

from __future__ import annotations

from functools import reduce
from operator import add
from random import Random
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.records import Fraction, Natural, Positive, Range, record

Edges = frozenset[tuple[int, int]]


@record
class Wired(Node):
    """Put one operation on every node of a random graph; a node adds its inputs with positive learned weights.

    Nodes without an edge into them read the input, with the stride; the outputs that no node reads are averaged. A node with
    one input has no weight: a norm after it would cancel it. Graphs: "ws" (Watts-Strogatz: a ring of `degree` neighbours, an
    even number, each edge rewired with `probability`), "er" (Erdos-Renyi: each edge with `probability`), "ba"
    (Barabasi-Albert: each new node joins `degree` others, with likelihood proportional to their edges). Source: Xie et al.
    2019, arXiv:1904.01569, section 3.
    """

    repeating = frozenset(("nodes",))

    operation: Node
    nodes: Annotated[int, Range(1, 1000)] = 32
    graph: Literal["ws", "er", "ba"] = "ws"
    degree: Positive = 4
    probability: Fraction = 0.75
    seed: Natural = 0

    def __post_init__(self) -> None:
        is_set = all(isinstance(each, int) for each in (self.nodes, self.degree))
        if self.graph != "er" and is_set and self.degree >= self.nodes:
            raise BuildError(f"{self.nodes} nodes cannot have {self.degree} neighbours each: give fewer, or more nodes")
        if self.graph == "ws" and is_set and self.degree % 2:
            raise BuildError(
                f"the degree is {self.degree}, and a ring has half of its neighbours on each side: give an even degree"
            )

    def build(self, site: Site) -> nn.Module:
        edges = self.edges()
        sources = [sorted(i for i, j in edges if j == node) for node in range(self.nodes)]
        unread = [node for node in range(self.nodes) if all(i != node for i, _ in edges)]
        inner = site.put(self.shape(site))
        if inner.output(self.operation) != inner.shape:
            raise BuildError(
                f"the operation of a graph changes the shape from {inner.shape} to {inner.output(self.operation)} (C, H, W): "
                "give one that keeps it"
            )
        operations = [(inner if read else site).build(self.operation) for read in sources]
        return _Graph(operations, sources, unread)

    def shape(self, site: Site) -> Shape:
        return site.output(self.operation)

    def edges(self) -> Edges:
        """Draw a connected graph; edges go from lower to higher nodes. Raises BuildError where 100 draws are disconnected."""
        rng = Random(f"{self.graph}/{self.seed}")
        for _ in range(100):
            drawn = {"ws": self._watts_strogatz, "er": self._erdos_renyi, "ba": self._barabasi_albert}[self.graph](rng)
            edges = frozenset((min(edge), max(edge)) for edge in drawn)
            if _is_connected(edges, self.nodes):
                return edges
        raise BuildError(f"{self} is disconnected in 100 draws: raise the probability or the degree")

    def _watts_strogatz(self, rng: Random) -> set[tuple[int, int]]:
        # Edges of the ring to the next degree / 2 nodes; each is then moved with `probability` to a node not yet joined.
        ring = [
            (node, (node + step) % self.nodes) for step in range(1, self.degree // 2 + 1) for node in range(self.nodes)
        ]
        edges = set(ring)
        for node, other in ring:
            free = [each for each in range(self.nodes) if not {(node, each), (each, node)} & edges and each != node]
            if rng.random() < self.probability and free:
                edges.remove((node, other))
                edges.add((node, rng.choice(free)))
        return edges

    def _erdos_renyi(self, rng: Random) -> set[tuple[int, int]]:
        pairs = ((i, j) for j in range(self.nodes) for i in range(j))
        return {pair for pair in pairs if rng.random() < self.probability}

    def _barabasi_albert(self, rng: Random) -> set[tuple[int, int]]:
        edges: set[tuple[int, int]] = set()
        # Every node as often as it has edges: a uniform draw from it prefers nodes with many edges.
        ends: list[int] = []
        for node in range(self.degree, self.nodes):
            # The first new node joins all of the initial nodes, which have no edges to draw from.
            joined = set() if ends else set(range(self.degree))
            while len(joined) < self.degree:
                joined.add(rng.choice(ends))
            edges |= {(other, node) for other in joined}
            ends += [*sorted(joined), *[node] * self.degree]
        return edges


def _is_connected(edges: Edges, nodes: int) -> bool:
    # Flood fill from node 0.
    reached, fresh = {0}, {0}
    while fresh:
        fresh = {other for pair in edges for other in pair if set(pair) & fresh} - reached
        reached |= fresh
    return len(reached) == nodes


class _Graph(nn.Module):
    def __init__(self, operations: list[nn.Module], sources: list[list[int]], unread: list[int]) -> None:
        super().__init__()
        self.operations = nn.ModuleList(operations)
        self.sources, self.unread = sources, unread
        self.strengths = nn.ParameterList(torch.zeros(len(read)) for read in sources if len(read) > 1)

    def forward(self, x: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        strengths = iter(self.strengths)
        for operation, read in zip(self.operations, self.sources, strict=True):
            inputs = [outputs[i] for i in read]
            if len(inputs) > 1:
                weights = next(strengths).sigmoid()  # positive, and 0.5 at the start
                inputs = [each * weight for each, weight in zip(inputs, weights.unbind(), strict=True)]
            outputs.append(operation(reduce(add, inputs) if inputs else x))
        return reduce(add, [outputs[i] for i in self.unread]) / len(self.unread)
