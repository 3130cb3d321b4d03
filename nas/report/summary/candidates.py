"""The parts of a report on all candidates of a search: fronts of several objectives, rungs, and learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FrontAt:
    """The Pareto front after a number of evaluations: the first objective and the second one of each member."""

    evaluations: int
    first: Sequence[float]
    second: Sequence[float]


@dataclass(frozen=True, slots=True)
class Objectives:
    """The front of several objectives over a search: its hypervolume after each number of evaluations, and fronts on the way.

    `names` are the scores; `reference` is the point, a score each, above which the volume is measured: the worst score of all
    evaluations within the limits.
    """

    names: Sequence[str]
    minimised: Sequence[int]
    reference: Sequence[float]
    evaluations: Sequence[int]
    hypervolume: Sequence[float]
    fronts: Sequence[FrontAt]


@dataclass(frozen=True, slots=True)
class Rung:
    """The evaluations of a search that ended after a number of epochs; `best` is the highest value of the objective."""

    epochs: int
    ended: int
    promoted: int
    failed: int
    best: float | None
    number: int | None


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The objective of one candidate after each epoch; `end` is "ended", "stopped", "failed" or "in flight"."""

    number: int
    epochs: Sequence[int]
    values: Sequence[float]
    end: Literal["ended", "stopped", "failed", "in flight"]
