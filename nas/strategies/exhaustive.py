"""Exhaustive search: every architecture of a small space, once."""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import Any, ClassVar

from nas.history import History, Proposal
from nas.records import record
from nas.space import enumerate_architectures
from nas.strategies.strategy import Strategy


@record
class Exhaustive(Strategy):
    """Propose every architecture of the space once, in the order of their decisions; then the search ends."""

    several_objectives: ClassVar[bool] = True
    ends: ClassVar[bool] = True

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        # rejected ones too: each has its place in the enumeration; a promotion has none
        proposed = len(history.asked) - len(history.resumed)
        architecture = _enumeration(space).at(proposed)
        return None if architecture is None else Proposal(architecture, "enumeration")


class _Enumeration:
    """The architectures of a space by their place; those before the last one that was asked for are kept."""

    def __init__(self, space: Any) -> None:
        self.rest, self.known = enumerate_architectures(space), list[Any]()

    def at(self, place: int) -> Any | None:
        """Return the architecture at a place, counted from 0; None behind the last."""
        while len(self.known) <= place:
            architecture = next(self.rest, None)
            if architecture is None:
                return None
            self.known.append(architecture)
        return self.known[place]


@lru_cache(maxsize=4)
def _enumeration(space: Any) -> _Enumeration:
    return _Enumeration(space)
