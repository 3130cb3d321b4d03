"""Progressive search: PNAS, Liu et al. 2018, arXiv:1712.00559, algorithm 1; PPP-Net, Dong et al. 2018, arXiv:1806.08198."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

from nas.choice import Choice
from nas.history import Evaluated, History, Proposal
from nas.pareto import front_by_front
from nas.predictors.encoding import Encoding
from nas.predictors.learning import fitted
from nas.predictors.mlp_ensemble import MlpEnsemble
from nas.predictors.one_hot import OneHot
from nas.predictors.predictor import Predictor
from nas.records import Positive, digest, record
from nas.space import choices, decisions, mutate, resolve, sample
from nas.strategies.strategy import Strategy

LEVEL = "level"
"""The key, in the notes of a proposal, of the level that it belongs to."""


@record
class Pnas(Strategy):
    """Grow architectures level by level: expand the evaluated ones, and evaluate the `width` best predicted.

    The choices, in their order, are divided into `levels` groups, as the blocks of a cell. A level opens one group; the groups
    after it take their first options. In the first level `width` settings of its group are drawn. Then the predictor is
    fitted to all evaluations, and each architecture of the level before is expanded by at most `expansions` settings of the
    next group. Free workers wait at the end of a level. What is left of the budget after the last level goes to mutations of
    the best. The paper's cells have fewer blocks at first, which is the same where the first option is none or a skip; its
    predictor is a recurrent network or an ensemble. No code of its search was released.

    With several objectives it is PPP-Net's Pareto progression (Dong et al. 2018, section 3.2): each objective is predicted, and
    the expansions are evaluated front by front, the least crowded of a front first. The paper counts the parameters and
    operations of each expansion, and measures its time; here all objectives are predicted from the evaluations, costs too.
    """

    several_objectives: ClassVar[bool] = True

    predictor: Predictor = MlpEnsemble()
    encoding: Encoding = OneHot()
    levels: Positive = 5
    width: Positive = 256
    expansions: Positive = 100

    def check(self, objectives: int = 1) -> None:
        self.predictor.check()

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        grown, groups = history.fold(digest(self), _add, _Grown()), self._groups(space)
        in_flight = [each.notes[LEVEL] for each in history.in_flight.values() if LEVEL in each.notes]
        level = max([0, *grown.closed, *in_flight])
        while level < len(groups):
            under_way = in_flight.count(level)
            is_full = len(grown.closed.get(level, ())) + under_way >= self.width
            proposal = None if is_full else self._next(space, history, grown, level, rng)
            if proposal is not None or under_way:
                return proposal
            level += 1
        if not history.scored:
            return Proposal(sample(space, rng))
        best = history.ranked[-1] if len(history.objectives) == 1 else rng.choice(history.front or history.ranked[-1:])
        return Proposal(mutate(space, best.architecture, rng), "mutation", (best.number,))

    def _groups(self, space: Any) -> list[list[str]]:
        """Return the names of the choices that each level opens."""
        names, levels = list(choices(space)), min(self.levels, len(choices(space)))
        return [names[i * len(names) // levels : (i + 1) * len(names) // levels] for i in range(levels)]

    def _next(self, space: Any, history: History, grown: _Grown, level: int, rng: Random) -> Proposal | None:
        """Return the next proposal of a level whose architecture is unknown; None where there is none."""
        offered: Iterable[Proposal] = (Proposal(each, notes={LEVEL: 0}) for each in self._drawn(space, 0, {}, rng))
        if level > 0:
            if level not in grown.orders:
                grown.orders[level] = self._order(space, history, grown, level)
            offered = grown.orders[level]
        return next((each for each in offered if digest(each.architecture) not in history.known), None)

    def _drawn(self, space: Any, level: int, kept: Mapping[str, int], rng: Random) -> Iterator[Any]:
        """Yield members that keep some decisions, and have random ones in the group of a level; several may be equal."""
        opened = set(self._groups(space)[level])

        def decide(choice: Choice) -> int:
            return kept.get(choice.name, rng.randrange(choice.arity) if choice.name in opened else 0)

        for _ in range(self.expansions):
            yield resolve(space, decide)

    def _order(self, space: Any, history: History, grown: _Grown, level: int) -> list[Proposal]:
        """Return the expansions of a level, the best predicted first."""
        # a function of the evaluations of earlier levels alone, so that a resumed search has the same order
        rng = Random(f"{history.digests[0]}/{level}")
        parents = grown.closed.get(level - 1, [])
        parents = [done for done in parents if done.failure is None] or parents
        later = {name for group in self._groups(space)[level:] for name in group}
        found: dict[Any, Proposal] = {}
        for parent in parents:
            taken = decisions(space, parent.architecture)
            kept = {name: decision for name, decision in taken.items() if name not in later}
            numbers = () if parent.failure else (parent.number,)
            for expansion in self._drawn(space, level, kept, rng):
                found.setdefault(expansion, Proposal(expansion, "expansion", numbers, {LEVEL: level}))
        known = [done for each in range(level) for done in grown.closed.get(each, []) if done.failure is None]
        if not known:
            return list(found.values())
        means = [
            fitted(self.predictor, self.encoding, space, history, known, objective)(list(found))[0]
            for objective in range(len(history.objectives))
        ]
        expansions = list(found.values())
        if len(means) == 1:
            return [expansions[i] for i in means[0].argsort(kind="stable")[::-1]]
        return [expansions[i] for i in front_by_front(list(zip(*map(list, means), strict=True)), self.width)]


@dataclass(slots=True)
class _Grown:
    """The evaluations that ended, by level, and the order in which each level's expansions are proposed."""

    closed: dict[int, list[Evaluated]] = field(default_factory=dict)
    orders: dict[int, list[Proposal]] = field(default_factory=dict)


def _add(grown: _Grown, done: Evaluated) -> _Grown:
    if LEVEL in done.proposal.notes:
        grown.closed.setdefault(done.proposal.notes[LEVEL], []).append(done)
    return grown
