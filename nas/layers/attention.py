"""Gates: attention over channels, over pixels, and over both.

CBAM (Woo et al. 2018, arXiv:1807.06521) is a gate of channels and then one of pixels:
`squeeze_excite(pool="both") spatial_gate7`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from nas.building import Node, Shape, Site
from nas.layers.activation import RELU, Activation, activate
from nas.layers.conv import ConvNormAct
from nas.records import Positive, record


def divisible(channels: float, by: int = 8) -> int:
    """Return the multiple of `by` nearest to a width, never more than a tenth below it (released MobileNet code)."""
    # `_make_divisible` of the released code: adding half of `by` before truncating rounds to the nearest multiple.
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded


class _Excited(nn.Module):
    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = self.gate(x)
        return x * gated


class _ExcitedTwice(nn.Module):
    def __init__(self, squeeze: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.squeeze, self.gate = squeeze, gate

    def forward(self, x: Tensor) -> Tensor:
        mean, largest = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        gated: Tensor = self.gate(self.squeeze(mean) + self.squeeze(largest))
        return x * gated


@record
class SqueezeExcite(Node):
    """Scale each channel by a gate: two 1x1 convolutions of the channel means (Hu et al. 2018, arXiv:1709.01507).

    With `pool` "max" they read the largest values, and with "both" means and largest values, whose results are added before
    the gate: the channel attention of CBAM (Woo et al. 2018, arXiv:1807.06521, equation 2).

    The first convolution has `channels` outputs or, by default, 1/`reduction` of the width, rounded down. With a `divisor`
    this share is rounded to a multiple of it, as MobileNet's widths are.
    """

    reduction: Positive = 16
    channels: Positive | None = None
    divisor: Positive = 1
    activation: Node = RELU
    gate: Node = Activation("sigmoid")
    bias: bool = True
    pool: Literal["mean", "max", "both"] = "mean"

    def build(self, site: Site) -> nn.Module:
        width = site.shape[0]
        share = divisible(width / self.reduction, self.divisor) if self.divisor > 1 else width // self.reduction
        squeezed = self.channels or max(1, share)
        parts = [nn.Conv2d(width, squeezed, 1, bias=self.bias), *activate(self.activation, site, (squeezed, 1, 1))]
        parts.append(nn.Conv2d(squeezed, width, 1, bias=self.bias))
        gate = activate(self.gate, site, (width, 1, 1))
        if self.pool == "both":
            return _ExcitedTwice(nn.Sequential(*parts), nn.Sequential(*gate))
        pool = nn.AdaptiveAvgPool2d(1) if self.pool == "mean" else nn.AdaptiveMaxPool2d(1)
        return _Excited(nn.Sequential(pool, *parts, *gate))

    def shape(self, site: Site) -> Shape:
        return site.shape


class _SpatiallyGated(nn.Module):
    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = self.gate(torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1))
        return x * gated


@record
class SpatialGate(Node):
    """Scale each pixel by a gate: a kxk convolution of the maximum and the mean of its channels, and a sigmoid.

    The spatial attention of CBAM, Woo et al. 2018, arXiv:1807.06521, equation 3; `norm`, a batch norm after the convolution,
    is from the released code.
    """

    kernel: Positive = 7
    norm: bool = True

    def build(self, site: Site) -> nn.Module:
        conv = ConvNormAct(self.kernel, 1, norm="batch" if self.norm else "none", activation=Activation("sigmoid"))
        return _SpatiallyGated(site.put((2, *site.shape[1:])).build(conv))

    def shape(self, site: Site) -> Shape:
        return site.shape


class _Bottlenecked(nn.Module):
    def __init__(self, channel: nn.Module, spatial: nn.Module, product: bool) -> None:
        super().__init__()
        self.channel, self.spatial, self.product = channel, spatial, product

    def forward(self, x: Tensor) -> Tensor:
        channel, spatial = self.channel(x), self.spatial(x)  # (B, C, 1, 1) and (B, 1, H, W)
        gate = channel * spatial if self.product else channel + spatial
        gated: Tensor = x * (1 + gate.sigmoid())
        return gated


@record
class BAM(Node):
    """Add to the input its product with a gate of every channel of every pixel: the bottleneck attention module.

    The gate is the sigmoid of a channel branch, two 1x1 convolutions of the means, plus a spatial one, 1x1, two dilated 3x3
    and 1x1. Source: Park et al. 2018, arXiv:1807.06514, section 3. The paper ends each branch with a batch norm; the released
    code has one after each convolution but the last, which we follow. The code multiplies the branches, `join` "product".
    """

    reduction: Positive = 16
    dilation: Positive = 4
    join: Literal["add", "product"] = "add"

    def build(self, site: Site) -> nn.Module:
        width = site.shape[0]
        squeezed = max(1, width // self.reduction)
        squeeze = ConvNormAct(1, squeezed, bias=True)
        dilated = ConvNormAct(3, squeezed, dilation=self.dilation, bias=True)
        last = ConvNormAct(1, norm="none", activation=None)
        channel = [nn.AdaptiveAvgPool2d(1), *_built((squeeze, replace(last, channels=width)), site.put((width, 1, 1)))]
        spatial = _built((squeeze, dilated, dilated, replace(last, channels=1)), site)
        return _Bottlenecked(nn.Sequential(*channel), nn.Sequential(*spatial), self.join == "product")

    def shape(self, site: Site) -> Shape:
        return site.shape


def _built(nodes: tuple[Node, ...], site: Site) -> list[nn.Module]:
    """Return the modules of nodes that follow each other."""
    modules, shape = [], site.shape
    for node in nodes:
        inner = site.put(shape)
        modules.append(inner.build(node))
        shape = inner.output(node)
    return modules
