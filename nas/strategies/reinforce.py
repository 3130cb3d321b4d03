"""REINFORCE with a table of logits: Williams 1992, as the controller of NAS-Bench-201 (Dong and Yang 2020, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from math import exp, log, sqrt
from random import Random
from typing import Annotated, Any, Literal

from nas.choice import Choice
from nas.history import Evaluated, History, Proposal
from nas.membership import taken_decisions
from nas.records import Range, digest, record
from nas.space import resolve
from nas.strategies.strategy import Strategy

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""The settings of Adam."""


@record
class Reinforce(Strategy):
    """Draw each decision from logits of its own, and raise those of an architecture by how far its value is above the baseline.

    The baseline is the moving average of values, with `momentum`. The loss is -(value - baseline) log p(architecture), less
    `entropy` times the policy's entropy; each finished evaluation is one step of `optimizer`. Other workers' proposals were
    drawn from an older policy, which is not corrected for.

    The released code's lr is 0.001 (random search, on NAS-Bench-201), its documented command's 0.5 (worse than random search);
    0.05 gives the published accuracy. Adam does not depend on the scale of the value, SGD does.
    """

    lr: Annotated[float, Range(1e-9)] = 0.05
    momentum: Annotated[float, Range(0, 0.999999)] = 0.9
    entropy: Annotated[float, Range(0)] = 0.0
    optimizer: Literal["Adam", "SGD"] = "Adam"

    def propose(self, space: Any, history: History, rng: Random) -> Proposal:
        policy = history.fold(digest(self), partial(self._learn, space, history), _Policy())

        def decide(choice: Choice) -> int:
            ways = range(choice.arity)
            logits = policy.logits.get(choice.name)
            return rng.choices(ways, logits.probabilities())[0] if logits else rng.choice(ways)

        return Proposal(resolve(space, decide), "policy")

    def _learn(self, space: Any, history: History, policy: _Policy, done: Evaluated) -> _Policy:
        if done.failure is not None:
            return policy
        value = history.value(done)
        policy.total = self.momentum * policy.total + (1 - self.momentum) * value
        policy.weight = self.momentum * policy.weight + 1 - self.momentum
        # the released code's order: the baseline already has the value that it is compared with
        advantage = value - policy.total / policy.weight
        for name, (choice, decision) in taken_decisions(space, done.architecture).items():
            logits = policy.logits.setdefault(name, _Logits([0.0] * choice.arity))
            logits.descend(self._gradient(logits.probabilities(), decision, advantage), self)
        return policy

    def _gradient(self, probabilities: Sequence[float], decision: int, advantage: float) -> list[float]:
        """Return the gradient of the loss for the logits of one choice."""
        logs = [log(max(each, 1e-300)) for each in probabilities]
        entropy = -sum(each * value for each, value in zip(probabilities, logs, strict=True))
        return [
            advantage * (each - (i == decision)) + self.entropy * each * (value + entropy)
            for i, (each, value) in enumerate(zip(probabilities, logs, strict=True))
        ]


@dataclass(slots=True)
class _Logits:
    """The logits of one choice, and the averages of Adam."""

    values: list[float]
    first: list[float] = field(init=False)
    second: list[float] = field(init=False)
    steps: int = 0

    def __post_init__(self) -> None:
        self.first, self.second = [0.0] * len(self.values), [0.0] * len(self.values)

    def probabilities(self) -> list[float]:
        """Return the probability of each way to decide."""
        top = max(self.values)
        weights = [exp(each - top) for each in self.values]
        whole = sum(weights)
        return [each / whole for each in weights]

    def descend(self, gradient: Sequence[float], settings: Reinforce) -> None:
        """Take one step of the optimizer."""
        self.steps += 1
        corrections = [1 - beta**self.steps for beta in BETAS]
        for i, slope in enumerate(gradient):
            self.first[i] += (1 - BETAS[0]) * (slope - self.first[i])
            self.second[i] += (1 - BETAS[1]) * (slope**2 - self.second[i])
            if settings.optimizer == "Adam":
                slope = self.first[i] / corrections[0] / (sqrt(self.second[i] / corrections[1]) + EPSILON)
            self.values[i] -= settings.lr * slope


@dataclass(slots=True)
class _Policy:
    """The logits of each choice that was taken, by its name, and the moving sum of values with its weight."""

    logits: dict[str, _Logits] = field(default_factory=dict)
    total: float = 0.0
    weight: float = 0.0
