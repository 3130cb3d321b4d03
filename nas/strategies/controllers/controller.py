"""Controller: where the policy of REINFORCE has its probabilities from, and what it learns by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from random import Random
from typing import Any, Literal

from nas.choice import Choice

Path = Sequence[tuple[Choice, int]]
"""An architecture as its choices with their decisions, in the order in which `nas.space.resolve` asks for them."""

Optimizer = Literal["Adam", "SGD"]

LARGEST = 700.0
"""The largest logarithm of a ratio: the exponential of a larger one overflows."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An evaluated architecture: its path, how far its value is above the baseline, and how probable it was when proposed."""

    path: Path
    advantage: float
    log_probability: float = 0.0


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """The loss of one sample with advantage A and probability p: -A log p of REINFORCE or, with `clip`, that of PPO.

    PPO's is -min(r A, clamp(r, 1 - clip, 1 + clip) A), r the ratio of p to the probability when the architecture was proposed
    (Schulman et al. 2017, arXiv:1707.06347, equation 7). p is the product over all decisions. Both are less `entropy` times
    the sum of the entropies of the decisions.
    """

    entropy: float = 0.0
    clip: float | None = None

    def slope(self, sample: Sample, log_probability: float) -> float:
        """Return the derivative of the loss with respect to log p, without the entropy."""
        if self.clip is None:
            return -sample.advantage
        ratio = exp(min(log_probability - sample.log_probability, LARGEST))
        # only a ratio that has moved the way the advantage asks for is clipped
        is_clipped = ratio > 1 + self.clip if sample.advantage > 0 else ratio < 1 - self.clip
        return 0.0 if is_clipped else -ratio * sample.advantage


class Policy(ABC):
    """A distribution over the architectures of a space, which changes as it learns."""

    @abstractmethod
    def drawing(self, rng: Random) -> Callable[[Choice], int]:
        """Return a function that draws the decisions of one architecture, choice by choice, as `nas.space.resolve` asks."""

    @abstractmethod
    def log_probability(self, path: Path) -> float:
        """Return the natural logarithm of the probability of an architecture."""

    @abstractmethod
    def descend(self, samples: Sequence[Sample], loss: PolicyLoss) -> None:
        """Take one step of the optimizer on the mean loss of the samples."""


class Controller(ABC):
    """A kind of policy; a record, whose fields are its settings."""

    @abstractmethod
    def policy(self, space: Any, seed: str, optimizer: Optimizer, lr: float) -> Policy:
        """Return a policy that has learnt nothing yet; a function of its arguments alone."""
