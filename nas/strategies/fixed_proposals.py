"""A list of architectures instead of a search."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar, final

from nas.history import History, Proposal
from nas.strategies.strategy import Strategy


@final
class FixedProposals(Strategy):
    """A fixed list of architectures, each with its origin, proposed in order.

    Origins are unique: they tell a resumed run which architectures are done, even where a seed that had failed was added
    since.
    """

    several_objectives: ClassVar[bool] = True

    def __init__(self, architectures: tuple[tuple[Any, str], ...]) -> None:
        self.architectures = architectures

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        known = {each.origin for _, each in history.asked}
        return next((Proposal(*each) for each in self.architectures if each[1] not in known), None)
