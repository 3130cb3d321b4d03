"""One-shot methods: shared weights are trained, and architectures are drawn and compared afterwards."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from random import Random
from typing import Any

import torch

from nas.records import Positive, record
from nas.space import sample
from nas.supernets.bilevel import BatchOutcome, Step
from nas.supernets.method import Method
from nas.supernets.policy import Policy
from nas.supernets.sampling import best_of


@record
class OneShot(Method, ABC):
    """A method without architecture parameters; the best of `candidates` random architectures is derived."""

    candidates: Positive = 100

    def learn(self, step: Step) -> BatchOutcome:
        """Return the outcome on the alphas' batch: there is nothing to learn."""
        with torch.no_grad():
            return step.outcome(step.alphas_batch)

    def derive(self, space: Any, policy: Policy, score: Callable[[Any], float], rng: Random) -> Any:
        return best_of((sample(space, rng) for _ in range(self.candidates)), score)
