"""BANANAS: White et al. 2021, arXiv:1910.11858, algorithm 1."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Literal

from nas.history import Evaluated, History, Proposal
from nas.predictors.acquisition import Acquisition, acquire
from nas.predictors.encoding import Encoding
from nas.predictors.learning import fitted, fitted_to, made_once
from nas.predictors.mlp_ensemble import MlpEnsemble
from nas.predictors.paths import Paths
from nas.predictors.predictor import Predictor
from nas.records import Positive, digest, record
from nas.space import mutate, sample
from nas.strategies.strategy import Strategy

PATIENCE = 5
"""How many times `parents` are mutated, the best first, until there are enough candidates (naszilla's patience factor)."""


@record
class Bananas(Strategy):
    """Evaluate the candidates that a predictor finds most promising, out of mutations of the best architectures.

    After `first` random architectures, and again after every `refit` evaluations, the predictor is fitted to all of them and a
    round begins: the `parents` best are mutated, then the next best, until there are `candidates` new architectures, which
    are proposed in the order of their acquisition; where all of their neighbours are known, random ones. The paper evaluates
    the `refit` best of a round and waits for them; here a free worker takes the next one.

    Two controls: `draws` "random" has random candidates, which the paper used by its author's account (NASLib, issue 134);
    "walk" has a random walk from the best, which NASLib's code takes by mistake for mutations.
    """

    predictor: Predictor = MlpEnsemble()
    encoding: Encoding = Paths()
    acquisition: Acquisition = "its"
    first: Positive = 10
    candidates: Positive = 100
    parents: Positive = 1
    refit: Positive = 10
    draws: Literal["mutations", "random", "walk"] = "mutations"

    def check(self, objectives: int = 1) -> None:
        self.predictor.check()

    def propose(self, space: Any, history: History, rng: Random) -> Proposal:
        if len(history.scored) >= self.first:
            for name, proposal in self._round(space, history):
                if name not in history.known:
                    return proposal
        return Proposal(sample(space, rng))

    def _round(self, space: Any, history: History) -> list[tuple[str, Proposal]]:
        """Return the candidates of this round, the most promising first, each with its digest."""
        count = fitted_to(len(history.scored), self.first, self.refit)
        return made_once(history, digest(self), count, lambda: self._ordered(space, history, history.scored[:count]))

    def _ordered(self, space: Any, history: History, known: list[Evaluated]) -> list[tuple[str, Proposal]]:
        # a function of these evaluations alone, so that a resumed search has the same round
        rng = Random(f"{history.digests[0]}/{len(known)}")
        best = sorted(known, key=history.rank, reverse=True)
        drawn = self._draw(space, best, rng)
        if not drawn:
            return []
        predicted = fitted(self.predictor, self.encoding, space, history, known)
        mean, deviation = predicted([proposal.architecture for _, proposal in drawn])
        order = acquire(self.acquisition, mean, deviation, history.value(best[0]), rng).argsort()[::-1]
        return [drawn[i] for i in order]

    def _draw(self, space: Any, best: list[Evaluated], rng: Random) -> list[tuple[str, Proposal]]:
        """Return at most `candidates` distinct new architectures, each with its digest."""
        known, found = {done.digest for done in best}, dict[str, Proposal]()
        for drawn in self._drawn(space, best, rng):
            if (name := digest(drawn.architecture)) not in known:
                found.setdefault(name, drawn)
            if len(found) == self.candidates:
                break
        return list(found.items())

    def _drawn(self, space: Any, best: list[Evaluated], rng: Random) -> Iterator[Proposal]:
        walked = best[0].architecture
        for parent in best[: PATIENCE * self.parents]:
            for _ in range(max(1, self.candidates // self.parents)):
                if self.draws == "random":
                    yield Proposal(sample(space, rng), "predicted")
                    continue
                walked = mutate(space, walked if self.draws == "walk" else parent.architecture, rng)
                yield Proposal(walked, "predicted", (parent.number,))
