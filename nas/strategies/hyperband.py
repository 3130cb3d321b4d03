"""Hyperband: brackets of successive halving that begin with many short trainings, or with few long ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import cycle
from random import Random
from typing import Any, ClassVar

from nas.history import History, Proposal
from nas.records import Positive, record
from nas.strategies.random_search import RandomSearch
from nas.strategies.strategy import Strategy
from nas.strategies.successive_halving import Brackets, Eta, brackets_of, check_inner, check_rungs


@record
class Hyperband(Strategy):
    """Run brackets of halving in turn: the first begins at the first of `epochs`, each next one a rung higher.

    With k rungs, the bracket that has s more rungs above its first takes floor(k / (s + 1)) * `eta` ** s proposals, so that
    all brackets cost about the same. The paper (Li et al. 2018, arXiv:1603.06560) has ceil(k / (s + 1) * `eta` ** s) in
    algorithm 1, and the numbers of the floor in its table 1, as its code and hpbandster; we follow the table. The paper's
    rungs are `eta` times apart; here they are free, as for a table of two fidelities. A free worker begins the next bracket
    while evaluations of the last are in flight, as hpbandster does.
    """

    of: Strategy = RandomSearch()
    epochs: tuple[Positive, ...] = (1, 3, 9)
    eta: Eta = 3
    several_objectives: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_rungs(self.epochs)

    def check(self, objectives: int = 1) -> None:
        check_inner(self.of, objectives)

    def rungs(self) -> tuple[int, ...]:
        return self.epochs

    def resumable(self, history: History) -> Collection[int]:
        return self._brackets(history).resumable()

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        return self._brackets(history).propose(self.of, space, history, rng)

    def sizes(self) -> list[int]:
        """Return the number of proposals of each bracket, in their order."""
        rungs = len(self.epochs)
        return [rungs // (above + 1) * self.eta**above for above in reversed(range(rungs))]

    def _brackets(self, history: History) -> Brackets:
        shapes: Iterator[tuple[int, int | None]] = cycle(enumerate(self.sizes()))
        return brackets_of(history, self.epochs, self.eta, shapes, self)
