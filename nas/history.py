"""History: the proposals of a search and the result of each evaluation; values only."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar, cast

from nas.pareto import Values, dominates
from nas.records import RecordError, digest, record

S = TypeVar("S")

REUSED = "reused"
"""The worker name of a proposal that took the scores of an equal architecture, evaluated before."""

Scores = Mapping[str, float]
"""The results of an evaluation, by name with unit: `validation_top1_percent`, `params`, `macs`, `seconds`, ..."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An architecture to evaluate, its origin (the operator that made it), and the evaluation numbers of its parents.

    `notes` are plain data that its strategy wants back from the journal.
    """

    architecture: Any
    origin: str = "random"
    parents: tuple[int, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A proposal that was evaluated, with its scores or, where the evaluation failed, the reason."""

    number: int
    proposal: Proposal
    digest: str
    scores: Scores = field(default_factory=dict)
    failure: str | None = None
    worker: str = ""

    @property
    def architecture(self) -> Any:
        """The architecture that was evaluated."""
        return self.proposal.architecture


class Objective(NamedTuple):
    """The name of a score to maximise or, with `sign` -1, to minimise."""

    score: str
    sign: float


def read_objectives(objective: str | Sequence[str]) -> tuple[Objective, ...]:
    """Return the objectives of a text, or of a list of texts; a minus before the name of a score minimises it."""
    texts = [objective] if isinstance(objective, str) else objective
    return tuple(Objective(each.removeprefix("-"), -1.0 if each.startswith("-") else 1.0) for each in texts)


def read_objective(objective: str | Sequence[str]) -> Objective:
    """Return the objective, or the first of several: the one that curves and tables show."""
    return read_objectives(objective)[0]


@record
class Limit:
    """The bounds of a score, both included; an architecture outside them is no result, however good."""

    most: float | None = None
    least: float | None = None

    def __post_init__(self) -> None:
        if self.most is None and self.least is None:
            raise RecordError("the limit has no bound: give `most`, `least` or both")
        if self.most is not None and self.least is not None and self.least > self.most:
            raise RecordError(f"the limit has least {self.least:g} above most {self.most:g}: nothing can satisfy it")

    def excess(self, score: float) -> float:
        """Return how far a score is outside, relative to the bound; 0 inside."""
        above = 0.0 if self.most is None else max(0.0, score - self.most) / (abs(self.most) or 1.0)
        below = 0.0 if self.least is None else max(0.0, self.least - score) / (abs(self.least) or 1.0)
        return above + below

    def describe(self, score: str) -> str:
        """Return the limit in words, such as `params <= 5e+06`."""
        least = "" if self.least is None else f"{self.least:g} <= "
        return f"{least}{score}" + ("" if self.most is None else f" <= {self.most:g}")


def describe_limits(limits: Mapping[str, Limit]) -> str:
    """Return limits in words, with commas between."""
    return ", ".join(limit.describe(name) for name, limit in limits.items())


