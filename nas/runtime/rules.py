"""Rules: how a stage runs, and when it ends."""

from __future__ import annotations

from typing import Literal

from nas.records import Natural, NonNegative, Positive, RecordError, record


@record
class Budget:
    """The budget of a search: a number of `evaluations`, or a sum of their `seconds`, whichever is reached first."""

    evaluations: Positive | None = None
    seconds: NonNegative | None = None

    def __post_init__(self) -> None:
        if self.evaluations is None and self.seconds is None:
            raise RecordError("the budget is empty: give `evaluations`, `seconds` or both")


@record
class Rules:
    """The rules of a search. Without a budget it ends when the strategy has nothing more to propose.

    `objective` is the score to maximise, with a minus before it to minimise. A proposal of an architecture that was evaluated
    before reuses those scores or, with `duplicates` "evaluate", is evaluated again. The search ends after `give_up_after` failed
    evaluations in a row.
    """

    budget: Budget | None = None
    objective: str = "validation_top1_percent"
    duplicates: Literal["reuse", "evaluate"] = "reuse"
    give_up_after: Positive = 20
    seed: Natural = 0
