"""Successive halving: many short trainings, of which the best go on. Asynchronous, as ASHA, or in cohorts."""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from random import Random
from typing import Annotated, Any, ClassVar

from nas.history import Evaluated, History, Proposal
from nas.records import Positive, Range, RecordError, record
from nas.strategies.random_search import RandomSearch
from nas.strategies.strategy import Strategy

Eta = Annotated[int, Range(2)]


@record
class SuccessiveHalving(Strategy):
    """Train proposals of a strategy for the first of `epochs`; the best 1 / `eta` of each rung go on to the next.

    Without a `cohort` it is asynchronous: whoever is among the best 1 / `eta` of its rung by now is promoted at once (ASHA, Li et
    al. 2020, arXiv:1810.05934, algorithm 2). With one, each `cohort` proposals are compared among themselves when all of a rung
    have ended (Jamieson & Talwalkar 2016, arXiv:1502.07943); a free worker begins the next cohort meanwhile. A promotion goes on
    from the checkpoint of its training, in the schedule of the whole recipe. Failures are never promoted. Of several objectives
    the first decides about promotions.
    """

    of: Strategy = RandomSearch()
    epochs: tuple[Positive, ...] = (1, 3, 9)
    eta: Eta = 3
    cohort: Positive | None = None
    several_objectives: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_rungs(self.epochs)
        if self.cohort is not None and self.cohort < (least := self.eta ** (len(self.epochs) - 1)):
            raise RecordError(
                f"cohort is {self.cohort}, and none of it reaches the last rung: give at least {least}", "cohort"
            )

    def check(self, objectives: int = 1) -> None:
        check_inner(self.of, objectives)

    def rungs(self) -> tuple[int, ...]:
        return self.epochs

    def resumable(self, history: History) -> Collection[int]:
        return self._brackets(history).resumable()

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        return self._brackets(history).propose(self.of, space, history, rng)

    def _brackets(self, history: History) -> Brackets:
        return brackets_of(history, self.epochs, self.eta, repeat((0, self.cohort)), self)


def check_rungs(epochs: tuple[int, ...]) -> None:
    """Raise RecordError where epochs are not ascending."""
    if not epochs or list(epochs) != sorted(set(epochs)):
        raise RecordError(f"epochs is {list(epochs)}: give ascending numbers, as [1, 3, 9]", "epochs")


def check_inner(of: Strategy, objectives: int) -> None:
    """Raise RecordError where the strategy inside another one has rungs of its own, or cannot take the objectives."""
    if of.rungs():
        raise RecordError(f"of is {type(of).__name__}, which has rungs of its own: give a strategy without", "of")
    if objectives > 1 and not of.several_objectives:
        raise RecordError(f"of is {type(of).__name__}, which goes by one objective, and there are {objectives}", "of")
    of.check(objectives)


Key = tuple[float, ...]


@dataclass(slots=True)
class _Rung:
    """The evaluations that ended at a rung: those that wait, with the best last, and the keys of the promoted ones."""

    waiting: list[tuple[Key, int]] = field(default_factory=list)
    promoted: list[Key] = field(default_factory=list)
    ended: int = 0

    def best(self, places: int) -> int | None:
        """Return the best that waits, where it is among the first `places` of the rung."""
        if not self.waiting:
            return None
        key, number = self.waiting[-1]
        better = len(self.promoted) - bisect(self.promoted, key)
        return number if better < places else None

    def promote(self, number: int) -> None:
        """Move an evaluation from those that wait to the promoted ones; it is their last, or near."""
        for place in reversed(range(len(self.waiting))):
            if self.waiting[place][1] == number:
                insort(self.promoted, self.waiting.pop(place)[0])
                return


