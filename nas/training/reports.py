"""Reports: the progress and results that a training yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.records import record


@record
class Epoch:
    """The report of one finished epoch, counted from 1.

    `loss` is the minimised loss, auxiliary loss included. `train_top1_percent` is measured on the augmented images while
    the weights change; for mixed images the first of the two labels counts. The accuracies on validation images, of the
    weights and of their moving average, are None where they were not measured. `seconds` includes the validation,
    `images_per_second` does not; `total_seconds` sums over all epochs so far. `waiting_percent` is the share of the
    training time spent waiting for images, `broken_images` the number of images that could not be decoded. `lr` is the
    learning rate at the epoch's start.
    """

    epoch: int
    epochs: int
    loss: float
    train_top1_percent: float
    validation_top1_percent: float | None
    seconds: float
    images_per_second: float
    lr: float
    ema_top1_percent: float | None = None
    total_seconds: float = 0.0
    waiting_percent: float = 0.0
    broken_images: int = 0


@dataclass(frozen=True, slots=True)
class Underway:
    """The report of an epoch in progress: the number of epochs done, such as 3.4, and the mean loss of this one so far."""

    epochs_done: float
    epochs: int
    loss: float
    images_per_second: float
    waiting_percent: float


@final
class Diverged(ArithmeticError):
    """The error of a loss that is not finite, at an epoch and a step, both counted from 1."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(epoch, step)
        self.epoch, self.step = epoch, step

    def __str__(self) -> str:
        return f"the loss is not finite at epoch {self.epoch}, step {self.step}: lower lr, or clip the gradient"
