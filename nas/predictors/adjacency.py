"""The edges of an architecture's cells as features."""

from __future__ import annotations

from typing import Any

from nas.predictors.cells import cells_of, operation_of, outside_of_cells
from nas.predictors.encoding import Encoding
from nas.records import record


@record
class Adjacency(Encoding):
    """One feature for each edge of a cell: where it begins, where it ends, and its operation.

    Decisions outside cells are features too, in any space.
    """

    def features(self, space: Any, architecture: Any) -> frozenset[str]:
        found = {
            f"{place}{edge.source}-{target}:{operation_of(edge)}"
            for place, cell in cells_of(architecture)
            for target, edges in enumerate(cell.nodes, cell.reads)
            for edge in edges
        }
        return frozenset(found) | outside_of_cells(space, architecture)
