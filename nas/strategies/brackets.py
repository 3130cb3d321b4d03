"""The brackets of successive halving: which evaluations ended at which rung, and who goes on."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect, insort
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields
from random import Random
from typing import Annotated, Any, ClassVar

from nas.history import Evaluated, History, Proposal, read_objective
from nas.records import Natural, Range, RecordError, record
from nas.strategies.random_search import RandomSearch
from nas.strategies.strategy import Strategy, check_takes

Shape = tuple[int, int | None]
"""The first rung of a bracket, and the number of its proposals; None is any number."""


@record
class Halving(Strategy):
    """A strategy around another one, whose best proposals are trained further, rung by rung.

    The proposals of `of` are trained for the first of `epochs`; the best 1 / `eta` of each rung go on to the next. Where the
    first is 0, proposals are not trained there, and compared by the score `screen`, as synflow, or -params for the fewest.
    """

    of: Strategy = RandomSearch()
    epochs: tuple[Natural, ...] = (1, 3, 9)
    eta: Annotated[int, Range(2)] = 3
    screen: str | None = None
    several_objectives: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.epochs or list(self.epochs) != sorted(set(self.epochs)):
            raise RecordError(f"epochs is {list(self.epochs)}: give ascending numbers, as [1, 3, 9]", "epochs")
        if self.epochs[0] == 0 and self.screen is None:
            raise RecordError("the first rung is 0 epochs: give in `screen` the score that compares there", "screen")
        if self.screen is not None and self.epochs[0] != 0:
            raise RecordError(f"screen is {self.screen}, and the first rung {self.epochs[0]} epochs: give 0", "epochs")

    @abstractmethod
    def shapes(self) -> Iterator[Shape]:
        """Yield the brackets in their order, without an end."""

    def check(self, objectives: int = 1) -> None:
        if self.of.rungs():
            name = type(self.of).__name__
            raise RecordError(f"of is {name}, which has rungs of its own: give a strategy without", "of")
        check_takes(self.of, objectives)

    def rungs(self) -> tuple[int, ...]:
        return self.epochs

    def screens_by(self) -> tuple[str, ...]:
        return () if self.screen is None else (self.screen,)

    def resumable(self, history: History) -> Collection[int]:
        return self._brackets(history).resumable()

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        return self._brackets(history).propose(self.of, space, history, rng)

    def _brackets(self, history: History) -> Brackets:
        def step(brackets: Brackets, done: Evaluated) -> Brackets:
            brackets.end(history, done)
            return brackets

        # without `of`, whose settings may be a mapping, and which has no rungs
        settings = tuple(getattr(self, each.name) for each in fields(self) if each.name != "of")
        brackets = history.fold(
            ("brackets", type(self).__name__, settings),
            step,
            Brackets(self.epochs, self.eta, self.shapes(), self.screen),
        )
        brackets.follow(history)
        return brackets


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

    def __init__(self, epochs: tuple[int, ...], eta: int, shapes: Iterator[Shape], screen: str | None = None) -> None:
        self.epochs, self.eta, self.shapes = epochs, eta, shapes
        self.screen = None if screen is None else read_objective(screen)
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
        return self.epochs.index(self.epochs[-1] if proposal.epochs is None else proposal.epochs)

    def end(self, history: History, done: Evaluated) -> None:
        """Add the end of an evaluation to its rung."""
        self.follow(history)
        rung = self.of[done.number].rungs[self._rung(done.proposal)]
        rung.ended += 1
        if done.failure is None:
            screen = self.screen if done.is_screened else None
            rank: Key = history.rank(done) if screen is None else history.screened_rank(done, screen)
            key = (*rank, -done.number)  # of equal ones the earlier goes on
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
