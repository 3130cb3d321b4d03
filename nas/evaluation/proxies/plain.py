"""Plain: the sum of weights times gradients, with their signs."""

from __future__ import annotations

from torch import Tensor, nn

from nas.evaluation.proxies.gradients import with_gradients
from nas.evaluation.proxies.proxy import Proxy
from nas.records import record


@record
class Plain(Proxy):
    """The sum of w * g over all weights w and their gradients g of the loss; no proxy to search by.

    It is zero for every layer before a batch norm, whose output does not depend on the scale of the weights. What is left is the
    classifier and convolutions without a norm. Source: Mozer and Smolensky 1988; Abdelfattah et al. 2021, arXiv:2101.08134.
    """

    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        return sum(float((weight * gradient).sum()) for weight, gradient in with_gradients(model, images, labels))
