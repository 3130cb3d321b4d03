"""Proposals of a strategy, screened by a predictor: only the most promising of several is evaluated."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

from nas.history import History, Proposal
from nas.predictors.encoding import Encoding
from nas.predictors.learning import fitted, fitted_to, made_once
from nas.predictors.mlp_ensemble import MlpEnsemble
from nas.predictors.one_hot import OneHot
from nas.predictors.predictor import Predictor
from nas.records import Positive, Range, digest, record
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.strategy import Strategy, check_takes

if TYPE_CHECKING:
    from nas.predictors.learning import Predicted


@record
class Screened(Strategy):
    """Ask strategy `of` for several proposals, and evaluate the unknown one with the highest predicted value.

    The first `first` evaluations are not screened; the predictor is fitted again after every `refit` of them. A promotion is
    taken as it is. `of` must draw its proposals, as evolution does: `LocalSearch` and `Bananas` propose the same each time.
    Source: the pre-selection of model-assisted evolution, Jin 2011 (doi 10.1016/j.swevo.2011.05.001).
    """

    of: Strategy = RegularizedEvolution(10, 3)
    by: Predictor = MlpEnsemble()
    encoding: Encoding = OneHot()
    draws: Annotated[int, Range(2)] = 10
    first: Positive = 20
    refit: Positive = 10

    def check(self, objectives: int = 1) -> None:
        check_takes(self.of, objectives)
        self.by.check()

    def rungs(self) -> tuple[int, ...]:
        return self.of.rungs()

    def resumable(self, history: History) -> Collection[int]:
        return self.of.resumable(history)

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        proposal = self.of.propose(space, history, rng)
        if proposal is None or proposal.resumes is not None or len(history.scored) < self.first:
            return proposal
        others = (self.of.propose(space, history, rng) for _ in range(self.draws - 1))
        proposals = [proposal, *(each for each in others if each is not None)]
        unknown = [each for each in proposals if digest(each.architecture) not in history.known]
        if not unknown:
            return proposal
        mean, _ = self._predicted(space, history)([each.architecture for each in unknown])
        return unknown[int(mean.argmax())]

    def _predicted(self, space: Any, history: History) -> Predicted:
        """Return the predictor, fitted anew where enough evaluations were added."""
        count = fitted_to(len(history.scored), self.first, self.refit)
        return made_once(
            history,
            digest(self),
            count,
            lambda: fitted(self.by, self.encoding, space, history, history.scored[:count]),
        )
