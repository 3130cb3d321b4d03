"""A stage: one part of a run, such as the search or the final training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.evaluation.evaluator import Evaluation, Job
from nas.history import Scores
from nas.runtime.rules import Rules
from nas.strategies.strategy import Strategy

STEMS = {"search": "history", "transfer": "trials"}
"""The stages whose journal is not named after them, to read the folders of version 0.1."""

Work = Callable[[Job], Evaluation]
"""The function that a worker applies to a job; picklable, sent once to each worker."""


@dataclass(frozen=True, slots=True)
class RunStage:
    """A source of proposals, the work that scores them, the rules, and the name of its journal, panel and chart.

    The `source` is a strategy, or a fixed list; it proposes architectures, seeds of a supernet, or trials of a transfer.
    `describe` returns a proposal as short text. With `retries_failures` a resumed stage retries failed evaluations. `costs`
    returns what is known of a proposal without a worker, for the limits on these scores. `full_epochs` are those of a whole
    evaluation, None where it has none; `has_checkpoints` says whether it could be resumed, `inherits` whether it begins from
    its parent's checkpoint. `canonical` returns a text that is the same for architectures whose scores may stand for each other.
    """

    name: str
    source: Strategy
    work: Work
    rules: Rules
    describe: Callable[[Any], str]
    space: Any = None
    retries_failures: bool = True
    objective_key: str = "rules.objective"
    costs: Callable[[Any], Scores] | None = None
    full_epochs: int | None = None
    has_checkpoints: bool = True
    inherits: bool = False
    canonical: Callable[[Any], str] | None = None

    @property
    def stem(self) -> str:
        """The name of its journal, without the suffix; also the prefix of its checkpoints' names."""
        return STEMS.get(self.name, self.name)

    def journal(self, folder: Path) -> Path:
        """Return the path of the journal in a run folder."""
        return folder / f"{self.stem}.jsonl"

    @property
    def total(self) -> int | None:
        """The number of evaluations; None where it is unknown."""
        return self.rules.budget.evaluations if self.rules.budget is not None else None
