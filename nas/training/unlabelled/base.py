"""The interface of a loss of images without labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from nas.data import Augmentation
from nas.records import NonNegative, Positive, record


@record
class Unlabelled(ABC):
    """A loss of images without labels that is added, in each step, to `labelled_weight` times that of the labelled batch.

    For each labelled image `ratio` others are drawn from all training images, those with labels included, of which the labels
    are not looked at. The labelled images and all views of the others go through the network together.
    """

    ratio: Positive = 7
    labelled_weight: NonNegative = 1.0

    @abstractmethod
    def views(self, own: Augmentation) -> tuple[Augmentation, ...]:
        """Return the augmentations of an image that the network sees; `own` is that of labelled images."""

    @abstractmethod
    def loss(self, logits: Sequence[Tensor], epochs_done: int) -> Tensor:
        """Return the loss of the logits of each view, (B, classes), as a scalar."""
