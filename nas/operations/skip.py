"""Skip, zero, and the factorised reduction that stands for a skip where the size halves."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.build import Node, Site
from nas.operations.conv import relu_conv_norm, same_conv
from nas.record import record


class FactorizedReduce(nn.Module):
    """Halve a map with two 1x1 convolutions of stride 2, the second a pixel right and below, and batch norm.

    Takes (B, C, H, W), also of odd sizes: as in the released NASNet code the shifted view is padded with zeros. DARTS
    opens with a ReLU, NASNet does not.
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
        shifted = functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, 1:, 1:]
        normed: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], 1))
        return normed


@record
class Skip(Node):
    """Pass the input on.

    Where the size halves: a factorised reduction (DARTS, NAS-Bench-201) or, with `strided` "conv", ReLU, a strided 1x1
    convolution and batch norm (the released NASNet code). Where only the width differs, the same with stride 1.
    """

    strided: Literal["factorized", "conv"] = "factorized"

    def build(self, site: Site) -> nn.Module:
        channels = site.shape[0], site.channels
        if site.stride == 1 and channels[0] == channels[1]:
            return nn.Identity()
        if site.stride == 2 and self.strided == "factorized":
            return FactorizedReduce(channels, affine=site.affine)
        return nn.Sequential(*relu_conv_norm(channels, stride=site.stride, affine=site.affine))


class Zeros(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :1, :: self.stride, :: self.stride].mul(0.0)
        return x.expand(-1, self.channels, -1, -1)


@record
class Zero(Node):
    """Give zeros: no connection."""

    def build(self, site: Site) -> nn.Module:
        return Zeros(site.channels, site.stride)
