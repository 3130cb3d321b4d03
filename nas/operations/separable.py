"""Depthwise-separable convolutions, dense and dilated."""

from __future__ import annotations

from torch import nn

from nas.building import Node, Site
from nas.operations.conv import same_conv
from nas.records import Positive, record


def _separable(channels: tuple[int, int], kernel: int, stride: int, dilation: int, affine: bool) -> list[nn.Module]:
    depthwise = same_conv((channels[0], channels[0]), kernel, stride, dilation, groups=channels[0])
    return [nn.ReLU(), depthwise, same_conv(channels), nn.BatchNorm2d(channels[1], affine=affine)]


@record
class SepConv(Node):
    """Apply ReLU, a depthwise and a pointwise convolution and batch norm, `repeats` times; the first has the stride.

    Source: NASNet (Zoph et al. 2018, appendix A.4), which applies separable convolutions twice; DARTS follows.
    """

    repeating = frozenset(("repeats",))

    kernel: Positive = 3
    repeats: Positive = 2

    def build(self, site: Site) -> nn.Module:
        parts = _separable((site.shape[0], site.channels), self.kernel, site.stride, 1, site.affine)
        for _ in range(self.repeats - 1):
            parts += _separable((site.channels, site.channels), self.kernel, 1, 1, site.affine)
        return nn.Sequential(*parts)


@record
class DilConv(Node):
    """Apply ReLU, a dilated depthwise and a pointwise convolution and batch norm, once (DARTS, section 3.1)."""

    kernel: Positive = 3
    dilation: Positive = 2

    def build(self, site: Site) -> nn.Module:
        channels = site.shape[0], site.channels
        return nn.Sequential(*_separable(channels, self.kernel, site.stride, self.dilation, site.affine))
