"""The gradients of a network's outputs with respect to its images, and how they correlate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

K = 1e-5
"""What is added before logarithms and divisions."""


def input_gradients(model: nn.Module, images: Tensor) -> tuple[Tensor, int]:
    """Return the gradient of the summed outputs with respect to each image, float64 (B, pixels), and the number of outputs."""
    x = images.detach().clone().requires_grad_()
    outputs = model(x)
    (rows,) = torch.autograd.grad(outputs.sum(), x)
    return rows.flatten(1).double(), outputs.shape[1]
