"""REINFORCE, Williams 1992, and PPO: a policy that learns from the values of what it proposed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Annotated, Any, Literal

from nas.history import Evaluated, History, Proposal
from nas.membership import taken_decisions
from nas.records import Positive, Range, digest, record
from nas.space import resolve
from nas.strategies.controllers.baseline import Baseline
from nas.strategies.controllers.controller import Controller, Optimizer, Path, Policy, PolicyLoss, Sample
from nas.strategies.controllers.logit_table import LogitTable
from nas.strategies.strategy import Strategy

LOG_PROBABILITY = "log_probability"
"""The key, in the notes of a proposal, of the logarithm of the probability that it was drawn with; PPO needs it."""


@record
class Reinforce(Strategy):
    """Draw from a policy, and raise the probability of an architecture by how far its value is above the baseline.

    `controller` is the policy: a table with logits for each choice, or an LSTM that decides choice by choice. The baseline is
    the moving average of values, with `momentum`. The loss of "REINFORCE" is -(value - baseline) log p(architecture), less
    `entropy` times the policy's entropy, in the unit of the value. Every `batch` finished evaluations are `passes` steps of
    `optimizer` on their mean loss. Other workers' proposals were drawn from an older policy: "REINFORCE" does not correct for
    that, "PPO" does, by the ratio of probabilities, clipped at 1 +- `clip`. PPO is for several `passes`, in the first of which
    it is REINFORCE where nothing is in flight. A failed evaluation teaches nothing.

    lr: the released code of NAS-Bench-201 has 0.001 (random search, there), its documented command 0.5 (worse than random
    search); 0.05 gives the published accuracy. An LSTM takes a tenth of that. NASNet's controller, for 20,000 evaluations
    (Zoph et al. 2018, arXiv:1707.07012, appendix A): `Lstm`, PPO, lr 0.00035, momentum 0.95, batch 20, entropy 1e-5 of an
    accuracy between 0 and 1. Adam does not depend on the scale of the value, SGD does.
    """

    lr: Annotated[float, Range(1e-9)] = 0.05
    momentum: Annotated[float, Range(0, 0.999999)] = 0.9
    entropy: Annotated[float, Range(0)] = 0.0
    optimizer: Optimizer = "Adam"
    controller: Controller = LogitTable()
    loss: Literal["REINFORCE", "PPO"] = "REINFORCE"
    clip: Annotated[float, Range(1e-6, 1)] = 0.2
    batch: Positive = 1
    passes: Positive = 1

    def propose(self, space: Any, history: History, rng: Random) -> Proposal:
        learner = history.fold(digest(self), partial(self._learn, space, history), _Learner())
        policy = self._policy(learner, space, history)
        architecture = resolve(space, policy.drawing(rng))
        if self.loss == "REINFORCE":
            return Proposal(architecture, "policy")
        log_probability = policy.log_probability(_path(space, architecture))
        return Proposal(architecture, "policy", notes={LOG_PROBABILITY: log_probability})

    def _policy(self, learner: _Learner, space: Any, history: History) -> Policy:
        """Return the policy; its seed is the first architecture, so that each search begins with weights of its own."""
        if learner.policy is not None:
            return learner.policy
        policy = self.controller.policy(space, history.digests[0] if history.digests else "", self.optimizer, self.lr)
        if history.digests:
            learner.policy = policy
        return policy

    def _learn(self, space: Any, history: History, learner: _Learner, done: Evaluated) -> _Learner:
        if not done.is_scored:
            return learner
        policy, path = self._policy(learner, space, history), _path(space, done.architecture)
        loss, log_probability = PolicyLoss(self.entropy), 0.0
        if self.loss == "PPO":
            loss = PolicyLoss(self.entropy, self.clip)
            # a promotion or a warm start was not drawn from the policy: its ratio begins at 1
            log_probability = done.proposal.notes.get(LOG_PROBABILITY, policy.log_probability(path))
        advantage = learner.baseline.advantage(history.value(done), self.momentum)
        learner.samples.append(Sample(path, advantage, log_probability))
        if len(learner.samples) == self.batch:
            for _ in range(self.passes):
                policy.descend(learner.samples, loss)
            learner.samples.clear()
        return learner


def _path(space: Any, architecture: Any) -> Path:
    return tuple(taken_decisions(space, architecture).values())


@dataclass(slots=True)
class _Learner:
    """The policy, None before the first proposal; the samples of the next step; the baseline."""

    policy: Policy | None = None
    samples: list[Sample] = field(default_factory=list)
    baseline: Baseline = field(default_factory=Baseline)