class _Bracket:
    """One bracket of halving: its first rung, and how many proposals it takes; None is any number."""

    def __init__(self, first: int, size: int | None, eta: int, rungs: int) -> None:
        self.first, self.size, self.eta, self.taken = first, size, eta, 0
        self.rungs = [_Rung() for _ in range(rungs)]

    def promotable(self) -> tuple[int, int] | None:
        """Return an evaluation to promote, with the rung that it goes to; from the highest rung first, as ASHA."""
        for rung in reversed(range(self.first, len(self.rungs) - 1)):
            number = self.rungs[rung].best(self._places(rung))
            if number is not None:
                return number, rung + 1
        return None

    def _places(self, rung: int) -> int:
        """Return how many of a rung go on, as far as is known: of a cohort none before all have ended."""
        if self.size is None:
            return self.rungs[rung].ended // self.eta
        return self.expected(rung) // self.eta if self._is_over(rung) else 0

    def _is_over(self, rung: int) -> bool:
        return self.rungs[rung].ended >= self.expected(rung)

    def expected(self, rung: int) -> int:
        """Return how many evaluations a rung of a cohort takes: fewer where not enough of the rung before succeeded."""
        if rung == self.first:
            return self.size or 0
        before = self.rungs[rung - 1]
        places = self.expected(rung - 1) // self.eta
        return min(places, len(before.waiting) + len(before.promoted)) if self._is_over(rung - 1) else places

    @property
    def is_over(self) -> bool:
        """Whether every rung of a cohort has ended."""
        return self.size is not None and all(map(self._is_over, range(self.first, len(self.rungs))))

    def resumable(self) -> Iterator[int]:
        """Yield the evaluations that may still be promoted; in an endless rung those that probably are."""
        for rung in range(self.first, len(self.rungs) - 1):
            known = self.rungs[rung]
            # a rank among the first 1 / eta may still be reached from two standard deviations behind
            places = known.ended // self.eta + int(known.ended**0.5) + 1
            if self.size is not None:
                places = self.expected(rung) // self.eta
            left = max(0, places - len(known.promoted))
            yield from (number for _, number in known.waiting[len(known.waiting) - left :])


class Brackets:
    """The brackets of a search, as a function of its history."""

    def __init__(self, epochs: tuple[int, ...], eta: int, shapes: Iterator[tuple[int, int | None]]) -> None:
        self.epochs, self.eta, self.shapes = epochs, eta, shapes
        self.open: list[_Bracket] = []
        self.of: dict[int, _Bracket] = {}
        self.seen = 0

    def follow(self, history: History) -> None:
        """Take the proposals that are new: each belongs to the bracket of the one that it resumes, or to the newest."""
        for number in range(self.seen, len(history.proposals)):
            resumed = history.proposals[number].resumes
            if resumed is None:
                bracket = self._newest()
                bracket.taken += 1
            else:
                bracket = self.of[resumed]
                bracket.rungs[self._rung(history.proposals[resumed])].promote(resumed)
            self.of[number] = bracket
        self.seen = len(history.proposals)

    def _newest(self) -> _Bracket:
        """Return the bracket that takes new proposals; a new one where the last is full."""
        if not self.open or self.open[-1].taken == self.open[-1].size:
            first, size = next(self.shapes)
            self.open.append(_Bracket(first, size, self.eta, len(self.epochs)))
        return self.open[-1]

    def _rung(self, proposal: Proposal) -> int:
        return self.epochs.index(proposal.epochs or self.epochs[-1])

    def end(self, history: History, done: Evaluated) -> None:
        """Add the end of an evaluation to its rung."""
        self.follow(history)
        rung = self.of[done.number].rungs[self._rung(done.proposal)]
        rung.ended += 1
        if done.failure is None:
            key = (*history.rank(done), -done.number)  # of equal ones the earlier goes on
            if done.number in history.resumed:
                insort(rung.promoted, key)
            else:
                insort(rung.waiting, (key, done.number))

    def resumable(self) -> set[int]:
        """Return the evaluations that may still be promoted."""
        return {number for bracket in self._unfinished() for number in bracket.resumable()}

    def _unfinished(self) -> list[_Bracket]:
        # the newest stays, as it may not be full yet
        self.open = [each for each in self.open if each is self.open[-1] or not each.is_over]
        return self.open

    def propose(self, of: Strategy, space: Any, history: History, rng: Random) -> Proposal | None:
        """Return a promotion where one is due, in the oldest bracket first; else a new proposal for the newest bracket."""
        for bracket in self._unfinished():
            if (due := bracket.promotable()) is not None:
                number, rung = due
                architecture = history.proposals[number].architecture
                return Proposal(architecture, "promotion", (number,), epochs=self.epochs[rung], resumes=number)
        fresh = of.propose(space, history, rng)
        if fresh is None:
            return None
        first = self._newest().first
        return Proposal(fresh.architecture, fresh.origin, fresh.parents, fresh.notes, epochs=self.epochs[first])


def brackets_of(
    history: History, epochs: tuple[int, ...], eta: int, shapes: Iterator[tuple[int, int | None]], key: Strategy
) -> Brackets:
    """Return the brackets of a history; `shapes` are the first rung and the size of each, in order."""

    def step(brackets: Brackets, done: Evaluated) -> Brackets:
        brackets.end(history, done)
        return brackets

    brackets = history.fold(("brackets", key), step, Brackets(epochs, eta, shapes))
    brackets.follow(history)
    return brackets
