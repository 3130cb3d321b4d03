"""Evaluators that a test declares by functions of its own, and the ends that a search on the toy space writes down."""

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
    """Make an evaluator known under a name: it scores as these functions do, and its data fix these options."""

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
    """Return the one line by which a command refused."""
    assert answer.returncode == 2, answer
    assert answer.stderr.startswith("nas: ")
    assert answer.stderr.count("\n") == 1
    return str(answer.stderr)
