"""Zen-score: how far a network's last map moves when its input moves a little."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nas.evaluation.proxies.gradients import layers_of
from nas.evaluation.proxies.proxy import Proxy
from nas.records import NonNegative, Range, RecordError, record


@record
class Zen(Proxy):
    """log(mean over images of |f(x) - f(x + gamma e)|) + the sum over batch norms of log sqrt(mean running variance).

    x and e are normal noise, `images` of the shape of the batch's, all weights are drawn from N(0, 1), and f is the map that the
    network's head reads. Batch norms need running statistics; those after f do not count.

    Source: Lin et al. 2021, arXiv:2102.01063, algorithm 1. As in the released code the running variance is that after two
    steps of momentum 0.1 from 1, not the variance of the batch. The paper's f has no residual sums, and ends before its last
    ReLU; we score any network with a head.
    """

    gamma: NonNegative = 0.01
    images: Annotated[int, Range(2)] = 16

    @torch.no_grad()
    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        if not isinstance(head := getattr(model, "head", None), nn.Module):
            raise RecordError(
                f"zen reads the map before the head, and {type(model).__name__} has no `head`: leave zen out"
            )
        _draw_weights(model)
        maps: list[Tensor] = []
        head.register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0]))
        x, noise = (torch.randn(self.images, *images.shape[1:]).to(images) for _ in range(2))
        model(x)
        model(x + self.gamma * noise)
        moved = (maps[0] - maps[1]).abs().flatten(1).sum(1).mean().log()
        after = set(head.modules())
        norms = [part for part in model.modules() if isinstance(part, _BatchNorm) and part not in after]
        return float(moved) + sum(float(_variance(norm).mean().log() / 2) for norm in norms)


def _draw_weights(model: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers, and reset biases and batch norms."""
    for layer in layers_of(model):
        layer.weight.copy_(torch.randn(layer.weight.shape))
        if layer.bias is not None:
            layer.bias.zero_()
    for part in model.modules():
        if isinstance(part, _BatchNorm | nn.GroupNorm):
            part.reset_parameters()


def _variance(norm: _BatchNorm) -> Tensor:
    if norm.running_var is None:
        raise RecordError(
            "zen reads the running variance of batch norms, and the network has one without: leave zen out"
        )
    return norm.running_var
