"""Rules: how a stage runs, and when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from nas.history import Limit, read_objectives
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

    `objective` is the score to maximise, with a minus before it to minimise, or a list of several: the result is then their
    Pareto front. `limits` bounds scores by name, as `{params: {most: 5.0e6}}`: a proposal outside a limit on costs that are known
    without an evaluation, as params and macs, is rejected and takes nothing of the budget. A proposal of an architecture that
    was evaluated before reuses those scores; with `duplicates` "evaluate" it is evaluated again, with "skip" the strategy is
    asked again. The search ends after `give_up_after` failed evaluations in a row.
    """

    budget: Budget | None = None
    objective: str | tuple[str, ...] = "validation_top1_percent"
    duplicates: Literal["reuse", "evaluate", "skip"] = "reuse"
    give_up_after: Positive = 20
    seed: Natural = 0
    limits: Mapping[str, Limit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [each.score for each in read_objectives(self.objective)]
        if not names or len(set(names)) < len(names):
            raise RecordError(
                f"objective is {list(self.objective)}: give one score, or several different ones", "objective"
            )
