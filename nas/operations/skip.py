"""Skip, zero, and the factorised reduction that replaces a skip where the size halves."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.building import Node, Site
from nas.operations.conv import relu_conv_norm, same_conv
from nas.records import record


class FactorizedReduce(nn.Module):
    """Halve a map by two 1x1 convolutions of stride 2, the second offset by one pixel, and batch norm.

    Takes (B, C, H, W), also of odd sizes: as in the released NASNet code the shifted view is padded with zeros. DARTS begins
    with a ReLU, NASNet does not.
    """

    def __init__(self, channels: tuple[int, int], relu: bool = True, affine: bool = True) -> None:
        super().__init__()
        first = channels[1] // 2
        self.relu = nn.ReLU() if relu else nn.Identity()
        self.even = same_conv((channels[0], first), stride=2)
        self.odd = same_conv((channels[0], channels[1] - first), stride=2)
        self.norm = nn.BatchNorm2d(channels[1], affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        # Odd sizes get a last row and column of zeros, so that the shifted half is as large as the other.
        shifted = functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, 1:, 1:]
        normed: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], 1))
        return normed


@record
class Skip(Node):
    """Pass the input on.

    Where the size halves: a factorised reduction (DARTS, NAS-Bench-201) or, with `strided` "conv", ReLU, a strided 1x1
    convolution and batch norm (the released NASNet code). Where only the width differs, the same with stride 1. The shortcuts
    of ResNet: "projection" is a strided 1x1 convolution and batch norm, "pooled" the mean of 2x2 before it (ResNet-D),
    "padded" takes every other pixel and appends zero channels, "bare" is the projection without a norm.
    """

    strided: Literal["factorized", "conv", "projection", "pooled", "padded", "bare"] = "factorized"

    def build(self, site: Site) -> nn.Module:
        channels = site.shape[0], site.channels
        if site.stride == 1 and channels[0] == channels[1]:
            return nn.Identity()
        if self.strided in ("projection", "pooled", "padded", "bare"):
            return self._shortcut(site)
        if site.stride == 2 and self.strided == "factorized":
            return FactorizedReduce(channels, affine=site.affine)
        return nn.Sequential(*relu_conv_norm(channels, stride=site.stride, affine=site.affine))

    def _shortcut(self, site: Site) -> nn.Module:
        channels, stride = (site.shape[0], site.channels), site.stride
        if self.strided == "padded":
            return _Padded(*channels, stride)
        if self.strided == "bare":
            return same_conv(channels, stride=stride)
        norm = nn.BatchNorm2d(site.channels, affine=site.affine)
        if self.strided == "projection" or stride == 1:
            return nn.Sequential(same_conv(channels, stride=stride), norm)
        pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
        return nn.Sequential(pool, same_conv(channels), norm)


class _Padded(nn.Module):
    """Every `stride`-th pixel, with zero channels appended, or without the last channels."""

    def __init__(self, channels: int, wanted: int, stride: int) -> None:
        super().__init__()
        self.more, self.stride = wanted - channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))


class Zeros(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        # Multiplied, not created: the output stays in the graph of the input. One channel, expanded, saves memory.
        x = x[:, :1, :: self.stride, :: self.stride].mul(0.0)
        return x.expand(-1, self.channels, -1, -1)


@record
class Zero(Node):
    """Return zeros: no connection."""

    def build(self, site: Site) -> nn.Module:
        return Zeros(site.channels, site.stride)
