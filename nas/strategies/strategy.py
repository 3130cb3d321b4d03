"""Strategy: the protocol of black-box search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from random import Random
from typing import Any, ClassVar

from nas.history import History, Proposal
from nas.records import RecordError


class Strategy(ABC):
    """A strategy that proposes architectures; a record, whose fields are its settings.

    It has no state besides the history, so that a search is resumed by reading the journal. It is called whenever a worker is
    free, while others still work, so the last proposals may have no scores yet. A strategy that goes by `history.values` or
    `history.front` sets `several_objectives`; the others go by the one objective of `history.value` and `history.rank`.
    """

    several_objectives: ClassVar[bool] = False
    ends: ClassVar[bool] = False
    """Whether the search ends by itself, as an enumeration does; such a strategy needs no seed."""

    def check(self, objectives: int = 1) -> None:
        """Raise RecordError where the settings cannot work for this number of objectives; called before anything runs."""
        return

    def rungs(self) -> tuple[int, ...]:
        """Return the numbers of epochs after which its trainings end, ascending; none where they go to the recipe's end.

        Those of 0 epochs are no trainings, but screened, by the scores of `screens_by`.
        """
        return ()

    def screens_by(self) -> tuple[str, ...]:
        """Return the scores by which untrained proposals are compared, with a minus where the least is the best."""
        return ()

    def resumable(self, history: History) -> Collection[int]:
        """Return the finished evaluations that it may resume; the checkpoints of all others are removed."""
        return ()

    def possible_parents(self, history: History) -> Collection[int]:
        """Return the finished evaluations whose weights later proposals may inherit; the checkpoints of others are removed."""
        return history.finished

    @abstractmethod
    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        """Return the next proposal; None to wait for evaluations in flight or, with none in flight, to end the search.

        The cost must not grow with the history.
        """


def check_takes(of: Strategy, objectives: int) -> None:
    """Raise RecordError where the strategy inside another one cannot take that number of objectives."""
    if objectives > 1 and not of.several_objectives:
        raise RecordError(f"of is {type(of).__name__}, which goes by one objective, and there are {objectives}", "of")
    of.check(objectives)
