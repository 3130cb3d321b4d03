"""Proposals of a strategy, screened by a predictor: only the most promising of several is evaluated."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

from nas.history import Evaluated, History, Proposal
from nas.predictors.encoding import Encoding
from nas.predictors.learning import fitted
from nas.predictors.mlp_ensemble import MlpEnsemble
from nas.predictors.one_hot import OneHot
from nas.predictors.predictor import Predictor
from nas.records import Positive, Range, record
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.strategy import Strategy, check_takes

if TYPE_CHECKING:
    from nas.predictors.learning import Predicted


@record
class Screened(Strategy):
    """Ask strategy `of` for several proposals, and evaluate the one with the highest predicted value.

    The first `first` evaluations are not screened; the predictor is fitted again after every `refit` of them. A promotion is
    taken as it is. Source: the pre-selection of model-assisted evolution, Jin 2011 (doi 10.1016/j.swevo.2011.05.001).
    """

    of: Strategy = RegularizedEvolution(10, 3)
    by: Predictor = MlpEnsemble()
    encoding: Encoding = OneHot()
    draws: Annotated[int, Range(2)] = 10
    first: Positive = 20
    refit: Positive = 10

    def check(self, objectives: int = 1) -> None:
        check_takes(self.of, objectives)

    def rungs(self) -> tuple[int, ...]:
        return self.of.rungs()

    def resumable(self, history: History) -> Collection[int]:
        return self.of.resumable(history)

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        screen = history.fold(self, _add, _Screen())
        proposal = self.of.propose(space, history, rng)
        if proposal is None or proposal.resumes is not None or len(screen.evaluated) < self.first:
            return proposal
        others = (self.of.propose(space, history, rng) for _ in range(self.draws - 1))
        proposals = [proposal, *(each for each in others if each is not None)]
        count = max(self.first, len(screen.evaluated) // self.refit * self.refit)
        if count != screen.count or screen.predicted is None:
            known = screen.evaluated[:count]
            screen.predicted, screen.count = fitted(self.by, self.encoding, space, history, known), count
        mean, _ = screen.predicted([each.architecture for each in proposals])
        return proposals[int(mean.argmax())]


@dataclass(slots=True)
class _Screen:
    """The evaluations that succeeded, and the predictor fitted to the first `count` of them."""

    evaluated: list[Evaluated] = field(default_factory=list)
    predicted: Predicted | None = None
    count: int = 0


def _add(screen: _Screen, done: Evaluated) -> _Screen:
    if done.failure is None:
        screen.evaluated.append(done)
    return screen
