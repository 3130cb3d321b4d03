"""Max and average pooling."""

from __future__ import annotations

from torch import nn

from nas.building import BuildError, Node, Site
from nas.operations.conv import same_conv
from nas.records import Positive, record


def _padding(kernel: int, site: Site) -> int:
    """Return the padding with which the output size is the input size over the stride, rounded up."""
    if kernel % 2 == 0 and site.stride != 2:
        raise BuildError(f"a {kernel}x{kernel} pooling needs stride 2, not {site.stride}: give an odd kernel")
    # An even kernel cannot be padded equally on both sides: ceil mode gives odd sizes a last, partial window instead.
    return (kernel - 1) // 2


def _pooled(pool: nn.Module, site: Site) -> nn.Module:
    """Return a pooling followed by the norm or convolution that its site needs.

    A supernet's poolings end in a batch norm without weights (the released DARTS code). Where the width changes, a 1x1
    convolution and batch norm follow, as in the released NASNet code.
    """
    parts = [pool]
    if site.relaxation is not None:
        parts.append(nn.BatchNorm2d(site.shape[0], affine=False))
    if site.shape[0] != site.channels:
        parts += [same_conv((site.shape[0], site.channels)), nn.BatchNorm2d(site.channels, affine=site.affine)]
    return nn.Sequential(*parts) if len(parts) > 1 else pool


@record
class MaxPool(Node):
    """Take the largest value of each kxk window."""

    kernel: Positive = 3

    def build(self, site: Site) -> nn.Module:
        return _pooled(
            nn.MaxPool2d(self.kernel, site.stride, _padding(self.kernel, site), ceil_mode=self.kernel % 2 == 0), site
        )


@record
class AvgPool(Node):
    """Take the mean of each kxk window, padding excluded."""

    kernel: Positive = 3

    def build(self, site: Site) -> nn.Module:
        padding, even = _padding(self.kernel, site), self.kernel % 2 == 0
        return _pooled(nn.AvgPool2d(self.kernel, site.stride, padding, ceil_mode=even, count_include_pad=False), site)
