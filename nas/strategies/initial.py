"""A warm start: given architectures first, then another strategy."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import Any, ClassVar

from nas.history import History, Proposal
from nas.records import Positive, record
from nas.strategies.random_search import RandomSearch
from nas.strategies.strategy import Strategy, check_takes


@record
class Initial(Strategy):
    """Propose given `architectures` first, then what strategy `of` proposes, which knows their results.

    In a file an architecture may have any form that commands read, as darts:DARTS_V2 or RUN#17. With `run` the `best` of
    another run are added, the best first. Before the search begins both become trees, so that its folder needs no other.
    """

    of: Strategy = RandomSearch()
    architectures: tuple[Any, ...] = ()
    run: str | None = None
    best: Positive = 10
    several_objectives: ClassVar[bool] = True

    def check(self, objectives: int = 1) -> None:
        check_takes(self.of, objectives)

    def rungs(self) -> tuple[int, ...]:
        return self.of.rungs()

    def resumable(self, history: History) -> Collection[int]:
        return self.of.resumable(history)

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        # those that were rejected or skipped have had their turn too; promotions are no new proposals
        asked = len(history.asked) - len(history.resumed)
        if asked < len(self.architectures):
            return Proposal(self.architectures[asked], "initial")
        return self.of.propose(space, history, rng)
