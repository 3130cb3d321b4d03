"""Depthwise-separable convolutions, dense and dilated."""

from __future__ import annotations

from torch import nn

from nas.building import Node, Shape, Site
from nas.layers.norm import Norm, make_norm
from nas.operations.conv import same_conv
from nas.records import Positive, record


@record
class SepConv(Node):
    """Apply ReLU, a depthwise and a pointwise convolution and a norm, `repeats` times; the first has the stride.

    Source: NASNet (Zoph et al. 2018, appendix A.4), which applies separable convolutions twice; DARTS follows.
    """

    repeating = frozenset(("repeats",))

    kernel: Positive = 3
    repeats: Positive = 2
    norm: Norm = "batch"

    def build(self, site: Site) -> nn.Module:
        shape = self.shape(site)
        sites = [site, *[site.put(shape)] * (self.repeats - 1)]
        parts = [part for each in sites for part in _separable(each, shape, self.kernel, 1, self.norm)]
        return nn.Sequential(*parts)


@record
class DilConv(Node):
    """Apply ReLU, a dilated depthwise and a pointwise convolution and a norm, once (DARTS, section 3.1)."""

    kernel: Positive = 3
    dilation: Positive = 2
    norm: Norm = "batch"

    def build(self, site: Site) -> nn.Module:
        return nn.Sequential(*_separable(site, self.shape(site), self.kernel, self.dilation, self.norm))


def _separable(site: Site, shape: Shape, kernel: int, dilation: int, norm: Norm) -> list[nn.Module]:
    """Return the layers from a site to a shape: ReLU, depthwise and pointwise convolution, norm."""
    channels = site.shape[0]
    depthwise = same_conv((channels, channels), kernel, site.stride, dilation, groups=channels)
    return [nn.ReLU(), depthwise, same_conv((channels, shape[0])), *make_norm(norm, site, shape)]
