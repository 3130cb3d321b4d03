"""Schedules of the learning rate, after the warm-up."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, final

from nas.records import Fraction, Natural, NonNegative, Positive, Range, RecordError, record


class Schedule(ABC):
    """A schedule of the learning rate, as a record."""

    needs_validation: ClassVar[bool] = False
    """Whether the rate depends on the validation accuracies."""

    @abstractmethod
    def lr_after(self, epochs_done: float, epochs: int, lr: float) -> float:
        """Return the learning rate after `epochs_done` of `epochs` epochs, fractions included; it begins at `lr`."""

    def factor_after(self, accuracies: Sequence[float]) -> float:
        """Return the factor of the learning rate after these validation accuracies, the oldest first; 1 by default."""
        return 1.0


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
    """A learning rate multiplied by `factor` every `every_epochs` epochs, such as 2.4."""

    factor: Fraction = 0.97
    every_epochs: Annotated[float, Range(1)] = 1.0

    def lr_after(self, epochs_done: float, epochs: int, lr: float) -> float:
        """Return the learning rate."""
        return lr * math.pow(self.factor, epochs_done // self.every_epochs)


@final
@record
class MultiStepDecay(Schedule):
    """A learning rate multiplied by `factor` after each number of epochs in `at_epochs`, counted without the warm-up."""

    factor: Fraction = 0.1
    at_epochs: tuple[Positive, ...] = (82, 123)

    def __post_init__(self) -> None:
        if any(later <= earlier for earlier, later in pairwise(self.at_epochs)):
            raise RecordError(f"MultiStepDecay.at_epochs is {self.at_epochs}: give rising numbers", "at_epochs")

    def lr_after(self, epochs_done: float, epochs: int, lr: float) -> float:
        """Return the learning rate."""
        return lr * math.pow(self.factor, sum(epochs_done >= at for at in self.at_epochs))


@final
@record
class Plateau(Schedule):
    """A learning rate multiplied by `factor` where the validation accuracy stalls, and constant otherwise.

    It stalls where more than `patience` validations in a row do not exceed the highest accuracy before, as in torch's
    ReduceLROnPlateau with mode "max" and threshold 0. Accuracies are those of the weights, not of their moving average. The
    rate is a function of the accuracies so far, which a checkpoint holds. Krizhevsky et al. 2012, section 5, watched the
    validation error by hand.
    """

    needs_validation: ClassVar[bool] = True

    factor: Fraction = 0.1
    patience: Natural = 10

    def lr_after(self, epochs_done: float, epochs: int, lr: float) -> float:
        """Return the learning rate before the factor of the accuracies."""
        return lr

    def factor_after(self, accuracies: Sequence[float]) -> float:
        """Return the factor of the learning rate."""
        highest, stalled, factor = -math.inf, 0, 1.0
        for accuracy in accuracies:
            stalled = 0 if accuracy > highest else stalled + 1
            highest = max(highest, accuracy)
            if stalled > self.patience:
                factor, stalled = factor * self.factor, 0
        return factor


@final
@record
class ConstantRate(Schedule):
    """A learning rate that stays as it is."""

    def lr_after(self, epochs_done: float, epochs: int, lr: float) -> float:
        """Return the learning rate."""
        return lr
