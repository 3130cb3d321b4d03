"""Gradients of the loss of one batch, by the layers that proxies count: convolutions and linear layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Layer = nn.Conv2d | nn.Linear


def layers_of(model: nn.Module) -> list[Layer]:
    """Return the convolutions and linear layers of a network."""
    return [part for part in model.modules() if isinstance(part, Layer)]


def weights_of(model: nn.Module) -> list[Tensor]:
    """Return the weights of the convolutions and linear layers, without their biases."""
    return [layer.weight for layer in layers_of(model)]


def loss_of(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of a batch."""
    return functional.cross_entropy(model(images), labels)


def gradients(value: Tensor, tensors: Sequence[Tensor], create_graph: bool = False) -> tuple[Tensor, ...]:
    """Return the gradient of a value with respect to each tensor; zeros for those that it does not depend on."""
    return torch.autograd.grad(value, tensors, create_graph=create_graph, allow_unused=True, materialize_grads=True)


def with_gradients(model: nn.Module, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return each weight w and the gradient g of the loss with respect to it."""
    weights = weights_of(model)
    found = gradients(loss_of(model, images, labels), weights)
    return [(weight.detach(), gradient) for weight, gradient in zip(weights, found, strict=True)]
