"""The norm of the weights: a count of layers and their widths, as they are initialised."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from nas.evaluation.proxies.gradients import weights_of
from nas.evaluation.proxies.proxy import Proxy
from nas.records import record


@record
class L2Norm(Proxy):
    """The sum over layers of the norm of their weights; a baseline, which no image enters.

    Source: Krishnakumar et al. 2022, arXiv:2210.03230, table 1.
    """

    needs_path: ClassVar[bool] = False

    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        return sum(float(weight.detach().norm()) for weight in weights_of(model))
