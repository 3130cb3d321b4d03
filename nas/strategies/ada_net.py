"""AdaNet: an ensemble that grows by one member at a time. Cortes et al. 2017, arXiv:1607.01097."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from nas.choice import Choice
from nas.history import Evaluated, History, Proposal
from nas.records import RecordError, digest, record
from nas.space import choices, decisions, resolve
from nas.strategies.strategy import Strategy


@record
class AdaNet(Strategy):
    """Grow an ensemble: in each iteration a member as deep as the last one, and one a step deeper, are tried; the better joins.

    `size` names the choice of how many members there are, by default the first choice of the space; `depth` ends the name of
    each member's depth, as in the space `adanet`. Options go from the smallest to the largest; what else a new member opens is
    drawn. It is for the evaluator `EnsembleTraining`, with the objective "-ensemble_objective". Where neither candidate lowers
    it, or the ensemble has its largest size, the search begins again with other random numbers; the paper ends there.

    Candidates are those of the simplified form, Weill et al. 2019, arXiv:1905.00080. In the first paper the deeper candidate also
    reads the layers of the last member; here, as in the simplified form, members share the input alone.
    """

    size: str = "size"
    depth: str = "depth"

    def possible_parents(self, history: History) -> Collection[int]:
        state = self._state(history)
        found = (state.current, *state.tried.values())
        return [done.number for done in found if done is not None and done.is_scored]

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        state = self._state(history)
        deeper = [each.notes.get("deeper") for each in history.in_flight.values() if self._is_of(state, each.notes)]
        left = [i for i in (0, 1) if i not in state.tried and i not in deeper]
        if not left:
            return None
        current = state.current
        grown = self._grown(space, current, left[0], rng)
        if grown is None:  # the largest size: from the start
            current, grown = None, self._grown(space, None, left[0], rng)
        parents = () if current is None else (current.number,)
        notes = {"iteration": state.iteration, "deeper": left[0]}
        return Proposal(grown, "grown" if parents else "start", parents, notes)

    def _grown(self, space: Any, current: Evaluated | None, deeper: int, rng: Random) -> Any:
        """Return the ensemble with one member more; None where it has its largest size."""
        known = choices(space)
        size = self.size if self.size in known else next((name for name, each in known.items() if each.k is None), None)
        if size is None:
            raise RecordError(
                "AdaNet grows what one choice gives the size of, and the space has none: give one, as adanet"
            )
        taken = {} if current is None else decisions(space, current.architecture)
        depths = [each for name, each in taken.items() if self._is_depth(name)]
        wanted = taken.get(size, -1) + 1
        if wanted >= known[size].arity:
            return None

        def decide(choice: Choice) -> int:
            if choice.name == size:
                return wanted
            if choice.name in taken:
                return taken[choice.name]
            if self._is_depth(choice.name):
                return min((depths[-1] if depths else 0) + deeper, choice.arity - 1)
            return rng.randrange(choice.arity)

        return resolve(space, decide)

    def _is_depth(self, name: str) -> bool:
        return name.rpartition("/")[2] == self.depth

    def _is_of(self, state: _State, notes: Any) -> bool:
        return notes.get("iteration") == state.iteration and "deeper" in notes

    def _state(self, history: History) -> _State:
        return history.fold(digest(self), partial(self._follow, history), _State())

    def _follow(self, history: History, state: _State, done: Evaluated) -> _State:
        if not self._is_of(state, done.proposal.notes):
            return state
        state.tried[done.proposal.notes["deeper"]] = done
        if len(state.tried) == 2:
            scored = [each for each in state.tried.values() if each.is_scored]
            best = max(scored, key=history.rank, default=None)
            before = state.current if done.proposal.parents else None
            improves = best is not None and (before is None or history.value(best) > history.value(before))
            state.current, state.tried, state.iteration = (best if improves else None), {}, state.iteration + 1
        return state


@dataclass(slots=True)
class _State:
    """The ensemble so far, None at the start; and the candidates of this iteration that were evaluated."""

    current: Evaluated | None = None
    iteration: int = 0
    tried: dict[int, Evaluated] = field(default_factory=dict)
