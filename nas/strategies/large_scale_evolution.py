"""Evolution by duels, with inherited weights: Real et al. 2017, arXiv:1703.01041."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import Annotated, Any, Literal

from nas.history import Evaluated, History, Proposal
from nas.records import Fraction, Range, RecordError, digest, record
from nas.space import first_member, mutate, sample
from nas.strategies.strategy import Strategy

Alive = dict[int, Evaluated]
"""The living population by number, in the order of finishing."""


@record
class LargeScaleEvolution(Strategy):
    """Compare two random members of the population: the worse dies, the better has a child.

    The child is its parent with one decision changed or, with probability `identity`, unchanged: with an evaluator that has
    `inherit`, it goes on with its parent's weights. With probability `reset` it is unchanged and trained from scratch. The paper
    draws among eleven kinds of mutation, these two among them; the others (insert and remove convolutions and skips, alter
    widths, kernels, strides and the learning rate) are the decisions of a space, and of a recipe with open choices. The paper
    keeps the weights of layers whose shapes match; `inherit` also those inside larger layers.

    The population begins with random members; with `start` "first", as in the paper, with copies of the member that has the first
    option of every choice, each trained by itself: for spaces where that is a small network which works. The paper has 1,000
    members.
    """

    population: Annotated[int, Range(2)] = 20
    identity: Fraction = 1 / 11
    reset: Fraction = 1 / 11
    start: Literal["first", "random"] = "random"

    def __post_init__(self) -> None:
        if self.identity + self.reset > 1:
            raise RecordError(
                f"identity {self.identity} and reset {self.reset} are more than 1 together: lower one", "identity"
            )

    def possible_parents(self, history: History) -> Collection[int]:
        return self._alive(history)

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        alive = list(self._alive(history).values())
        if len(history.proposals) < self.population or (len(alive) < 2 and not history.in_flight):
            return Proposal(first_member(space) if self.start == "first" else sample(space, rng), "start")
        if len(alive) < 2:
            return None
        worse, better = sorted(rng.sample(alive, 2), key=history.rank)
        notes, drawn = {"dies": worse.number}, rng.random()
        if drawn < self.reset:
            return Proposal(better.architecture, "reset", notes=notes)
        if drawn < self.reset + self.identity:
            return Proposal(better.architecture, "identity", (better.number,), notes)
        return Proposal(mutate(space, better.architecture, rng), "mutation", (better.number,), notes)

    def _alive(self, history: History) -> Alive:
        alive = history.fold(digest(self), _follow, Alive())
        dying = {proposal.notes.get("dies") for proposal in history.in_flight.values()}
        return {number: done for number, done in alive.items() if number not in dying}


def _follow(alive: Alive, done: Evaluated) -> Alive:
    """Return the population after an evaluation: its victim is dead, and its architecture lives."""
    alive.pop(done.proposal.notes.get("dies", -1), None)
    if done.is_scored:
        alive[done.number] = done
    return alive
