"""SNIP: what the loss would change by if single weights were removed."""

from __future__ import annotations

from torch import Tensor, nn

from nas.evaluation.proxies.gradients import with_gradients
from nas.evaluation.proxies.proxy import Proxy
from nas.records import record


@record
class Snip(Proxy):
    """The sum of |w * g| over all weights w and their gradients g of the loss.

    Source: Lee et al. 2019, arXiv:1810.02340, section 4. Their normalisation, by the sum itself, is left out as in zero-cost-nas:
    with it every network has score 1.
    """

    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        return sum(float((weight * gradient).abs().sum()) for weight, gradient in with_gradients(model, images, labels))