class History:
    """All proposals by number, and their results.

    `objective` names the score to maximise or, with a minus before it, to minimise: then `sign` is -1. Of several, it is the
    first, and `objectives` has all. `scored` holds the successful evaluations in the order in which they finished, `ranked` the
    same from worst to best: those outside the `limits` first, by how far they are outside. `front` holds the evaluations within
    the limits that no other dominates, the best of the first objective first. `rejected` are the proposals outside a limit that
    was known without an evaluation; `asked` has all proposals in order, each with its number, or None where it was rejected or
    skipped, as a repeat.
    `totals` sums each score.
    """

    def __init__(self, objective: str | Sequence[str], limits: Mapping[str, Limit] | None = None) -> None:
        self.objectives, self.limits = read_objectives(objective), limits or {}
        self.objective, self.sign = self.objectives[0]
        self.front: list[Evaluated] = []
        self.rejected: list[Proposal] = []
        self.asked: list[tuple[int | None, Proposal]] = []
        self._folded: dict[Hashable, tuple[int, Any]] = {}
        self.proposals: list[Proposal] = []
        self.digests: list[str] = []
        self.in_flight: dict[int, Proposal] = {}
        self.finished: dict[int, Evaluated] = {}
        self.scored: list[Evaluated] = []
        self.ranked: list[Evaluated] = []
        self.failures: list[Evaluated] = []
        self.by_digest: dict[str, Evaluated] = {}
        self.known: dict[str, Any] = {}
        self.children: dict[int, list[int]] = {}
        self.totals: dict[str, float] = {}

    def start(self, proposal: Proposal) -> int:
        """Add a proposal and return its number. Equal architectures share one object."""
        number, name = len(self.proposals), digest(proposal.architecture)
        # Sharing saves memory, and keeps the caches that walks set on a record.
        same = self.known.setdefault(name, proposal.architecture)
        if same is not proposal.architecture:
            proposal = replace(proposal, architecture=same)
        self.proposals.append(proposal)
        self.asked.append((number, proposal))
        self.digests.append(name)
        self.in_flight[number] = proposal
        for parent in proposal.parents:
            self.children.setdefault(parent, []).append(number)
        return number

    def finish(self, number: int, scores: Scores, worker: str = "") -> Evaluated:
        """Add the scores of a proposal, without the non-finite ones.

        The evaluation counts as failed where the score of an objective or a limit is missing or not finite.
        """
        for name in (*(each.score for each in self.objectives), *self.limits):
            if name not in scores:
                return self.fail(number, f"{name} is missing: the scores are {', '.join(scores) or 'none'}", worker)
            if not math.isfinite(scores[name]):
                return self.fail(number, f"{name} is {scores[name]}", worker)
        scores = {name: score for name, score in scores.items() if math.isfinite(score)}
        done = Evaluated(number, self.proposals[number], self.digests[number], scores, None, worker)
        self._close(done)
        self.by_digest[done.digest] = done
        self.scored.append(done)
        insort(self.ranked, done, key=self.rank)
        self._join_front(done)
        for name, score in scores.items():
            self.totals[name] = self.totals.get(name, 0.0) + score
        return done

    def fail(self, number: int, reason: str, worker: str = "") -> Evaluated:
        """Add a failed evaluation, with its reason."""
        done = Evaluated(number, self.proposals[number], self.digests[number], {}, reason, worker)
        self._close(done)
        self.failures.append(done)
        return done

    def _close(self, done: Evaluated) -> None:
        del self.in_flight[done.number]
        self.finished[done.number] = done

    def reject(self, proposal: Proposal) -> None:
        """Note a proposal that is outside a limit; its architecture is known from now on, and takes no number."""
        self.known.setdefault(digest(proposal.architecture), proposal.architecture)
        self.rejected.append(proposal)
        self.asked.append((None, proposal))

    def skip(self, proposal: Proposal) -> None:
        """Note a proposal whose architecture is known, where such ones are not wanted; it takes no number."""
        self.asked.append((None, proposal))

    def value(self, evaluated: Evaluated) -> float:
        """Return the value that the search maximises; of several objectives, that of the first."""
        return self.sign * evaluated.scores[self.objective]

    def values(self, evaluated: Evaluated) -> Values:
        """Return the values that the search maximises, one for each objective."""
        return tuple(sign * evaluated.scores[name] for name, sign in self.objectives)

    def excess(self, scores: Scores) -> float:
        """Return how far scores are outside the limits, relative to the bounds; 0 within. Missing scores do not count."""
        return sum(limit.excess(scores[name]) for name, limit in self.limits.items() if name in scores)

    def rank(self, evaluated: Evaluated) -> tuple[float, float]:
        """Return the key by which parents are compared: within the limits before outside, then the value."""
        return -self.excess(evaluated.scores), self.value(evaluated)

    def fold(self, key: Hashable, step: Callable[[S, Evaluated], S], start: S) -> S:
        """Return `step` applied to `start` and every successful evaluation, in the order of finishing.

        Each evaluation is folded in once for each `key`. So a strategy remembers, at a constant cost, and what it remembers is
        a function of the journal. `step` returns a new state, or changes the given one.
        """
        # `scored` only grows at its end: a number says which evaluations the state has
        done, state = cast(tuple[int, S], self._folded.get(key, (0, start)))
        for evaluated in self.scored[done:]:
            state = step(state, evaluated)
        self._folded[key] = len(self.scored), state
        return state

    def _join_front(self, done: Evaluated) -> None:
        if self.excess(done.scores):
            return
        values = self.values(done)
        # the front is short next to the history, so a pass over it costs little
        others = [(each, self.values(each)) for each in self.front]
        if any(known == values or dominates(known, values) for _, known in others):
            return  # of equal ones the earliest stays
        front = [each for each, known in others if not dominates(values, known)] + [done]
        self.front = sorted(front, key=self.value, reverse=True)

    @property
    def best(self) -> Evaluated | None:
        """The best evaluation so far by the first objective, within the limits if one is; the earliest of equal ones."""
        if not self.ranked:
            return None
        # `insort` puts equal values in the order of finishing, so step back to the first of them.
        top = self.rank(self.ranked[-1])
        i = len(self.ranked) - 1
        while i and self.rank(self.ranked[i - 1]) == top:
            i -= 1
        return self.ranked[i]
