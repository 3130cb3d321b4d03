"""Sparsity: weights that become zero in the course of a training, and scales of channels that are pressed towards zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from nas.records import Fraction, NonNegative, Positive, RecordError, record

LAYERS = (nn.Conv2d, nn.Linear)
"""The layers whose weights are pruned; biases and norms stay."""


@record
class Sparsity:
    """The smallest weights of convolutions and linear layers become zero, and the others are trained on.

    The `share` of these weights is zero from epoch `until` on; from epoch `begin` on it rises with every epoch, along the cubic
    curve of Zhu and Gupta 2017 (arXiv:1710.01878, equation 1). What was pruned stays zero. Magnitudes are compared within each
    layer or, with `is_global`, in the whole network. Han et al. 2015, arXiv:1506.02626, section 3, train, prune and train the
    rest; their threshold is the standard deviation of a layer times a factor chosen for it.

    `scales` weighs the L1 norm of all scales of batch norms in the loss, by which unimportant channels get small scales (network
    slimming, Liu et al. 2017, arXiv:1708.06519, section 3; 1e-4 there). Channels are removed after the training: `nas prune`.
    """

    share: Fraction = 0.0
    begin: Positive = 1
    until: Positive = 1
    is_global: bool = False
    scales: NonNegative = 0.0

    def __post_init__(self) -> None:
        if self.until < self.begin:
            raise RecordError(
                f"until is {self.until}, and begin {self.begin}: give an epoch that is not before", "until"
            )

    def share_in(self, epoch: int) -> float:
        """Return the share of weights that are zero in an epoch, counted from 1."""
        done = min(1.0, max(0, epoch - self.begin + 1) / (self.until - self.begin + 1))
        return self.share * (1 - (1 - done) ** 3)


@final
class Pruner:
    """The masks of a model's weights in the current epoch.

    They are found in the weights themselves: what is zero is smallest. So a resumed training has the same.
    """

    def __init__(self, model: nn.Module, sparsity: Sparsity) -> None:
        self.sparsity = sparsity
        self.weights = [each.weight for each in model.modules() if isinstance(each, LAYERS)]
        self.scales = [each.weight for each in model.modules() if isinstance(each, nn.BatchNorm2d) and each.affine]
        self.masks: Sequence[Tensor] = ()

    @torch.no_grad()
    def begin(self, epoch: int) -> None:
        """Choose the weights that are zero in an epoch."""
        share, weights = self.sparsity.share_in(epoch), [each.detach().abs().flatten() for each in self.weights]
        if not share:
            return
        groups = [torch.cat(weights)] if self.sparsity.is_global else weights
        kept = torch.cat([_largest(each, share) for each in groups])
        parts = torch.split(kept, [len(each) for each in weights])
        self.masks = [mask.view_as(weight) for mask, weight in zip(parts, self.weights, strict=True)]
        self.apply()

    @torch.no_grad()
    def penalise(self) -> None:
        """Add the gradient of the penalty on scales to their gradients."""
        for scale in self.scales if self.sparsity.scales else ():
            if scale.grad is not None:
                scale.grad.add_(scale.sign(), alpha=self.sparsity.scales)

    @torch.no_grad()
    def apply(self) -> None:
        """Set the pruned weights to zero."""
        for weight, mask in zip(self.weights, self.masks, strict=bool(self.masks)):
            weight.mul_(mask)


def _largest(magnitudes: Tensor, share: float) -> Tensor:
    """Return True for all but the share of smallest magnitudes, of equal ones for the last."""
    kept = torch.ones_like(magnitudes, dtype=torch.bool)
    kept[magnitudes.argsort(stable=True)[: round(share * len(magnitudes))]] = False
    return kept
