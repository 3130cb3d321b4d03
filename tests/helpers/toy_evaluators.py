"""Evaluators that a test declares by functions, and the finish events in the journal of a search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from journals import events

from nas.evaluation.evaluator import Evaluator, Job, at_once
from nas.records import record

Scoring = Callable[[Job], dict[str, float]]

TOYS_EVALUATOR = "NoisyBits: {noise: 0.01}"


def share(job: Job) -> dict[str, float]:
    return {"fitness": sum(job.architecture.values) / len(job.architecture.values)}


def declare(name: str, evaluate: Scoring = share, test: Scoring = share, **fixed: Any) -> None:
    """Register an evaluator under a name: it scores by these functions, and `prepare` returns the options `fixed`."""

    class Made(Evaluator):
        def prepare(self, space: Any) -> dict[str, Any]:
            return fixed

        def evaluate(self, task: Any, job: Job) -> Any:
            return at_once(evaluate(job))

        def test(self, task: Any, job: Job, weights: Path | None = None) -> Any:
            return at_once(test(job))

    Made.__name__ = name
    record(Made)


def ends(folder: Path, name: str = "history") -> list[dict[str, Any]]:
    return [event for event in events(folder, name) if event["event"] == "finish"]


def error_of(answer: Any) -> str:
    """Return the one-line error message of a command."""
    assert answer.returncode == 2, answer
    assert answer.stderr.startswith("nas: ")
    assert answer.stderr.count("\n") == 1
    return str(answer.stderr)
