"""Losses of a recipe: functions of logits and labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, final

from torch import Tensor
from torch.nn import functional

from nas.records import NonNegative, Range, record


class Loss(ABC):
    """A loss of classification, as a record."""

    @abstractmethod
    def mean(self, logits: Tensor, y: Tensor, smoothing: float) -> Tensor:
        """Return the mean loss of logits, float32 (B, classes), for labels y, int64 (B,), as a scalar.

        With `smoothing` s the target of an image is 1 - s at its label, plus s / classes everywhere.
        """


@final
@record
class CrossEntropy(Loss):
    """The cross-entropy of the softmax."""

    def mean(self, logits: Tensor, y: Tensor, smoothing: float) -> Tensor:
        """Return the mean loss."""
        return functional.cross_entropy(logits, y, label_smoothing=smoothing)


@final
@record
class FocalLoss(Loss):
    """The cross-entropy with each image's probability p weighted by (1 - p)^gamma (Lin et al. 2017, arXiv:1708.02002).

    The paper has a sigmoid for each class of a detector and weights alpha for the background; here p is of the softmax, and
    all classes weigh the same.
    """

    gamma: NonNegative = 2.0

    def mean(self, logits: Tensor, y: Tensor, smoothing: float) -> Tensor:
        """Return the mean loss."""
        log_p = logits.log_softmax(1)
        # a power below 1 has an infinite slope at 0
        away = (1 - log_p.exp()).clamp(min=1e-7) ** self.gamma
        return -(_targets(logits, y, smoothing) * away * log_p).sum(1).mean()


@final
@record
class LpLoss(Loss):
    """The mean of |p - y|^`power` over images and classes, p the softmax and y the target.

    Janocha and Czarnecki 2017, arXiv:1702.05659, section 2, has powers 1 and 2 and sums over the classes: multiply the
    learning rate by their number for the same steps.
    """

    power: Annotated[float, Range(1)] = 2.0

    def mean(self, logits: Tensor, y: Tensor, smoothing: float) -> Tensor:
        """Return the mean loss."""
        return ((logits.softmax(1) - _targets(logits, y, smoothing)).abs() ** self.power).mean()


def _targets(logits: Tensor, y: Tensor, smoothing: float) -> Tensor:
    """Return the smoothed one-hot targets, (B, classes)."""
    classes = logits.shape[1]
    return (1 - smoothing) * functional.one_hot(y, classes) + smoothing / classes
