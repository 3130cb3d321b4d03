"""A table of logits: the controller of NAS-Bench-201, Dong and Yang 2020, arXiv:2001.00326, section 4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import exp, log, sqrt
from random import Random
from typing import Any, final

from nas.choice import Choice
from nas.records import record
from nas.strategies.controllers.controller import Controller, Optimizer, Path, Policy, PolicyLoss, Sample

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""The settings of Adam."""


@record
class LogitTable(Controller):
    """Logits for each choice, whatever the other decisions; a proposal takes microseconds, and needs no torch."""

    def policy(self, space: Any, seed: str, optimizer: Optimizer, lr: float) -> Policy:
        return TablePolicy(optimizer, lr)


@final
class TablePolicy(Policy):
    """The logits of each choice that was taken, by its name; a choice that never was is drawn uniformly."""

    def __init__(self, optimizer: Optimizer, lr: float) -> None:
        self.optimizer, self.lr = optimizer, lr
        self.logits: dict[str, _Logits] = {}

    def drawing(self, rng: Random) -> Callable[[Choice], int]:
        def decide(choice: Choice) -> int:
            ways = range(choice.arity)
            logits = self.logits.get(choice.name)
            return rng.choices(ways, logits.probabilities())[0] if logits else rng.choice(ways)

        return decide

    def log_probability(self, path: Path) -> float:
        return sum(_log(self._of(choice).probabilities()[decision]) for choice, decision in path)

    def descend(self, samples: Sequence[Sample], loss: PolicyLoss) -> None:
        gradients: dict[str, list[float]] = {}
        for sample in samples:
            slope = loss.slope(sample, self.log_probability(sample.path))
            for choice, decision in sample.path:
                gradient = _gradient(self._of(choice).probabilities(), decision, slope, loss.entropy)
                before = gradients.get(choice.name, [0.0] * choice.arity)
                gradients[choice.name] = [a + b for a, b in zip(before, gradient, strict=True)]
        for name, gradient in gradients.items():
            self.logits[name].descend([each / len(samples) for each in gradient], self.optimizer, self.lr)

    def _of(self, choice: Choice) -> _Logits:
        return self.logits.setdefault(choice.name, _Logits([0.0] * choice.arity))


def _gradient(probabilities: Sequence[float], decision: int, slope: float, weight: float) -> list[float]:
    """Return the gradient of slope * log p(decision) - weight * entropy for the logits of one choice."""
    logs = [_log(each) for each in probabilities]
    entropy = -sum(each * value for each, value in zip(probabilities, logs, strict=True))
    return [
        slope * ((i == decision) - each) + weight * each * (value + entropy)
        for i, (each, value) in enumerate(zip(probabilities, logs, strict=True))
    ]


def _log(probability: float) -> float:
    return log(max(probability, 1e-300))


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

    def descend(self, gradient: Sequence[float], optimizer: Optimizer, lr: float) -> None:
        """Take one step of the optimizer."""
        self.steps += 1
        corrections = [1 - beta**self.steps for beta in BETAS]
        for i, slope in enumerate(gradient):
            self.first[i] += (1 - BETAS[0]) * (slope - self.first[i])
            self.second[i] += (1 - BETAS[1]) * (slope**2 - self.second[i])
            if optimizer == "Adam":
                slope = self.first[i] / corrections[0] / (sqrt(self.second[i] / corrections[1]) + EPSILON)
            self.values[i] -= lr * slope
