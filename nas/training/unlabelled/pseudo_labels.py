"""Pseudo-labels: the most probable class of an image is taken for its label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from torch import Tensor
from torch.nn import functional

from nas.data import Augmentation
from nas.records import Natural, NonNegative, Positive, record
from nas.training.unlabelled.base import Unlabelled


@final
@record
class PseudoLabels(Unlabelled):
    """Learn the most probable class of each image, with a weight that rises linearly between two epochs.

    Lee 2013 (ICML workshop), equations 15 and 16: 0 until `from_epoch`, `weight` from `to_epoch` on. Batches are of 32
    labelled and 256 other images there.
    """

    ratio: Positive = 8
    weight: NonNegative = 3.0
    from_epoch: Natural = 100
    to_epoch: Positive = 600

    def views(self, own: Augmentation) -> tuple[Augmentation, ...]:
        """Return the augmentation of labelled images."""
        return (own,)

    def loss(self, logits: Sequence[Tensor], epochs_done: int) -> Tensor:
        """Return the loss."""
        (own,) = logits
        share = (epochs_done - self.from_epoch) / max(1, self.to_epoch - self.from_epoch)
        weight = self.weight * min(1.0, max(0.0, share))
        return weight * functional.cross_entropy(own.float(), own.detach().argmax(1))
