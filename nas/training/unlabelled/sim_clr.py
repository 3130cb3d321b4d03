"""SimCLR: two views of an image are near to each other, and far from those of other images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, final

import torch
from torch import Tensor
from torch.nn import functional

from nas.data import Augmentation
from nas.records import NonNegative, Positive, Range, record
from nas.training.unlabelled.base import Unlabelled


@final
@record
class SimClr(Unlabelled):
    """Tell the two views of each image from the views of all others: a pretraining, from which a transfer begins.

    Chen et al. 2020, arXiv:2002.05709, equation 1 (NT-Xent). The vectors are the network's outputs, as many numbers as there
    are classes: its head is the projection, of which a transfer takes nothing. The paper's is a network of two layers, and
    its crops are scaled, which images in memory are not here. Other images are those of the same worker. Labels count only
    with `labelled_weight` above 0.
    """

    ratio: Positive = 4
    labelled_weight: NonNegative = 0.0
    temperature: Annotated[float, Range(0.01)] = 0.5
    strong: Augmentation = Augmentation(crop_pad=4, flip=True, color_jitter=(0.4, 0.4, 0.4, 0.1), rand_augment=1)

    def views(self, own: Augmentation) -> tuple[Augmentation, ...]:
        """Return the strong augmentation twice."""
        return self.strong, self.strong

    def loss(self, logits: Sequence[Tensor], epochs_done: int) -> Tensor:
        """Return the loss."""
        first, second = logits
        return nt_xent(first.float(), second.float(), self.temperature)


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the normalised, temperature-scaled cross-entropy of the vectors of two views of each image, both (B, C)."""
    vectors = functional.normalize(torch.cat([first, second]), dim=1)
    similarities = vectors @ vectors.T / temperature
    others = similarities.masked_fill(torch.eye(len(vectors), dtype=torch.bool, device=vectors.device), -torch.inf)
    # the partner of row i is the other view of its image
    partners = torch.arange(len(vectors), device=vectors.device).roll(len(first))
    return functional.cross_entropy(others, partners)
