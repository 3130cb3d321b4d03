"""FixMatch: a confident prediction on a weakly augmented image is the label of a strongly augmented one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from torch import Tensor
from torch.nn import functional

from nas.data import Augmentation
from nas.records import Fraction, NonNegative, record
from nas.training.unlabelled.base import Unlabelled


@final
@record
class FixMatch(Unlabelled):
    """Learn a weakly augmented image's prediction from its strong augmentation, where it is at least `threshold` sure.

    Sohn et al. 2020, arXiv:2001.07685, equation 4: the mean over all unlabelled images, zero for those that are not sure.
    The weak augmentation is the recipe's own. The paper's strong one draws a magnitude for each image; ours, RandAugment and
    then cutout, has one. The paper tests the moving average of the weights (`ema: 0.999`).
    """

    threshold: Fraction = 0.95
    weight: NonNegative = 1.0
    strong: Augmentation = Augmentation(crop_pad=4, flip=True, cutout=16, rand_augment=2)

    def views(self, own: Augmentation) -> tuple[Augmentation, ...]:
        """Return the weak and the strong augmentation."""
        return own, self.strong

    def loss(self, logits: Sequence[Tensor], epochs_done: int) -> Tensor:
        """Return the loss."""
        weak, strong = logits
        confidence, labels = weak.detach().float().softmax(1).max(1)
        losses = functional.cross_entropy(strong.float(), labels, reduction="none")
        return self.weight * (losses * (confidence >= self.threshold)).mean()
