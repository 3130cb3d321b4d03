"""A policy over modifications, under limits: RENA, Zhou et al. 2018, arXiv:1806.07912, sections 3.1 and 3.2."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Annotated, Any

from nas.choice import Choice
from nas.history import Evaluated, History, Proposal
from nas.membership import Taken, taken_decisions
from nas.records import Positive, Range, digest, record
from nas.space import changeable, redecide, sample
from nas.strategies.controllers.baseline import Baseline
from nas.strategies.controllers.controller import Optimizer, Path, PolicyLoss, Sample
from nas.strategies.controllers.logit_table import TablePolicy
from nas.strategies.strategy import Strategy

MODIFICATION = "modification"
"""The key, in the notes of a proposal, of the choice that was modified and the number of its new option among the others."""


@record
class Rena(Strategy):
    """Learn by REINFORCE which choice of a good architecture to change, and to what; the reward falls outside the limits.

    A parent is drawn among the `parents` best by reward. The policy draws one of its choices and then one of the other options,
    with logits for each option that is replaced. The reward is value * `penalty` ** e, e the sum over `rules.limits` of how far
    a score is outside, relative to the bound (section 3.2; a negative value is divided). The baseline is the moving average of
    rewards. The paper's policy reads the whole network by an LSTM, has actions to scale, insert and remove layers, and
    modifies a network several times before it is trained; here an action is any change of one decision, with insertions where
    the space offers them, and tables of logits are the policy. The penalty is our choice.
    """

    parents: Positive = 10
    lr: Annotated[float, Range(1e-9)] = 0.02
    momentum: Annotated[float, Range(0, 0.999999)] = 0.9
    entropy: Annotated[float, Range(0)] = 0.0
    optimizer: Optimizer = "Adam"
    penalty: Annotated[float, Range(1e-9, 1)] = 0.1

    def propose(self, space: Any, history: History, rng: Random) -> Proposal:
        learner = history.fold(digest(self), partial(self._learn, space, history), _Learner(self.optimizer, self.lr))
        if len(history.proposals) < self.parents or not learner.best:
            return Proposal(sample(space, rng), "start")
        _, _, parent = rng.choice(learner.best)
        taken = taken_decisions(space, parent.architecture)
        if not changeable(taken):
            return Proposal(sample(space, rng), "start")
        draw, where = learner.policy.drawing(rng), _where(taken)
        name = where.options[draw(where)]
        choice, before = taken[name]
        other = draw(_others(choice, before))
        architecture = redecide(space, taken, name, other + (other >= before), rng)
        return Proposal(architecture, "modification", (parent.number,), {MODIFICATION: [name, other]})

    def reward(self, history: History, done: Evaluated) -> float:
        """Return the value of an evaluation, less what it is outside the limits."""
        value, factor = history.value(done), float(self.penalty ** history.excess(done.scores))
        return value * factor if value >= 0 else value / max(factor, 1e-300)

    def _learn(self, space: Any, history: History, learner: _Learner, done: Evaluated) -> _Learner:
        if not done.is_scored:
            return learner
        reward = self.reward(history, done)
        advantage = learner.baseline.advantage(reward, self.momentum)
        if MODIFICATION in done.proposal.notes:
            name, other = done.proposal.notes[MODIFICATION]
            parent = history.finished[done.proposal.parents[0]]
            path = modification(taken_decisions(space, parent.architecture), name, other)
            learner.policy.descend([Sample(path, advantage)], PolicyLoss(self.entropy))
        insort(learner.best, (-reward, done.number, done))
        del learner.best[self.parents :]
        return learner


def modification(taken: Taken, name: str, other: int) -> Path:
    """Return the two decisions of a modification: which choice, and which of its other options."""
    where = _where(taken)
    return (where, where.options.index(name)), (_others(*taken[name]), other)


def _where(taken: Taken) -> Choice:
    """Return the choice among the choices that can be changed; each set of them has a table of its own."""
    names = changeable(taken)
    return Choice(f"where/{digest(names)}", names)


def _others(choice: Choice, before: int) -> Choice:
    """Return the choice among the other options."""
    return Choice(f"{choice.name}/{before}", tuple(range(choice.arity - 1)))


@dataclass(slots=True)
class _Learner:
    """The policy, the baseline, and the best evaluations with minus their rewards."""

    optimizer: Optimizer
    lr: float
    best: list[tuple[float, int, Evaluated]] = field(default_factory=list)
    baseline: Baseline = field(default_factory=Baseline)
    policy: TablePolicy = field(init=False)

    def __post_init__(self) -> None:
        self.policy = TablePolicy(self.optimizer, self.lr)
