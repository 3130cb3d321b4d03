"""NetAdapt: a trained network, narrowed layer by layer to a budget. Yang et al. 2018, arXiv:1804.03230, algorithm 1."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import inf
from random import Random
from typing import Annotated, Any

from nas.history import Evaluated, History, Proposal
from nas.membership import taken_decisions
from nas.records import Positive, Range, digest, record
from nas.space import redecide, resolve
from nas.strategies.strategy import Strategy

Move = tuple[str, int, bool]
"""A choice, the decision that narrows it, and whether the network is to be trained, or only screened."""


@record
class NetAdapt(Strategy):
    """Narrow a trained network until the cost `screen` is the share `keep` of what it was, step by step.

    In each iteration the cost must fall by the share `step` of the first one, times `decay` for each iteration before. Every
    choice is narrowed by itself, to its largest option that meets this; each such network is trained shortly, and the one with
    the best value is the next. Options are listed from the smallest to the largest; the first network takes the last of each.
    Choices of several picks stay as they are. Where no choice alone can save so much, each takes its first option.

    It is for evaluators with `inherit: l2`, by which the filters with the largest norms stay, as in the paper. The recipe is
    that of the short training; the first network is trained `first` times in a row, and the last one, which is the paper's
    long training, for the rest of the budget. Costs are screened: that trains nothing, but counts as an evaluation, so give a
    budget in epochs. The paper adds costs of layers from tables; here they are those of whole networks.
    """

    screen: str = "macs"
    keep: Annotated[float, Range(0.001, 1)] = 0.5
    step: Annotated[float, Range(0.001, 1)] = 0.05
    decay: Annotated[float, Range(0.1, 1)] = 1.0
    first: Positive = 1

    def rungs(self) -> tuple[int, ...]:
        return (0,)

    def screens_by(self) -> tuple[str, ...]:
        return (self.screen,)

    def possible_parents(self, history: History) -> Collection[int]:
        state = self._state(history)
        current = [] if state.current is None else [state.current]
        return [done.number for done in (*current, *state.trained.values())]

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        state = self._state(history)
        if state.current is None:
            start = Proposal(resolve(space, lambda choice: choice.arity - 1), "start")
            return None if history.in_flight else start
        architecture, parents = state.current.architecture, (state.current.number,)
        taken = taken_decisions(space, architecture)
        sizes = {name: decision for name, (choice, decision) in taken.items() if choice.k is None}
        if state.trainings < self.first or self._is_narrow(state) or not any(sizes.values()):
            return None if history.in_flight else Proposal(architecture, "identity", parents)
        notes = {"iteration": state.iteration, "sizes": sizes}
        under_way = [each.notes.get("narrows") for each in history.in_flight.values()]
        moves = [move for move in state.moves(sizes) if list(move) not in under_way]
        if not moves:
            return None
        name, decision, trains = move = rng.choice(moves)
        narrower = redecide(space, taken, name, decision, rng)
        return Proposal(narrower, "narrowed", parents, {**notes, "narrows": list(move)}, None if trains else 0)

    def _state(self, history: History) -> _State:
        return history.fold(digest(self), partial(self._follow, history), _State())

    def _follow(self, history: History, state: _State, done: Evaluated) -> _State:
        notes = done.proposal.notes
        if "narrows" not in notes:
            if done.is_scored:
                state.current, state.trainings = done, state.trainings + 1
                state.whole = done.scores.get(self.screen, inf) if state.trainings == 1 else state.whole
                state.target = max(self.keep, 1 - self.step) * state.whole
            return state
        name, decision, trains = notes["narrows"]
        if trains:
            state.trained[name] = done
        else:
            # a cost that is not known is no reason to narrow further, one of a network that cannot be built is
            cost = done.scores.get(self.screen, 0.0) if done.is_screened else inf
            state.fits.setdefault(name, {})[decision] = cost <= state.target
        if not any(state.moves(notes["sizes"])):
            self._next_iteration(history, state)
        return state

    def _next_iteration(self, history: History, state: _State) -> None:
        """Make the best of the narrowed networks the current one, and set the target below its cost."""
        scored = [done for done in state.trained.values() if done.is_scored]
        state.trained = {}
        if not scored:
            return  # all failed: they are trained again
        state.current = max(scored, key=history.rank)
        state.fits, state.iteration = {}, state.iteration + 1
        saving = self.step * self.decay**state.iteration * state.whole if state.whole < inf else 0.0
        state.target = max(self.keep * state.whole, state.cost(self.screen) - saving)

    def _is_narrow(self, state: _State) -> bool:
        return state.cost(self.screen) <= self.keep * state.whole < inf


@dataclass(slots=True)
class _State:
    """The current network, and what is known of the narrower ones, by choice.

    `whole` is the cost of the first network, `target` that of the next; `fits` says which decisions meet it.
    """

    current: Evaluated | None = None
    trainings: int = 0
    iteration: int = 0
    whole: float = inf
    target: float = inf
    fits: dict[str, dict[int, bool]] = field(default_factory=dict)
    trained: dict[str, Evaluated] = field(default_factory=dict)

    def cost(self, score: str) -> float:
        """Return the cost of the current network."""
        return inf if self.current is None else self.current.scores.get(score, inf)

    def moves(self, sizes: Mapping[str, int]) -> list[Move]:
        """Return what is left to evaluate in this iteration; `sizes` are the current decisions."""
        widest = {name: self._widest(name, size) for name, size in sizes.items()}
        open_ = [(name, each, False) for name, (each, is_known) in widest.items() if not is_known]
        fitting = {name: each for name, (each, is_known) in widest.items() if is_known and each >= 0}
        if not open_ and not fitting:
            fitting = {name: 0 for name, size in sizes.items() if size}
        return [*open_, *((name, each, True) for name, each in fitting.items() if name not in self.trained)]

    def _widest(self, name: str, size: int) -> tuple[int, bool]:
        """Return the largest decision below `size` that fits, -1 if none does; or the next one to screen, by bisection."""
        known = self.fits.get(name, {})
        low = max((each for each, fits in known.items() if fits), default=-1)
        high = min((each for each, fits in known.items() if not fits), default=size)
        return (low, True) if high - low <= 1 else ((low + high) // 2 if low >= 0 or known else high - 1, False)
