"""GraSP: how the removal of weights would change the norm of the gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.evaluation.proxies.gradients import gradients, loss_of, weights_of
from nas.evaluation.proxies.proxy import Proxy
from nas.records import record


@record
class Grasp(Proxy):
    """Minus the sum of w * (H g) over all weights w, with g the gradient and H the Hessian of the loss.

    It takes three times a forward and backward pass. For a layer before a batch norm H w is -g, and its part is the squared
    norm of g: most of the score is a gradient norm. Source: Wang et al. 2020, arXiv:2002.07376, section 4; sign and sum as in
    zero-cost-nas. The released code computes g in a pass of its own; one pass gives the same.
    """

    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        weights = weights_of(model)
        first = gradients(loss_of(model, images, labels), weights, create_graph=True)
        product = torch.stack([(each.detach() * each).sum() for each in first]).sum()
        second = gradients(product, weights)
        return -sum(float((weight.detach() * each).sum()) for weight, each in zip(weights, second, strict=True))
