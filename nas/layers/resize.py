"""Resizing of maps, or of the images themselves: interpolation, transposed convolution, pixels as channels."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor, nn
from torch.nn import functional

from nas.building import BuildError, Node, Shape, Site
from nas.layers.activation import RELU, activate
from nas.layers.norm import Norm, centres, make_norm
from nas.records import Positive, Range, record


def _resized(size: int, factor: float) -> int:
    return max(1, round(size * factor))


class _Resized(nn.Module):
    def __init__(self, factor: float, mode: str) -> None:
        super().__init__()
        self.factor, self.mode = factor, mode

    def forward(self, x: Tensor) -> Tensor:
        size = [_resized(side, self.factor) for side in x.shape[2:]]
        return functional.interpolate(x, size, mode=self.mode, align_corners=False if self.mode == "bilinear" else None)


@record
class Resize(Node):
    """Multiply both sides of a map by a factor, by bilinear interpolation or, with `mode` "nearest", by repeating pixels.

    In a stem it makes the image resolution a part of the architecture, as in compound scaling (Tan and Le 2019,
    arXiv:1905.11946, section 3).
    """

    factor: Annotated[float, Range(0)] = 1.0
    mode: Literal["bilinear", "nearest"] = "bilinear"

    def build(self, site: Site) -> nn.Module:
        return _Resized(self.factor, self.mode)

    def shape(self, site: Site) -> Shape:
        channels, height, width = site.shape
        return channels, _resized(height, self.factor), _resized(width, self.factor)


@record
class TransposedConv(Node):
    """Multiply both sides of a map by `scale`, by a transposed convolution with a norm and an activation.

    The kernel is at least as large as the scale, so that every pixel is reached; the output is cropped equally on all sides
    or, where that leaves one pixel, once less on the right and the bottom. Source: Zeiler et al. 2010 (deconvolutional
    networks); Long et al. 2015, arXiv:1411.4038, section 3.3.
    """

    kernel: Positive = 4
    channels: Positive | None = None
    scale: Positive = 2
    norm: Norm = "batch"
    activation: Node | None = RELU
    bias: bool | None = None

    def build(self, site: Site) -> nn.Module:
        shape = self.shape(site)
        bias = not centres(self.norm) if self.bias is None else self.bias
        cropped = self.kernel - self.scale
        padding = (cropped + 1) // 2
        conv = nn.ConvTranspose2d(
            site.shape[0], shape[0], self.kernel, self.scale, padding, 2 * padding - cropped, bias=bias
        )
        return nn.Sequential(conv, *make_norm(self.norm, site, shape), *activate(self.activation, site, shape))

    def shape(self, site: Site) -> Shape:
        if self.kernel < self.scale or (self.scale == 1 and self.kernel % 2 == 0):
            raise BuildError(
                f"a transposed convolution of {self.kernel}x{self.kernel} does not multiply the size by {self.scale}: give a "
                "kernel of at least the scale, and an odd one for scale 1"
            )
        _, height, width = site.shape
        return self.channels or site.channels, height * self.scale, width * self.scale


@record
class SpaceToDepth(Node):
    """Put each square of `scale` x `scale` pixels into one pixel of `scale`**2 times the channels (Shi et al. 2016, inverted)."""

    scale: Positive = 2

    def build(self, site: Site) -> nn.Module:
        self.shape(site)
        return nn.PixelUnshuffle(self.scale)

    def shape(self, site: Site) -> Shape:
        channels, height, width = site.shape
        if height % self.scale or width % self.scale:
            raise BuildError(f"a map of {height}x{width} is not made of squares of {self.scale} pixels: change one")
        return channels * self.scale**2, height // self.scale, width // self.scale


@record
class DepthToSpace(Node):
    """Spread `scale`**2 channels over a square of `scale` x `scale` pixels: sub-pixel convolution after a convolution.

    Source: Shi et al. 2016, arXiv:1609.05158, equation 4.
    """

    scale: Positive = 2

    def build(self, site: Site) -> nn.Module:
        self.shape(site)
        return nn.PixelShuffle(self.scale)

    def shape(self, site: Site) -> Shape:
        channels, height, width = site.shape
        if channels % self.scale**2:
            raise BuildError(
                f"{channels} channels do not fill squares of {self.scale} pixels: give a multiple of {self.scale**2}"
            )
        return channels // self.scale**2, height * self.scale, width * self.scale
