"""Convolutions: plain, and factorised into 1xk and kx1."""

from __future__ import annotations

from typing import Literal

from torch import nn

from nas.building import BuildError, Node, Shape, Site
from nas.layers.norm import Norm, make_norm
from nas.records import Positive, record


def relu_conv_norm(
    channels: tuple[int, int], kernel: int | tuple[int, int] = 1, stride: int | tuple[int, int] = 1, affine: bool = True
) -> list[nn.Module]:
    """Return ReLU, convolution without bias, batch norm: the block that cells are made of."""
    return [nn.ReLU(), same_conv(channels, kernel, stride), nn.BatchNorm2d(channels[1], affine=affine)]


def same_conv(
    channels: tuple[int, int],
    kernel: int | tuple[int, int] = 1,
    stride: int | tuple[int, int] = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Conv2d:
    """Return a convolution without bias, padded so that at stride 1 it keeps the size. Raises BuildError for even kernels.

    The released TensorFlow code pads even sizes at stride 2 on the right and the bottom only; we pad both sides equally.
    """
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    if height % 2 == 0 or width % 2 == 0:
        raise BuildError(f"a {height}x{width} convolution does not keep the size: give odd kernels")
    padding = (dilation * (height - 1) // 2, dilation * (width - 1) // 2)
    return nn.Conv2d(*channels, (height, width), stride, padding, dilation, groups, bias=False)


@record
class Conv(Node):
    """Apply ReLU, a kxk convolution and batch norm, or another `norm`, or none where it is False.

    `bottleneck` b puts the convolution between two 1x1 convolutions, on 1/b of the output's channels, as the released
    AmoebaNet code does with b = 4.
    """

    kernel: Positive = 3
    activation: Literal["relu", "none"] = "relu"
    norm: bool | Literal["layer", "group", "instance"] | Node = True
    bottleneck: Positive = 1
    padding: Literal["same", "valid"] = "same"

    def __post_init__(self) -> None:
        if self.bottleneck != 1 and (self.activation, self.norm, self.padding) != ("relu", True, "same"):
            raise BuildError(f"{self} has a bottleneck: leave activation, norm and padding at their defaults")

    def build(self, site: Site) -> nn.Module:
        if self.bottleneck > 1:
            return _bottleneck(site, self.bottleneck, [((self.kernel, self.kernel), (site.stride, site.stride))])
        conv = same_conv((site.shape[0], site.channels), self.kernel, site.stride)
        if self.padding == "valid":
            conv.padding = (0, 0)
        parts: list[nn.Module] = [nn.ReLU()] if self.activation == "relu" else []
        norm: Norm = self.norm if not isinstance(self.norm, bool) else "batch" if self.norm else "none"
        return nn.Sequential(*parts, conv, *make_norm(norm, site, self.shape(site)))

    def shape(self, site: Site) -> Shape:
        if self.padding == "same":
            return Node.shape(self, site)
        height, width = ((size - self.kernel) // site.stride + 1 for size in site.shape[1:])
        if min(height, width) < 1:
            raise BuildError(f"{self} does not fit a map of {site.shape[1:]}: give larger images, or padding 'same'")
        return site.channels, height, width


@record
class AsymmetricConv(Node):
    """Apply ReLU, a 1xk convolution, a kx1 convolution and batch norm: 1x7-7x1 and 1x3-3x1 of NASNet and AmoebaNet.

    As in the DARTS repository. The released AmoebaNet code puts both in a bottleneck of a quarter of the channels, each with
    its own ReLU and batch norm: that is `bottleneck` 4.
    """

    kernel: Positive = 7
    bottleneck: Positive = 1

    def build(self, site: Site) -> nn.Module:
        # (kernel, stride) of each: the 1xk strides along the row, the kx1 along the column.
        row, column = ((1, self.kernel), (1, site.stride)), ((self.kernel, 1), (site.stride, 1))
        if self.bottleneck > 1:
            return _bottleneck(site, self.bottleneck, [row, column])
        first = same_conv((site.shape[0], site.channels), *row)
        second = same_conv((site.channels, site.channels), *column)
        return nn.Sequential(nn.ReLU(), first, second, nn.BatchNorm2d(site.channels, affine=site.affine))


def _bottleneck(
    site: Site, factor: int, kernels_and_strides: list[tuple[tuple[int, int], tuple[int, int]]]
) -> nn.Module:
    inner = max(site.channels // factor, 1)
    parts = relu_conv_norm((site.shape[0], inner), affine=site.affine)
    for kernel, stride in kernels_and_strides:
        parts += relu_conv_norm((inner, inner), kernel, stride, site.affine)
    return nn.Sequential(*parts, *relu_conv_norm((inner, site.channels), affine=site.affine))
