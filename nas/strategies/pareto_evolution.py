"""Ageing evolution of a Pareto front: regularized evolution whose tournament is won by dominance."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from nas.history import Evaluated, History, Proposal
from nas.pareto import crowding, fronts
from nas.records import Positive, record
from nas.space import mutate, sample
from nas.strategies.strategy import Strategy


@record
class ParetoEvolution(Strategy):
    """Mutate the least crowded of the first front of a random sample of the population; the oldest member leaves.

    The population is the last `population` successful evaluations, as in regularized evolution (Real et al. 2019,
    arXiv:1802.01548); dominance and crowding are those of NSGA-II (Deb et al. 2002). Members outside the limits win only where
    the sample has none within: then the one that is the least outside.
    """

    population: Positive = 50
    sample: Positive = 10
    several_objectives: ClassVar[bool] = True

    def propose(self, space: Any, history: History, rng: Random) -> Proposal:
        if len(history.scored) < self.population:
            return Proposal(sample(space, rng))
        parent = self._winner(history, rng)
        return Proposal(mutate(space, parent.architecture, rng), "mutation", (parent.number,))

    def _winner(self, history: History, rng: Random) -> Evaluated:
        drawn = rng.choices(history.scored[-self.population :], k=self.sample)
        within = [each for each in drawn if not history.excess(each.scores)]
        if not within:
            return min(drawn, key=lambda each: history.excess(each.scores))
        points = [history.values(each) for each in within]
        first = fronts(points)[0]
        # within the first front all are equally good: prefer where the front is thin
        distances = crowding([points[i] for i in first])
        return within[max(zip(distances, first, strict=True))[1]]
