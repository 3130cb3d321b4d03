"""Jacobian covariance: how independent the gradients of different images are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.evaluation.proxies.jacobian import K, input_gradients
from nas.evaluation.proxies.proxy import Proxy
from nas.records import record


@record
class JacobCov(Proxy):
    """Minus the sum of log(v + k) + 1 / (v + k) over the eigenvalues v of the images' correlation matrix, k = 1e-5.

    The matrix correlates the gradients of the summed outputs with respect to each image. A score is at most minus the batch,
    where no two images correlate; only its order means anything.

    Source: Mellor et al. 2020, arXiv:2006.04647, version 1. The released code takes `eig` of the symmetric matrix,
    whose eigenvalues may be complex; we take `eigvalsh`, in float64.
    """

    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        rows, _ = input_gradients(model, images)
        correlations = torch.corrcoef(rows)
        if not correlations.isfinite().all():
            return float("nan")
        shifted = torch.linalg.eigvalsh(correlations) + K
        return -float((shifted.log() + 1 / shifted).sum())
