"""A warm-up: many proposals screened by a score that needs no training, before a strategy begins with the best of them."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from nas.history import Evaluated, History, Proposal, read_objectives
from nas.records import Positive, RecordError, record
from nas.space import sample
from nas.strategies.random_search import RandomSearch
from nas.strategies.strategy import Strategy, check_takes
from nas.votes import majority_votes


@record
class WarmUp(Strategy):
    """Screen `draws` random architectures, train the `keep` best by the score `screen`, and go on with strategy `of`.

    `screen` is the score of an evaluator before the training, as synflow in the list [Proxies, Training]; a minus before it
    prefers the least, and of several scores the majority votes. The strategy knows the results of the trained ones, as those of a
    warm start. Each screened architecture is an evaluation of the budget, without `seconds`. Source: Abdelfattah et al. 2021,
    arXiv:2101.08134, "warmup".
    """

    of: Strategy = RandomSearch()
    screen: str | tuple[str, ...] = "synflow"
    draws: Positive = 100
    keep: Positive = 10
    several_objectives: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.keep > self.draws:
            raise RecordError(f"keep is {self.keep}, and draws {self.draws}: keep at most as many", "keep")

    def check(self, objectives: int = 1) -> None:
        if self.of.rungs():
            name = type(self.of).__name__
            raise RecordError(
                f"of is {name}, which has rungs: give a strategy without, or epochs [0, ...] to {name}", "of"
            )
        check_takes(self.of, objectives)

    def rungs(self) -> tuple[int, ...]:
        return (0,)

    def screens_by(self) -> tuple[str, ...]:
        return (self.screen,) if isinstance(self.screen, str) else self.screen

    def propose(self, space: object, history: History, rng: Random) -> Proposal | None:
        if len(history.proposals) < self.draws:
            return Proposal(sample(space, rng), "screened", epochs=0)
        if any(proposal.epochs == 0 for proposal in history.in_flight.values()):
            return None
        for done in self._kept(history) if len(history.resumed) < self.keep else ():
            if done.number not in history.resumed:
                return Proposal(done.architecture, "promotion", resumes=done.number)
        return self.of.propose(space, history, rng)

    def _kept(self, history: History) -> list[Evaluated]:
        """Return the best of the screened architectures, without repeats, the best first; of equal ones the earlier."""
        screens = read_objectives(self.screens_by())
        known = [done for done in history.screened if all(name in done.scores for name, _ in screens)]
        values = [[sign * done.scores[name] for name, sign in screens] for done in known]
        ranks = majority_votes(values) if len(screens) > 1 else [value for (value,) in values]
        places = sorted(
            range(len(known)), key=lambda place: (history.excess(known[place].scores), -ranks[place], place)
        )
        distinct: dict[str, Evaluated] = {}
        for place in places:
            distinct.setdefault(known[place].digest, known[place])
        return list(distinct.values())[: self.keep]
