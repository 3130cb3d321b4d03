"""Regularized (ageing) evolution: Real et al. 2019, arXiv:1802.01548, algorithm 1."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random
from typing import Any, Literal

from nas.history import Evaluated, History, Proposal
from nas.records import Fraction, Natural, Positive, RecordError, record
from nas.space import mutate, sample
from nas.strategies.strategy import Strategy


@record
class RegularizedEvolution(Strategy):
    """Mutate the best of a random sample of the population; the oldest member leaves.

    The population is the last `population` successful evaluations: each new one removes the oldest, however good. Workers
    that are free at the same time draw from the same population, as the paper's asynchronous workers do.

    The paper draws the `sample` with replacement, and with probability `identity` (0.05 for NASNet cells) trains the parent
    again unchanged. Its mutation first picks hidden state or operation, then which one. That space has equally many decisions
    of both kinds, so picking one decision uniformly is the same mutation.

    A child differs from its parent by `mutations` in a row. With `mutation_rounds` of 1 or more they decay: after each so many
    children there is one mutation less, down to one, as in EvaNet (Piergiovanni et al. 2019, arXiv:1811.10636), whose children
    have many mutations at first; children are counted when they have succeeded. How fast they decay is set here by hand.

    `removes` "worst" is evolution without ageing: the population is the best ever evaluated; for comparison (appendix B).
    """

    population: Positive = 100
    sample: Positive = 25
    replacement: bool = True
    identity: Fraction = 0.0
    removes: Literal["oldest", "worst"] = "oldest"
    mutations: Positive = 1
    mutation_rounds: Natural = 0

    def __post_init__(self) -> None:
        if not self.replacement and self.sample > self.population:
            raise RecordError(
                f"sample {self.sample} is more than population {self.population}: draw fewer, or with replacement"
            )

    def possible_parents(self, history: History) -> Collection[int]:
        return {each.number for each in self._alive(history)}

    def propose(self, space: Any, history: History, rng: Random) -> Proposal:
        # Fill the population with random architectures first.
        if len(history.scored) < self.population:
            return Proposal(sample(space, rng))
        parent = max(self._candidates(history, rng), key=history.rank)
        if self.identity and rng.random() < self.identity:
            return Proposal(parent.architecture, "identity", (parent.number,))
        child = parent.architecture
        for _ in range(self.mutations_after(len(history.scored) - self.population)):
            child = mutate(space, child, rng)
        return Proposal(child, "mutation", (parent.number,))

    def mutations_after(self, children: int) -> int:
        """Return the number of mutations of the next child after `children` of them."""
        fewer = children // self.mutation_rounds if self.mutation_rounds else 0
        return max(1, self.mutations - fewer)

    def _alive(self, history: History) -> Sequence[Evaluated]:
        # `ranked` is sorted from worst to best, so its end is the best ever evaluated.
        return (history.scored if self.removes == "oldest" else history.ranked)[-self.population :]

    def _candidates(self, history: History, rng: Random) -> Sequence[Evaluated]:
        alive = self._alive(history)
        if self.replacement:
            return rng.choices(alive, k=self.sample)
        return rng.sample(alive, min(self.sample, len(alive)))
