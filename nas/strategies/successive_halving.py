"""Successive halving: many short trainings, of which the best go on. Asynchronous, as ASHA, or in cohorts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

from nas.records import Positive, RecordError, record
from nas.strategies.brackets import Halving, Shape


@record
class SuccessiveHalving(Halving):
    """Train proposals of a strategy for the first of `epochs`; the best 1 / `eta` of each rung go on to the next.

    Without a `cohort` it is asynchronous: whoever is among the best 1 / `eta` of its rung by now is promoted at once (ASHA, Li et
    al. 2020, arXiv:1810.05934, algorithm 2). With one, each `cohort` proposals are compared among themselves when all of a rung
    have ended (Jamieson & Talwalkar 2016, arXiv:1502.07943); a free worker begins the next cohort meanwhile. A promotion goes on
    from the checkpoint of its training, in the schedule of the whole recipe. Failures are never promoted. Of several objectives
    the first decides about promotions.
    """

    cohort: Positive | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cohort is not None and self.cohort < (least := self.eta ** (len(self.epochs) - 1)):
            raise RecordError(
                f"cohort is {self.cohort}, and none of it reaches the last rung: give at least {least}", "cohort"
            )

    def shapes(self) -> Iterator[Shape]:
        return repeat((0, self.cohort))
