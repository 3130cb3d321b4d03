"""Synaptic flow: how much of a signal of ones flows through all weights together."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from nas.evaluation.proxies.gradients import gradients, weights_of
from nas.evaluation.proxies.proxy import Proxy
from nas.records import record

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm)
"""The norms that are left out: batch and instance norms are _NormBase."""


@record
class Synflow(Proxy):
    """The logarithm of the sum of |w * dR/dw|, where R is the summed output of the network with |w| for an image of ones.

    Norms are left out: with them the score ranks hardly better than chance. In float64, since the sum can pass float32.
    Source: Tanaka et al. 2020, arXiv:2006.05467, equation 2. zero-cost-nas stores the sum, NASLib its logarithm, as we do.
    """

    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        model = without_norms(model).double()
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                tensor.abs_()
        ones = torch.ones(1, *images.shape[1:], dtype=torch.float64, device=images.device)
        weights = weights_of(model)
        found = gradients(model(ones).sum(), weights)
        flow = sum(float((weight.detach() * each).abs().sum()) for weight, each in zip(weights, found, strict=True))
        return math.log(flow) if flow > 0 else -math.inf


def without_norms(model: nn.Module) -> nn.Module:
    """Replace each norm in a network, which is changed, by an identity; return it."""
    for part in list(model.modules()):
        for name, child in part.named_children():
            if isinstance(child, NORMS):
                setattr(part, name, nn.Identity())
    return model
