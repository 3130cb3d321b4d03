"""Embedding: the weights of a layer inside those of a larger layer of the same kind.

O output channels, I input channels, K kernel size. New columns, which read new channels, are zero in the old rows, so the old
outputs do not change; new rows keep their random weights (Wei et al. 2016, arXiv:1603.01670; Elsken et al. 2017,
arXiv:1711.04528, type II). Net2Net instead repeats old channels at random and divides what reads them (Chen et al. 2016,
arXiv:1511.05641, section 2.1): it then needs noise to tell the copies apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nas.morphisms.channels import by_position, is_channelwise


def embed(new: nn.Module, old: nn.Module, columns: Sequence[int]) -> int:
    """Put the weights that `old` itself holds into `new`, of the same class; returns how many weights were taken over.

    `columns` has, for each input channel of the new module, that of the old one, or -1.
    """
    if isinstance(new, nn.Conv2d) and isinstance(old, nn.Conv2d):
        return _embed_conv(new, old, columns)
    if isinstance(new, nn.Linear) and isinstance(old, nn.Linear):
        return _embed_matrix(new, old, old.weight, columns)
    for name, buffer in new.named_buffers(recurse=False):
        _embed_rows(buffer, getattr(old, name, None), columns)
    weights = new.named_parameters(recurse=False)
    return sum(_embed_rows(weight, getattr(old, name, None), columns) for name, weight in weights)


def _embed_rows(new: Tensor, old: Tensor | None, columns: Sequence[int]) -> int:
    """Put a tensor that differs at most in its first size into a new one; one with a value for each channel by `columns`."""
    if old is None or new.dim() != old.dim() or new.shape[1:] != old.shape[1:]:
        return 0
    if not new.dim():
        new.copy_(old)
        return 1
    if len(new) != len(columns):
        columns = by_position(len(new), len(old))
    fresh = [i for i, column in enumerate(columns) if column >= 0]
    new[fresh] = old[[columns[i] for i in fresh]]
    return new[fresh].numel()


def _embed_matrix(
    new: nn.Conv2d | nn.Linear, old: nn.Conv2d | nn.Linear, kernels: Tensor, columns: Sequence[int]
) -> int:
    """Put the old kernels (O, I, ...), in the new size, into the first rows and the given columns of the new ones."""
    rows = min(len(new.weight), len(kernels))
    fresh = [i for i, column in enumerate(columns) if column >= 0]
    new.weight[:rows] = 0.0
    new.weight[:rows, fresh] = kernels[:rows][:, [columns[i] for i in fresh]]
    if new.bias is not None:
        new.bias[:rows] = old.bias[:rows] if old.bias is not None else 0.0
    return new.weight[:rows, fresh].numel() + (rows if new.bias is not None else 0)


def _embed_conv(new: nn.Conv2d, old: nn.Conv2d, columns: Sequence[int]) -> int:
    kernels = _resized(old, new)
    if new.groups == old.groups == 1:
        return _embed_matrix(new, old, kernels, columns)
    if not (is_channelwise(new) and is_channelwise(old)):
        # groups of one size, in the same order: more groups, and so more rows
        is_longer = new.in_channels >= old.in_channels and list(columns) == by_position(len(columns), old.in_channels)
        if not is_longer or new.weight.shape[1] != old.weight.shape[1] or _ratio(new) != _ratio(old):
            return 0
        columns = by_position(len(new.weight), len(kernels))
    if new.bias is not None:
        _embed_rows(new.bias, old.bias, columns)
    return _embed_rows(new.weight, kernels, columns)


def _ratio(conv: nn.Conv2d) -> float:
    return conv.out_channels / conv.in_channels


def _resized(old: nn.Conv2d, new: nn.Conv2d) -> Tensor:
    """Return the kernel of the old convolution (O, I, K, K) in the size of the new one's, around the same centre.

    A tap keeps its distance from the centre in pixels: a 3x3 kernel of dilation 2 is a 5x5 one with zeros between.
    """
    kernel: Tensor = old.weight.detach()
    for axis in (0, 1):
        known = {tap: i for i, tap in enumerate(taps(new, axis))}
        found = [(known[tap], i) for i, tap in enumerate(taps(old, axis)) if tap in known]
        sizes = list(kernel.shape)
        sizes[2 + axis] = new.kernel_size[axis]
        larger = kernel.new_zeros(sizes)
        places, sources = (torch.tensor(each, dtype=torch.long) for each in zip(*found, strict=True))
        larger.index_copy_(2 + axis, places, kernel.index_select(2 + axis, sources))
        kernel = larger
    return kernel


def taps(conv: nn.Conv2d, axis: int) -> tuple[float, ...]:
    """Return the distance of each tap from the centre, in pixels."""
    size = conv.kernel_size[axis]
    return tuple((i - (size - 1) / 2) * conv.dilation[axis] for i in range(size))
