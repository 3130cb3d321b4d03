"""History: the proposals of a search and the result of each evaluation; values only."""

from __future__ import annotations

import math
from bisect import bisect, bisect_left
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar, cast

from nas.pareto import Values, with_member
from nas.records import RecordError, digest, record

S = TypeVar("S")

REUSED = "reused"
"""The worker name of a proposal that took the scores of an equal architecture, evaluated before."""

Scores = Mapping[str, float]
"""The results of an evaluation, by name with unit: `validation_top1_percent`, `params`, `macs`, `seconds`, ..."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An architecture to evaluate, its origin (the operator that made it), and the evaluation numbers of its parents.

    `notes` are plain data that its strategy wants back from the journal. With `epochs` its training ends after so many, None is
    the recipe's end; with 0 it is only screened, by scores that need no training. `resumes` is the number of the evaluation that
    it continues.
    """

    architecture: Any
    origin: str = "random"
    parents: tuple[int, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    resumes: int | None = None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A proposal that was evaluated, with its scores or, where the evaluation failed, the reason.

    `epochs` is how far its training came, None where to the end of its recipe.
    """

    number: int
    proposal: Proposal
    digest: str
    scores: Scores = field(default_factory=dict)
    failure: str | None = None
    worker: str = ""
    epochs: int | None = None

    @property
    def architecture(self) -> Any:
        """The architecture that was evaluated."""
        return self.proposal.architecture

    @property
    def is_stopped(self) -> bool:
        """Whether its training was stopped before the epochs that its proposal asked for."""
        return self.epochs is not None and self.epochs != self.proposal.epochs

    @property
    def is_screened(self) -> bool:
        """Whether it was not to be trained, and has only scores that need no training."""
        return self.failure is None and self.proposal.epochs == 0

    @property
    def is_scored(self) -> bool:
        """Whether it has the score that the search maximises."""
        return self.failure is None and not self.is_screened


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
    same from worst to best: those outside the `limits` first, by how far they are outside, then by epochs. `screened` holds those
    that were not to be trained. `front` holds the evaluations within the limits that no other dominates, the best of the first
    objective first. `rejected` are the
    proposals outside a limit that was known without an evaluation; `asked` has all proposals in order, each with its number, or
    None where it was rejected or skipped, as a repeat. `curves` has the scores after each epoch of an evaluation, and `resumed`
    the number that continued it; `epochs` is the sum of the reported epochs. `totals` sums each score, of `seconds` those that
    were not trained by a resumed evaluation. `paid` counts the proposals that did not reuse scores, `stopped` the evaluations
    that ended before the epochs that they were proposed for.
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
        self.closed: list[Evaluated] = []
        self.scored: list[Evaluated] = []
        self.ranked: list[Evaluated] = []
        self._ranks: list[tuple[float, float, float]] = []
        self.screened: list[Evaluated] = []
        self.failures: list[Evaluated] = []
        self.scored_as: dict[tuple[str, int | None], Evaluated] = {}
        self.curves: dict[int, dict[int, Scores]] = {}
        self.resumed: dict[int, int] = {}
        self.known: dict[str, Any] = {}
        self.children: dict[int, list[int]] = {}
        self.totals: dict[str, float] = {}
        self.epochs = self.paid = self.stopped = 0

    def start(self, proposal: Proposal, name: str = "") -> int:
        """Add a proposal and return its number. Equal architectures share one object; `name` is their digest if it is known."""
        number, name = len(self.proposals), name or digest(proposal.architecture)
        # Sharing saves memory, and keeps the caches that walks set on a record.
        same = self.known.setdefault(name, proposal.architecture)
        if same is not proposal.architecture:
            proposal = replace(proposal, architecture=same)
        self.proposals.append(proposal)
        self.asked.append((number, proposal))
        self.paid += 1
        self.digests.append(name)
        self.in_flight[number] = proposal
        for parent in proposal.parents:
            self.children.setdefault(parent, []).append(number)
        if proposal.resumes is not None:
            self.resumed[proposal.resumes] = number
        return number

    def root(self, number: int) -> int:
        """Return the number of the evaluation that began the training which this one continues; its own where it began it."""
        while (before := self.proposals[number].resumes) is not None:
            number = before
        return number

    def curve(self, number: int) -> Mapping[int, Scores]:
        """Return the scores after each epoch of an evaluation, also before it resumed another; empty where it has no curve."""
        return self.curves.get(self.root(number), {})

    def report(self, number: int, epoch: int, scores: Scores) -> bool:
        """Add the scores after an epoch; returns False where the curve has that epoch already, as after an interruption."""
        curve = self.curves.setdefault(self.root(number), {})
        if epoch in curve:
            return False
        self.epochs += max(0, epoch - max(curve, default=0))
        curve[epoch] = scores
        return True

    def finish(self, number: int, scores: Scores, worker: str = "", epochs: int | None = None) -> Evaluated:
        """Add the scores of a proposal, without the non-finite ones; `epochs` where it did not come to its recipe's end.

        The evaluation counts as failed where the score of an objective or a limit is missing or not finite, unless it was only
        screened.
        """
        needed = () if self.proposals[number].epochs == 0 else (*(each.score for each in self.objectives), *self.limits)
        for name in needed:
            if name not in scores and self.excess(scores):
                return self._end_outside(number, scores, worker)
            if name not in scores:
                return self.fail(number, f"{name} is missing: the scores are {', '.join(scores) or 'none'}", worker)
            if not math.isfinite(scores[name]):
                return self.fail(number, f"{name} is {scores[name]}", worker)
        scores = {name: score for name, score in scores.items() if math.isfinite(score)}
        done = Evaluated(number, self.proposals[number], self.digests[number], scores, None, worker, epochs)
        self._close(done)
        self.scored_as[done.digest, epochs] = done
        self.paid -= worker == REUSED
        if done.is_screened:
            self.screened.append(done)
        else:
            self._add_scored(done)
        return done

    def _add_scored(self, done: Evaluated) -> None:
        self.scored.append(done)
        rank = self.rank(done)
        place = bisect(self._ranks, rank)  # after equal ones
        self._ranks.insert(place, rank)
        self.ranked.insert(place, done)
        self._join_front(done)
        self.stopped += done.is_stopped
        for name, score in done.scores.items():
            self.totals[name] = self.totals.get(name, 0.0) + score
        if "seconds" in done.scores:
            self.totals["seconds"] -= self._seconds_before(done)

    def _seconds_before(self, done: Evaluated) -> float:
        """Return the seconds that a resumed evaluation had trained; a table has no curves, and pays for each training."""
        resumed = done.proposal.resumes
        if resumed is None or done.worker == REUSED or resumed not in self.finished:
            return 0.0
        return self.curve(done.number).get(self.finished[resumed].epochs or 0, {}).get("seconds", 0.0)

    @property
    def evaluations(self) -> int:
        """The number of evaluations that ended, without those that reused scores."""
        return self.paid - len(self.in_flight)

    @property
    def reused(self) -> int:
        """The number of proposals that reused scores."""
        return len(self.proposals) - self.paid

    def _end_outside(self, number: int, scores: Scores, worker: str) -> Evaluated:
        """Add an evaluation that ended where a score was outside a limit, before its objective was known."""
        broken = {name: limit for name, limit in self.limits.items() if name in scores and limit.excess(scores[name])}
        measured = ", ".join(f"{name} is {scores[name]:g}" for name in broken)
        reason = f"outside {describe_limits(broken)}: {measured}"
        done = Evaluated(number, self.proposals[number], self.digests[number], scores, reason, worker)
        self._close(done)
        self.failures.append(done)
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
        self.closed.append(done)

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
        if not self.limits:
            return 0.0
        return sum(limit.excess(scores[name]) for name, limit in self.limits.items() if name in scores)

    def rank(self, evaluated: Evaluated) -> tuple[float, float, float]:
        """Return the key by which parents are compared: within the limits before outside, then the epochs, then the value."""
        epochs = math.inf if evaluated.epochs is None else evaluated.epochs
        return -self.excess(evaluated.scores), epochs, self.value(evaluated)

    def screened_rank(self, done: Evaluated, screen: Objective) -> tuple[float, float]:
        """Return the key by which screened evaluations are compared: within the limits before outside, then the score."""
        score = done.scores.get(screen.score)
        return -self.excess(done.scores), -math.inf if score is None else screen.sign * score

    def fold(self, key: Hashable, step: Callable[[S, Evaluated], S], start: S) -> S:
        """Return `step` applied to `start` and every evaluation, also a failed one, in the order of finishing.

        Each evaluation is folded in once for each `key`. So a strategy remembers, at a constant cost, and what it remembers is
        a function of the journal. `step` returns a new state, or changes the given one.
        """
        # `closed` only grows at its end: a number says which evaluations the state has
        done, state = cast(tuple[int, S], self._folded.get(key, (0, start)))
        for evaluated in self.closed[done:]:
            state = step(state, evaluated)
        self._folded[key] = len(self.closed), state
        return state

    def _join_front(self, done: Evaluated) -> None:
        if self.excess(done.scores):
            return
        values = self.values(done)
        if len(values) == 1:
            if not self.front or values > self.values(self.front[0]):
                self.front = [done]
            return
        # the front is short next to the history, so a pass over it costs little
        others = [each for each in self.front if each.number != done.proposal.resumes]
        self.front = sorted(with_member(others, done, self.values), key=self.value, reverse=True)

    @property
    def best(self) -> Evaluated | None:
        """The best evaluation so far by the first objective, within the limits if one is; the earliest of equal ones."""
        # equal ones are in the order of finishing
        return self.ranked[bisect_left(self._ranks, self._ranks[-1])] if self.ranked else None
