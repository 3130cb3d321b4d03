"""Schedules of the learning rate, after the warm-up."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import final

from nas.records import Fraction, NonNegative, Positive, record


class Schedule(ABC):
    """A schedule of the learning rate, as a record."""

    @abstractmethod
    def lr_after(self, epochs_done: float, epochs: int, lr: float) -> float:
        """Return the learning rate after `epochs_done` of `epochs` epochs, fractions included; it begins at `lr`."""


@final
@record
class CosineDecay(Schedule):
    """Half a cosine from `lr` to `final_lr` (Loshchilov and Hutter 2017, arXiv:1608.03983)."""

    final_lr: NonNegative = 0.0

    def lr_after(self, epochs_done: float, epochs: int, lr: float) -> float:
        """Return the learning rate."""
        return self.final_lr + (lr - self.final_lr) * (1 + math.cos(math.pi * (epochs_done / epochs))) / 2


@final
@record
class LinearDecay(Schedule):
    """A straight line from `lr` to `final_lr`."""

    final_lr: NonNegative = 0.0

    def lr_after(self, epochs_done: float, epochs: int, lr: float) -> float:
        """Return the learning rate."""
        return lr + (self.final_lr - lr) * (epochs_done / epochs)


@final
@record
class StepDecay(Schedule):
    """A learning rate multiplied by `factor` every `every_epochs` epochs."""

    factor: Fraction = 0.97
    every_epochs: Positive = 1

    def lr_after(self, epochs_done: float, epochs: int, lr: float) -> float:
        """Return the learning rate."""
        return lr * math.pow(self.factor, epochs_done // self.every_epochs)


@final
@record
class ConstantRate(Schedule):
    """A learning rate that stays as it is."""

    def lr_after(self, epochs_done: float, epochs: int, lr: float) -> float:
        """Return the learning rate."""
        return lr
