"""Gradient norm: how strongly the loss pulls at the weights."""

from __future__ import annotations

from torch import Tensor, nn

from nas.evaluation.proxies.gradients import with_gradients
from nas.evaluation.proxies.proxy import Proxy
from nas.records import record


@record
class GradNorm(Proxy):
    """The sum over layers of the norm of the gradient of the loss: a sum of norms, not the norm of all gradients.

    Source: Abdelfattah et al. 2021, arXiv:2101.08134, section 3.2, as the released code.
    """

    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        return sum(float(gradient.norm()) for _, gradient in with_gradients(model, images, labels))
