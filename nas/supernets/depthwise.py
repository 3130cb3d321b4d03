"""Depthwise convolution whose gradients are fast on a CPU too: torch's function, computed by other kernels.

For depthwise convolutions oneDNN has a fast weight gradient only where the kernel is undilated, at most 3 wide and no
higher than the feature map. It has a fast input gradient only where the kernel is undilated. Elsewhere it pads each
channel to a block or multiplies matrices, 3 to 10 times slower. Both gradients can be computed by the fast kernels; only
the order of summation changes.

Shapes: B batch, C channels, H height, W width, kh and kw the kernel's height and width.
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
"""The widest kernel that has a fast weight gradient."""


def depthwise(x: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolve each channel of (B, C, H, W) with its own kernel of `weight`, (C, 1, kh, kw).

    Kernel sizes are odd; padding keeps the size. Returns (B, C, H / stride, W / stride), rounded up. Can be
    differentiated twice.
    """
    if not _is_slow(x, weight, stride, dilation):
        return functional.conv2d(x, weight, None, stride, _padding(weight, dilation), dilation, len(weight))
    # Two autograd nodes instead of one: input and weight gradients can then be skipped independently.
    handed = _Handed()
    path: Tensor = _WeightPath.apply(weight, x.detach(), handed, stride, dilation)  # type: ignore[no-untyped-call]
    convolved: Tensor = _InputPath.apply(x, weight, path, handed, stride, dilation)  # type: ignore[no-untyped-call]
    return convolved


def _is_slow(x: Tensor, weight: Tensor, stride: int, dilation: int) -> bool:
    """Return whether torch's own gradients are slow and the case is one that this module supports."""
    # under autocast the gradient is bfloat16 and the saved input float32: the native backward takes only one dtype
    here = x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return here and 1 in (stride, dilation) and (dilation > 1 or weight.shape[3] > WIDEST)


def _padding(weight: Tensor, dilation: int) -> Pair:
    height, width = weight.shape[2:]
    return dilation * (height // 2), dilation * (width // 2)


@final
class _Handed:
    """The input map that the backward pass of `_InputPath` hands to that of `_WeightPath`."""

    x: Tensor | None = None


class _InputPath(torch.autograd.Function):
    """The convolution, with the gradient of its input; the output gradient is passed on to `_WeightPath`."""

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
        # The weight path got x detached; this x carries its graph, so the weight gradient can be differentiated again.
        ctx.handed.x = x
        by_input = _input_gradient(gradient, x, weight, ctx.stride, ctx.dilation) if ctx.needs_input_grad[0] else None
        return by_input, None, gradient, None, None, None


class _WeightPath(torch.autograd.Function):
    """Zeros of the output's shape, expanded from one number; their gradient becomes the weight gradient.

    The weights are its only differentiable input. So autograd skips this node in a backward pass that asks for the
    alphas' gradients only.
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
    if dilation > 1:  # correlation with the flipped kernel: the forward kernel is fast with dilation too
        padding = _padding(weight, dilation)
        return functional.conv2d(gradient, weight.flip(2, 3), None, 1, padding, dilation, len(weight))
    return _native_gradients(gradient, x, weight, stride, _padding(weight, 1), (True, False, False))[0]


def _weight_gradient(gradient: Tensor, x: Tensor, kernel: Sequence[int], stride: int, dilation: int) -> Tensor:
    """Return the weight gradient, (C, 1, *kernel), from undilated convolutions at most WIDEST columns wide."""
    if dilation > 1:  # the stride is then 1, as `_is_slow` checks, so the output has the same phases as the input
        x, gradient = _phases(x, dilation), _phases(gradient, dilation)
    height, width = kernel
    # The fast kernel needs a map at least as high as the kernel: pad with zero rows.
    if x.shape[2] < height:
        x = functional.pad(x, (0, 0, 0, height - x.shape[2]))
        gradient = functional.pad(gradient, (0, 0, 0, (x.shape[2] - 1) // stride + 1 - gradient.shape[2]))
    if width <= WIDEST:
        return _native_weight_gradient(gradient, x, (height, width), stride, (height // 2, width // 2))
    # Wider kernels: the gradient of each slice of columns is that of a narrow kernel on a shifted input.
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
    """Return torch's gradients of an undilated convolution: of input, weights and bias; None where not wanted."""
    sizes = ([stride, stride], padding, [1, 1], False, [0, 0], len(weight))
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, *sizes, wanted
    )
    return found


def _phases(x: Tensor, step: int) -> Tensor:
    """Return the `step` * `step` subsampled maps as separate samples, channels last.

    (B, C, H, W) becomes (B * step^2, C, H / step, W / step): on these maps a kernel of dilation `step` is an undilated
    one.
    """
    batch, channels, height, width = x.shape
    if height % step or width % step:
        x = functional.pad(x, (0, -width % step, 0, -height % step))
    height, width = -(-height // step), -(-width // step)
    # (B, H/s, s, W/s, s, C) -> (B, s, s, H/s, W/s, C): the two offsets move next to the batch
    pixels = x.permute(0, 2, 3, 1).reshape(batch, height, step, width, step, channels).permute(0, 2, 4, 1, 3, 5)
    return pixels.reshape(batch * step * step, height, width, channels).permute(0, 3, 1, 2)
