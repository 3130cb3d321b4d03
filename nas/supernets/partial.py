"""Partial channels: a mixture on some of the channels, which the others bypass."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from nas.building import BuildError, Site, inputs_of
from nas.choice import Choice


def partial_channels(choice: Choice, site: Site, mixed: Callable[[Site], nn.Module], k: int) -> nn.Module:
    """Build a mixture on 1/k of the channels, or on all where the others cannot bypass it.

    They cannot where the options change the number of channels or set their own width or stride. Xu et al. 2020,
    arXiv:1907.05737, section 3.2. Raises BuildError where k does not divide the channels.
    """
    channels, height, width = site.shape
    if k == 1 or inputs_of(choice) != 1 or site.channels != channels or not _keeps_width(choice, site):
        return mixed(site)
    if channels % k:
        raise BuildError(
            f"choice {choice.name!r} would mix 1/{k} of {channels} channels: give a width that {k} divides, or another k"
        )
    part = channels // k
    # checked again at the narrower site, as the output of an option may depend on the width
    inner = site.put((part, height, width), part, site.stride)
    return PartialChannels(mixed(inner), k, site.stride) if _keeps_width(choice, inner) else mixed(site)


def _keeps_width(choice: Choice, site: Site) -> bool:
    """Return whether the output has the width and the size that the site asks for."""
    node: Any = choice
    return site.output(node) == (site.channels, *(math.ceil(size / site.stride) for size in site.shape[1:]))


@final
class PartialChannels(nn.Module):
    """A mixture on the first 1/k of the channels, concatenated with the others and shuffled, so that each has its turn.

    Takes (B, C, H, W), returns (B, C, H / stride, W / stride), rounded up. As in the released code, the others are
    max-pooled where the mixture is strided; the paper does not specify it.
    """

    def __init__(self, mixed: nn.Module, k: int, stride: int) -> None:
        super().__init__()
        self.mixed, self.k = mixed, k
        self.pool = nn.MaxPool2d(stride, stride, ceil_mode=True) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        part = x.shape[1] // self.k
        joined = torch.cat([self.mixed(x[:, :part]), self.pool(x[:, part:])], 1)
        # interleaves the k groups: the first C / k channels, mixed by the next layer, are then from all of them
        return torch.channel_shuffle(joined, self.k)
