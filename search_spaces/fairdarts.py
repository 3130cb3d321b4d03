"""FairDARTS: the cells of DARTS with any number of operations on an edge.

Source: Chu et al. 2020, arXiv:1911.12126, section 4: every operation above a threshold is kept, with at most two edges for each
node. Here each node has two edges, of which each takes any of the seven operations, or none: all that it takes are added.
"""

from __future__ import annotations

from nas.family import Family
from nas.notation import notation
from nas.operations.skip import Zero
from nas.space import one_of, some_of
from nas.topology.branches import Branches
from nas.topology.cell import Cell, Cells, Edge
from search_spaces.darts import NAMES, network

EDGE = ("max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5")
"""The operations of an edge, by their names in genotypes."""


def cell(name: str) -> Cell:
    """Return an open cell: each of four nodes keeps two of the edges from the states before it."""

    def edge(source: int, node: int) -> Edge:
        taken = (one_of(f"{name}/{source}-{node}/{key}", [Zero(), NAMES[key]]) for key in EDGE)
        return Edge(source, Branches(tuple(taken), "add"))

    nodes = (some_of(f"{name}/{node}", 2, [edge(source, node) for source in range(node)]) for node in range(2, 6))
    return Cell(tuple(nodes), concat=(2, 3, 4, 5))


def fairdarts() -> Cells:
    """Return the space: a normal and a reduction cell."""
    return Cells(cell("normal"), cell("reduction"))


family = Family("Chu et al. 2020, arXiv:1911.12126", fairdarts, network, notation)
