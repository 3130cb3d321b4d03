"""Hyperband: brackets of successive halving that begin with many short trainings, or with few long ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

from nas.records import record
from nas.strategies.brackets import Halving, Shape


@record
class Hyperband(Halving):
    """Run brackets of halving in turn: the first begins at the first of `epochs`, each next one a rung higher.

    With k rungs, the bracket that has s more rungs above its first takes floor(k / (s + 1)) * `eta` ** s proposals, so that
    all brackets cost about the same. The paper (Li et al. 2018, arXiv:1603.06560) has ceil(k / (s + 1) * `eta` ** s) in
    algorithm 1, and the numbers of the floor in its table 1, as its code and hpbandster; we follow the table. The paper's
    rungs are `eta` times apart; here they are free, as for a table of two fidelities. A free worker begins the next bracket
    while evaluations of the last are in flight, as hpbandster does.
    """

    def sizes(self) -> list[int]:
        """Return the number of proposals of each bracket, in their order."""
        rungs = len(self.epochs)
        return [rungs // (above + 1) * self.eta**above for above in reversed(range(rungs))]

    def shapes(self) -> Iterator[Shape]:
        return cycle(enumerate(self.sizes()))
