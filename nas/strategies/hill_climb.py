"""Hill climbing by network morphisms: Elsken et al. 2017, arXiv:1711.04528 (NASH), algorithm 1."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random
from typing import Any, Literal

from nas.history import Evaluated, History, Proposal
from nas.membership import taken_decisions
from nas.records import Positive, record
from nas.space import first_member, mutate, redecide, sample
from nas.strategies.strategy import Strategy


@record
class HillClimb(Strategy):
    """Evaluate `neighbours` children of the current architecture, go on from the best of them, and so forth.

    The first child is the architecture itself, trained on; each other one has `morphisms` changes. With `grows` a change takes
    the next larger option of a decision: in a space that lists its options from the smallest to the largest, and an evaluator
    with `inherit`, such a change is a network morphism, which keeps the function. A decision of several picks changes at random.

    The best child replaces the architecture however good it is, as in the paper: the first child stands for the parent. It
    starts from the member with the first option of every choice, or from a random one.
    """

    neighbours: Positive = 8
    morphisms: Positive = 5
    grows: bool = True
    start: Literal["first", "random"] = "first"

    def possible_parents(self, history: History) -> Collection[int]:
        if not history.proposals:
            return ()
        # the current architecture, or those of which the next one is chosen
        last = history.proposals[-1].parents
        return [*last, *(history.children[last[0]][-self.neighbours :] if last else [len(history.proposals) - 1])]

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        if not history.proposals:
            return Proposal(first_member(space) if self.start == "first" else sample(space, rng), "start")
        last = len(history.proposals) - 1
        parents = history.proposals[last].parents
        brood = history.children[parents[0]] if parents else [last]
        # an architecture has a second brood where its first one failed as a whole
        if not parents or len(brood) % self.neighbours == 0:
            candidates = brood[-self.neighbours :]
            if any(number not in history.finished for number in candidates):
                return None
            best = self._best(history, candidates)
            if best is None and not parents:
                return Proposal(sample(space, rng), "start")
            return self._child(space, history, parents[0] if best is None else best.number, rng)
        return self._child(space, history, parents[0], rng)

    def _best(self, history: History, numbers: Sequence[int]) -> Evaluated | None:
        scored = [done for number in numbers if (done := history.finished[number]).is_scored]
        return max(scored, key=history.rank, default=None)

    def _child(self, space: Any, history: History, parent: int, rng: Random) -> Proposal:
        architecture = history.proposals[parent].architecture
        if len(history.children.get(parent, ())) % self.neighbours == 0:
            return Proposal(architecture, "identity", (parent,))
        for _ in range(self.morphisms):
            architecture = grown(space, architecture, rng) if self.grows else mutate(space, architecture, rng)
        return Proposal(architecture, "morphism" if self.grows else "mutation", (parent,))


def grown(space: Any, architecture: Any, rng: Random) -> Any:
    """Return a member with the next larger option of one decision; the architecture itself where every option is the last."""
    taken = taken_decisions(space, architecture)
    larger = [
        (name, min(others))
        for name, (choice, decision) in taken.items()
        if (others := [other for other in choice.adjacent(decision) if other > decision])
    ]
    return redecide(space, taken, *rng.choice(larger), rng) if larger else architecture
