"""The paths through an architecture's cells as features: White et al. 2021, arXiv:1910.11858, section 4.1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nas.predictors.cells import cells_of, operation_of, outside_of_cells
from nas.predictors.encoding import STEP, Encoding
from nas.records import Positive, record

if TYPE_CHECKING:
    from nas.topology.cell import Cell

MOST_OF_A_CELL = 2000
"""The most paths that are followed to one node of a cell, the shortest first: a dense cell of n nodes has 2^n."""


@record
class Paths(Encoding):
    """One feature for each sequence of operations from an input of a cell to its output.

    With `most` the encoding is truncated: of the features that known architectures have, those with the fewest operations
    alone. BANANAS' code has the 30 shortest. Decisions outside cells are features too, in any
    space.
    """

    most: Positive | None = None

    def features(self, space: Any, architecture: Any) -> frozenset[str]:
        found = (path for place, cell in cells_of(architecture) for path in _paths(place, cell))
        return frozenset(found) | outside_of_cells(space, architecture)

    def vocabulary(self, known: Iterable[frozenset[str]]) -> Mapping[str, int]:
        return dict(list(super().vocabulary(known).items())[: self.most])


def _paths(place: str, cell: Cell) -> list[str]:
    """Return the paths of a cell, as texts."""
    reached = [[f"{place}{state}"] for state in range(cell.reads)]
    for edges in cell.nodes:
        steps = [f"{before}{STEP}{operation_of(edge)}" for edge in edges for before in reached[edge.source]]
        reached.append(sorted(steps, key=lambda path: path.count(STEP))[:MOST_OF_A_CELL])
    return [path for state in cell.concatenated() for path in reached[state]]
