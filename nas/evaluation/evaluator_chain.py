"""Several evaluators of one architecture, the cheap ones first."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task
from nas.history import Scores
from nas.records import RecordError, record


@record
class EvaluatorChain(Evaluator):
    """Score an architecture by each of `parts` in turn; in a file, a list of evaluators.

    The scores of all parts are the scores of the evaluation, so no two parts may have one in common. The last part tests.
    """

    parts: tuple[Evaluator, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise RecordError("the list of evaluators is empty: give one, as Training")
        names = Counter(name for part in self.parts for name in part.scores() or ())
        if twice := [name for name, times in names.items() if times > 1]:
            parts = " and ".join(type(part).__name__ for part in self.parts if twice[0] in (part.scores() or ()))
            raise RecordError(f"{parts} both give the score {twice[0]}: leave one of them out")

    def prepare(self, space: Any) -> dict[str, Any]:
        fixed: dict[str, Any] = {}
        for part in self.parts:
            for name, value in part.prepare(space).items():
                # such as two numbers of classes, for one network
                if fixed.setdefault(name, value) != value:
                    raise RecordError(
                        f"the evaluators' data differ in {name}: {fixed[name]} and {value}; give them the same data"
                    )
        return fixed

    def check(self, task: Task) -> None:
        for part in self.parts:
            part.check(task)

    def scores(self) -> tuple[str, ...] | None:
        known = [part.scores() for part in self.parts]
        return None if None in known else tuple(name for names in known for name in names or ())

    def test_scores(self) -> tuple[str, ...] | None:
        return self.parts[-1].test_scores()

    def costs(self, task: Task, architecture: Any) -> Scores:
        return {name: score for part in self.parts for name, score in part.costs(task, architecture).items()}

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        scores: dict[str, float] = {}
        for part in self.parts:
            scores |= yield from part.evaluate(task, job)
        return scores

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        return (yield from self.parts[-1].test(task, job, weights))


def parts_in(evaluator: Evaluator | None) -> tuple[Evaluator, ...]:
    """Return the parts of a chain, or the one evaluator that there is; none where there is none."""
    if isinstance(evaluator, EvaluatorChain):
        return evaluator.parts
    return () if evaluator is None else (evaluator,)
