"""Scoring by a plain function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, final

from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task, at_once
from nas.evaluation.evaluator_chain import EvaluatorChain
from nas.history import Scores
from nas.records import RecordError, one_line, record

Scoring = Callable[[Any], float | Mapping[str, float]]
"""A function of an architecture that returns a number, or a mapping of scores."""


@record
class PythonFunction(Evaluator):
    """Score an architecture by a function that takes it, and returns a number or a mapping of scores.

    `name` is the module and the name of the function, as `mine:accuracy`; a plain number is the score named `score`. A function
    that no other process can import, such as one of a notebook, is given to `nas.search` and `nas.resume` themselves.
    """

    name: str
    score: str = "score"

    def check(self, task: Task) -> None:
        self._imported()

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        return at_once(as_scores(self._imported()(job.architecture), self.score))

    def _imported(self) -> Scoring:
        """Return the function. Raises RecordError where it is not in a module that can be imported."""
        module, _, name = self.name.partition(":")
        if module == "__main__" or "<" in name:
            raise RecordError(
                f"{name} is a function of a notebook or script, which this process cannot import: give it in Python, "
                "nas.resume(folder, evaluate=...)"
            )
        try:
            found: Any = import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError, ValueError) as error:
            raise RecordError(
                f"there is no function {self.name!r} ({one_line(error)}): give it as module:name"
            ) from None
        if not callable(found):
            raise RecordError(f"{self.name} is no function but {type(found).__name__}: give one of an architecture")
        function: Scoring = found
        return function


@final
class GivenFunction(Evaluator):
    """A function at hand, in the place of the `PythonFunction` that names it; it is sent to workers as it is."""

    def __init__(self, function: Scoring, score: str) -> None:
        self.function, self.score = function, score

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        return at_once(as_scores(self.function(job.architecture), self.score))


def as_scores(returned: float | Mapping[str, float], score: str) -> Scores:
    """Return what a function returned as scores; a plain number under the name `score`."""
    return dict(returned) if isinstance(returned, Mapping) else {score: returned}


def with_function(evaluator: Evaluator | None, function: Scoring | None) -> Evaluator | None:
    """Return an evaluator with the function itself in the place of its name, also in a chain; as it is where there is none."""
    if isinstance(evaluator, PythonFunction) and function is not None:
        return GivenFunction(function, evaluator.score)
    if isinstance(evaluator, EvaluatorChain) and function is not None:
        parts = tuple(with_function(part, function) or part for part in evaluator.parts)
        return EvaluatorChain(parts)
    return evaluator
