"""Neutral weights: a new layer that passes its input on, and a new path that adds zero."""

from __future__ import annotations

import torch
from torch import nn

from nas.operations.mbconv import _Inverted as Inverted
from nas.operations.skip import Zeros
from nas.topology.residual import _Sum as Sum

WITHOUT_WEIGHTS = (nn.Identity, nn.ReLU, nn.ReLU6, nn.Dropout)
"""Modules that pass on what a ReLU gives; a ReLU6 what is below 6. Whether the whole does, a comparison tells."""


class NoNeutral(Exception):
    """A module that has no neutral weights."""


def pass_on(module: nn.Module, name: str) -> tuple[list[str], list[str]]:
    """Set the weights of a module such that it returns its input, where that is not negative.

    A convolution becomes an identity kernel, a batch norm undoes its normalisation, and the body of a residual becomes zero;
    channels that the input lacks stay random. Returns the names of the layers that keep their channels, and of the norms.
    Raises NoNeutral where a module cannot do so; its weights are then undefined.
    """
    if isinstance(module, WITHOUT_WEIGHTS):
        return [], []
    if isinstance(module, nn.Sequential):
        parts = [pass_on(part, f"{name}.{key}") for key, part in module.named_children()]
        return [each for names, _ in parts for each in names], [each for _, norms in parts for each in norms]
    if isinstance(module, nn.Conv2d):
        _to_identity(module)
        return [name], []
    if isinstance(module, nn.BatchNorm2d):
        if not module.affine:
            raise NoNeutral
        norm_as(module, torch.zeros_like(module.weight), torch.ones_like(module.weight))
        return [], [name]
    if isinstance(module, Sum) and not isinstance(module.shortcut, nn.Identity):
        silence(module.shortcut)
        return pass_on(module.body, f"{name}.body")
    if isinstance(module, Sum | Inverted):
        silence(module.body)
        return [], []
    raise NoNeutral


def norm_as(norm: nn.BatchNorm2d, mean: torch.Tensor, variance: torch.Tensor) -> None:
    """Give a batch norm these statistics (C,), and the weight and bias that undo them."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.data.copy_((variance + norm.eps).sqrt())
    norm.bias.data.copy_(mean)


def _to_identity(conv: nn.Conv2d) -> None:
    if conv.out_channels < conv.in_channels or 1 < conv.groups < conv.in_channels:
        raise NoNeutral
    odd = all(size % 2 == 1 for size in conv.kernel_size)
    keeps = all(
        pad == step * (size // 2) for pad, step, size in zip(conv.padding, conv.dilation, conv.kernel_size, strict=True)
    )
    if not (odd and keeps and conv.stride == (1, 1)):
        raise NoNeutral
    more = conv.weight[conv.in_channels :].clone()
    nn.init.dirac_(conv.weight, conv.groups)
    conv.weight[conv.in_channels :] = more
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def silence(module: nn.Module) -> None:
    """Set the last weights of a module to zero, such that it returns zero. Raises NoNeutral where that is not enough."""
    if isinstance(module, Zeros):
        return
    if isinstance(module, nn.Sequential):
        # from the end to the last part that has weights; what follows it must keep zeros
        for part in reversed(list(module)):
            if not isinstance(part, (*WITHOUT_WEIGHTS, nn.MaxPool2d, nn.AvgPool2d)):
                return silence(part)
        raise NoNeutral
    own = dict(module.named_parameters(recurse=False))
    if not own or "weight" not in own or any(module.children()):
        raise NoNeutral
    for weight in own.values():
        nn.init.zeros_(weight)
