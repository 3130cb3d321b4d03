"""A stage: one part of a run, such as the search itself, or the training of its best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.evaluation.evaluator import Evaluation, Job
from nas.runtime.rules import Rules
from nas.strategies.strategy import Strategy

STEMS = {"search": "history", "transfer": "trials"}
"""The stages whose journal is not named after them, for the folders of version 0.1."""

Work = Callable[[Job], Evaluation]
"""What a worker does with a job; picklable, sent once to each worker."""


@dataclass(frozen=True, slots=True)
class RunStage:
    """A source of proposals, the work that scores them, the rules, and one name: that of its journal, panel and chart.

    The `source` is a strategy, or a fixed list; what it proposes is an architecture, a seed of a supernet, or a transfer.
    `describe` writes it as short text. With `retries_failures` a resumed stage does again what had failed.
    """

    name: str
    source: Strategy
    work: Work
    rules: Rules
    describe: Callable[[Any], str]
    space: Any = None
    retries_failures: bool = True
    objective_key: str = "rules.objective"

    @property
    def stem(self) -> str:
        """The name of its journal, without the suffix; it also begins the names of its checkpoints."""
        return STEMS.get(self.name, self.name)

    def journal(self, folder: Path) -> Path:
        """Return the journal's file in a run folder."""
        return folder / f"{self.stem}.jsonl"

    @property
    def total(self) -> int | None:
        """The number of its evaluations; None where that is not known."""
        return self.rules.budget.evaluations if self.rules.budget is not None else None
