"""Depthwise convolution with gradients that are fast on a processor too: torch's function, computed by other kernels.

For a depthwise convolution oneDNN has a fast gradient by the weights only where the kernel is undilated, at most 3 wide
and no higher than the map, and a fast one by the input only where it is undilated. Elsewhere it pads each channel to a
block or multiplies matrices, 3 to 10 times slower. Both gradients can be had from the fast kernels; all that changes is
the order of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional

Pair = tuple[int, int]
"""Height and width."""

WIDEST = 3
"""The widest kernel for whose weights there is a fast gradient."""


def depthwise(x: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolve each channel of (B, C, H, W) with its own kernel of `weight`, (C, 1, kh, kw), odd and padded to keep the size.

    Returns (B, C, H / stride, W / stride), rounded up. Can be differentiated twice.
    """
    if not _is_slow(x, weight, stride, dilation):
        return functional.conv2d(x, weight, None, stride, _padding(weight, dilation), dilation, len(weight))
    handed = _Handed()
    path: Tensor = _WeightPath.apply(weight, x.detach(), handed, stride, dilation)  # type: ignore[no-untyped-call]
    convolved: Tensor = _InputPath.apply(x, weight, path, handed, stride, dilation)  # type: ignore[no-untyped-call]
    return convolved


def _is_slow(x: Tensor, weight: Tensor, stride: int, dilation: int) -> bool:
    """Say whether torch's own gradients are slow, and ours are written for the case."""
    here = x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return here and 1 in (stride, dilation) and (dilation > 1 or weight.shape[3] > WIDEST)


def _padding(weight: Tensor, dilation: int) -> Pair:
    height, width = weight.shape[2:]
    return dilation * (height // 2), dilation * (width // 2)


@final
class _Handed:
    """Holds the map that the backward pass of the one path hands to the other."""

    x: Tensor | None = None


class _InputPath(torch.autograd.Function):
    """The convolution; its gradient goes to the input, and on to the path of the weights."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, path: Tensor, handed: _Handed, stride: int, dilation: int) -> Tensor:
        return functional.conv2d(x, weight, None, stride, _padding(weight, dilation), dilation, len(weight))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, ctx.handed, ctx.stride, ctx.dilation = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        ctx.handed.x = x
        by_input = _input_gradient(gradient, x, weight, ctx.stride, ctx.dilation) if ctx.needs_input_grad[0] else None
        return by_input, None, gradient, None, None, None


class _WeightPath(torch.autograd.Function):
    """Zeros, of the convolution's shape and without memory of their own; their gradient becomes that of the weights.

    As a node of its own, of which the weights alone are the input, it is left out of a backward pass that asks for the
    alphas' gradients alone.
    """

    @staticmethod
    def forward(weight: Tensor, x: Tensor, handed: _Handed, stride: int, dilation: int) -> Tensor:
        batch, channels, height, width = x.shape
        return x.new_zeros(()).expand(batch, channels, -(-height // stride), -(-width // stride))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        weight, _, ctx.handed, ctx.stride, ctx.dilation = inputs
        ctx.kernel = weight.shape[2:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, ctx.handed.x = ctx.handed.x, None
        return _weight_gradient(gradient, x, ctx.kernel, ctx.stride, ctx.dilation), None, None, None, None


def _input_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    if dilation > 1:  # the mirrored convolution, as a forward pass is fast with dilation too
        padding = _padding(weight, dilation)
        return functional.conv2d(gradient, weight.flip(2, 3), None, 1, padding, dilation, len(weight))
    return _native_gradients(gradient, x, weight, stride, _padding(weight, 1), (True, False, False))[0]


def _weight_gradient(gradient: Tensor, x: Tensor, kernel: Sequence[int], stride: int, dilation: int) -> Tensor:
    """Return the gradient by the weights, (C, 1, *kernel): undilated, and at most WIDEST columns at a time."""
    if dilation > 1:
        x, gradient = _phases(x, dilation), _phases(gradient, dilation)
    height, width = kernel
    if x.shape[2] < height:
        x = functional.pad(x, (0, 0, 0, height - x.shape[2]))
        gradient = functional.pad(gradient, (0, 0, 0, (x.shape[2] - 1) // stride + 1 - gradient.shape[2]))
    if width <= WIDEST:
        return _native_weight_gradient(gradient, x, (height, width), stride, (height // 2, width // 2))
    x = functional.pad(x, (width // 2, width // 2))
    parts = []
    for first in range(0, width, WIDEST):
        columns = min(WIDEST, width - first)
        seen = x.narrow(3, first, (gradient.shape[3] - 1) * stride + columns)
        parts.append(_native_weight_gradient(gradient, seen, (height, columns), stride, (height // 2, 0)))
    return torch.cat(parts, 3)


def _native_weight_gradient(gradient: Tensor, x: Tensor, kernel: Pair, stride: int, padding: Pair) -> Tensor:
    weight = x.new_empty(x.shape[1], 1, *kernel)
    return _native_gradients(gradient, x, weight, stride, padding, (False, True, False))[1]


def _native_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: Pair, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return torch's gradients of an undilated convolution by input, weights and bias; those not wanted are None."""
    sizes = ([stride, stride], padding, [1, 1], False, [0, 0], len(weight))
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, *sizes, wanted
    )
    return found


def _phases(x: Tensor, step: int) -> Tensor:
    """Return the maps of every step-th pixel as so many samples, channels last: where dilated kernels are undilated ones."""
    batch, channels, height, width = x.shape
    if height % step or width % step:
        x = functional.pad(x, (0, -width % step, 0, -height % step))
    height, width = -(-height // step), -(-width // step)
    pixels = x.permute(0, 2, 3, 1).reshape(batch, height, step, width, step, channels).permute(0, 2, 4, 1, 3, 5)
    return pixels.reshape(batch * step * step, height, width, channels).permute(0, 3, 1, 2)
