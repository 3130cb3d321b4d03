"""NSGA-II: evolution of a Pareto front by non-dominated sorting and crowding. Deb et al. 2002, IEEE TEC 6(2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Annotated, Any, ClassVar

from nas.history import Evaluated, History, Proposal
from nas.pareto import crowding, fronts
from nas.records import Fraction, Range, record
from nas.space import crossover, mutate, sample
from nas.strategies.strategy import Strategy


@record
class Nsga2(Strategy):
    """Breed from the first fronts of a population, chosen by binary tournaments; crowded members lose.

    A generation is `population` successful evaluations; the best of it and of the population before survive: whole fronts, and
    of the last one the least crowded. Those outside the limits come after all within, the nearest first (Deb's constrained
    domination). A child is the `crossover` of two parents with that probability, else a copy of one; then one decision is
    mutated. The paper waits for whole generations; here free workers draw from the last complete one.
    """

    population: Annotated[int, Range(2)] = 50
    crossover: Fraction = 0.9
    several_objectives: ClassVar[bool] = True

    def propose(self, space: Any, history: History, rng: Random) -> Proposal:
        if len(history.proposals) < self.population:
            return Proposal(sample(space, rng))
        state = history.fold(("nsga2", self.population), partial(_grow, history, self.population), _State())
        pool = state.parents or history.scored
        if not pool:
            return Proposal(sample(space, rng))
        first, second = (self._winner(pool, state, rng) for _ in range(2))
        if rng.random() >= self.crossover:
            return Proposal(mutate(space, first.architecture, rng), "mutation", (first.number,))
        child = crossover(space, first.architecture, second.architecture, rng)
        return Proposal(mutate(space, child, rng), "crossover", (first.number, second.number))

    @staticmethod
    def _winner(pool: Sequence[Evaluated], state: _State, rng: Random) -> Evaluated:
        """Return the winner of a binary tournament; before the first generation is complete, all are equal."""
        pair = rng.choice(pool), rng.choice(pool)
        return min(pair, key=lambda each: state.places.get(each.number, (0, 0.0)))


@dataclass(slots=True)
class _State:
    """The population, each member's place in it (front, minus crowding), and the evaluations since."""

    parents: list[Evaluated] = field(default_factory=list)
    places: dict[int, tuple[int, float]] = field(default_factory=dict)
    offspring: list[Evaluated] = field(default_factory=list)


def _grow(history: History, population: int, state: _State, done: Evaluated) -> _State:
    """Add an evaluation, if it is scored; the last one of a generation makes the next population."""
    if not done.is_scored:
        return state
    state.offspring.append(done)
    if len(state.offspring) < population:
        return state
    # by front, then by crowding: whole fronts first, and the least crowded of the last one
    places = _places(history, [*state.parents, *state.offspring])
    survivors = sorted([*state.parents, *state.offspring], key=lambda each: places[each.number])[:population]
    return _State(survivors, places)


def _places(history: History, candidates: Sequence[Evaluated]) -> dict[int, tuple[int, float]]:
    """Return each candidate's front and minus its crowding distance; outside the limits, the excess instead."""
    excess = {each.number: history.excess(each.scores) for each in candidates}
    within = [each for each in candidates if not excess[each.number]]
    points = [history.values(each) for each in within]
    places = {number: (len(candidates), over) for number, over in excess.items() if over}
    for rank, front in enumerate(fronts(points)):
        distances = crowding([points[i] for i in front])
        places |= {within[i].number: (rank, -distance) for i, distance in zip(front, distances, strict=True)}
    return places
