"""Several evaluators of one architecture, the cheap ones first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Progress, Task, with_reports
from nas.history import Scores
from nas.records import RecordError, record


@record
class EvaluatorChain(Evaluator):
    """Score an architecture by each of `parts` in turn; in a file, a list of evaluators.

    The scores of all parts are the scores of the evaluation, so no two parts may have one in common. It ends where a score is
    outside a limit: the parts after are left out, as a training after a measured latency. A job of 0 epochs ends at the first
    part that has epochs. The last part tests.
    """

    parts: tuple[Evaluator, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise RecordError("the list of evaluators is empty: give one, as Training")
        names = Counter(name for part in self.parts for name in part.scores() or ())
        if twice := [name for name, times in names.items() if times > 1]:
            parts = " and ".join(type(part).__name__ for part in self.parts if twice[0] in (part.scores() or ()))
            raise RecordError(f"{parts} both give the score {twice[0]}: leave one of them out")

    @property
    def inherits(self) -> bool:
        return any(part.inherits for part in self.parts)

    def joined(self, space: Any) -> Any:
        for part in self.parts:
            space = part.joined(space)
        return space

    def flattened(self) -> tuple[Evaluator, ...]:
        return tuple(inner for part in self.parts for inner in part.flattened())

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

    def screening_scores(self) -> tuple[str, ...]:
        before = list(takewhile(lambda part: part.full_epochs() is None, self.parts))
        if len(before) == len(self.parts):
            return ()
        return (*(name for part in before for name in part.scores() or ()), *self.parts[len(before)].screening_scores())

    def test_scores(self) -> tuple[str, ...] | None:
        return self.parts[-1].test_scores()

    def costs(self, task: Task, architecture: Any) -> Scores:
        return {name: score for part in self.parts for name, score in part.costs(task, architecture).items()}

    def curves(self) -> tuple[str, ...]:
        known = [name for part in self.parts[:-1] for name in part.scores() or ()]
        return (*known, *self.parts[-1].curves()) if self.parts[-1].curves() else ()

    def full_epochs(self) -> int | None:
        return max((epochs for part in self.parts if (epochs := part.full_epochs()) is not None), default=None)

    def check_epochs(self, epochs: Collection[int]) -> None:
        trained = [part for part in self.parts if part.full_epochs() is not None]
        screens = bool(self.screening_scores())
        for part in trained or self.parts[:1]:
            part.check_epochs([each for each in epochs if each or not screens])

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        scores: dict[str, float] = {}
        for part in self.parts:
            is_screening = job.epochs == 0 and part.full_epochs() is not None
            if is_screening and not part.screening_scores():
                break
            is_last = part is self.parts[-1]
            # only while the last part runs are the scores of all others known, which a stopped evaluation needs
            reports = partial(_completed, dict(scores) if is_last else None)
            scores |= yield from with_reports(part.evaluate(task, job), reports)
            if is_screening or task.is_outside(scores):
                break
        return scores

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        return (yield from self.parts[-1].test(task, job, weights))


def _completed(others: Scores | None, progress: Progress) -> Progress:
    """Return a report with the scores of others too; without any where some of these are still unknown, None."""
    known = {**others, **progress.scores} if others is not None and progress.scores else {}
    return replace(progress, scores=known)


def parts_in(evaluator: Evaluator | None) -> tuple[Evaluator, ...]:
    """Return the evaluators that one is made of; none where there is none."""
    return () if evaluator is None else evaluator.flattened()
