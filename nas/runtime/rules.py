"""Rules: how a stage runs, and when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from nas.history import Limit, read_objectives
from nas.records import Natural, NonNegative, Positive, RecordError, record


@record
class Budget:
    """The budget of a search: whichever of its amounts is reached first; what is in flight by then is finished.

    `evaluations` counts proposals that were handed out, also failed ones and promotions. `seconds` is the sum of
    the workers' times, for GPU-hours: what a promotion had trained before is not counted again, and reused scores cost none.
    `epochs` is the sum of trained epochs. `hours` are those on the clock while the search runs; interruptions do not count.
    Proposals that were rejected or skipped, or that reuse scores, cost nothing.
    """

    evaluations: Positive | None = None
    seconds: NonNegative | None = None
    hours: NonNegative | None = None
    epochs: Positive | None = None

    def __post_init__(self) -> None:
        if self.evaluations is self.seconds is self.hours is self.epochs is None:
            raise RecordError("the budget is empty: give `evaluations`, `seconds`, `hours` or `epochs`")


@record
class Rules:
    """The rules of a search. Without a budget it ends when the strategy has nothing more to propose.

    `objective` is the score to maximise, with a minus before it to minimise, or a list of several: the result is then their
    Pareto front. `limits` bounds scores by name, as `{params: {most: 5.0e6}}`: a proposal outside a limit on costs that are known
    without an evaluation, as params and macs, is rejected and takes nothing of the budget. A proposal of an architecture that
    was evaluated before reuses those scores; with `duplicates` "evaluate" it is evaluated again, with "skip" the strategy is
    asked again. With "reuse_equal" it reuses also those of an architecture that computes the same function, where the space says
    which do; its params and macs may differ, since they count parts without a path to the output. The search ends after
    `give_up_after` failed evaluations in a row. `pruner` is one of Optuna, as MedianPruner or
    {MedianPruner: {n_warmup_steps: 5}}: it stops trainings by their curves of the first objective.
    """

    budget: Budget | None = None
    objective: str | tuple[str, ...] = "validation_top1_percent"
    duplicates: Literal["reuse", "reuse_equal", "evaluate", "skip"] = "reuse"
    give_up_after: Positive = 20
    seed: Natural = 0
    limits: Mapping[str, Limit] = field(default_factory=dict)
    pruner: str | Mapping[str, Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        names = [each.score for each in read_objectives(self.objective)]
        if not names or len(set(names)) < len(names):
            raise RecordError(
                f"objective is {list(self.objective)}: give one score, or several different ones", "objective"
            )
