"""Drop path: whole samples of an edge are dropped in training."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn


@final
class DropPath(nn.Module):
    """Zero whole samples with `probability`, and scale the others by 1 / (1 - probability), in training mode only.

    Takes and returns (B, ...). `probability`, in [0, 1), is a plain attribute: the training loop raises it from epoch to
    epoch, up to the recipe's drop path times `share`. Larsson et al. 2017, arXiv:1605.07648; per sample, and on all edges but
    identities, as in DARTS. Stochastic depth (Huang et al. 2016, arXiv:1603.09382) is the same on the body of a residual.
    """

    def __init__(self, probability: float = 0.0, share: float = 1.0) -> None:
        super().__init__()
        self.probability, self.share = probability, share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.probability == 0.0:
            return x
        keep = 1.0 - self.probability
        mask = x.new_empty(x.shape[0], *[1] * (x.dim() - 1)).bernoulli_(keep)
        return x * mask.div_(keep)
