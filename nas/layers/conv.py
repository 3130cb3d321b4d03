"""Convolution, norm and activation: the layer that most hand-designed networks consist of."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.layers.activation import RELU, activate
from nas.records import Natural, Positive, Range, record

Pair = tuple[int, int]
Padding = Literal["same", "valid"] | Natural | tuple[Natural, Natural]
Ratio = Annotated[float, Range(0)]


def pair(value: int | Pair) -> Pair:
    """Return a size in both directions."""
    return (value, value) if isinstance(value, int) else value


def window(size: int, kernel: int, stride: int, padding: int, dilation: int = 1, ceil: bool = False) -> int:
    """Return the number of windows that fit a side of `size` pixels, as torch counts them; with `ceil` the last may overhang."""
    # The formula of torch.nn.Conv2d and MaxPool2d; `-(-a // b)` rounds up.
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    fitting = (-(-room // stride) if ceil else room // stride) + 1
    # Torch drops a last window that would begin in the padding after the map.
    return fitting - 1 if ceil and (fitting - 1) * stride >= size + padding else fitting


class ChannelNorm(nn.Module):
    """Normalise the channels of each pixel of (B, C, H, W): layer norm as in ConvNeXt."""

    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6, elementwise_affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(x.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)


Norm = Literal["batch", "layer", "none"]


def make_norm(norm: Norm, channels: int, affine: bool = True) -> list[nn.Module]:
    """Return a norm over (B, C, H, W), or nothing for "none"."""
    if norm == "none":
        return []
    return [nn.BatchNorm2d(channels, affine=affine) if norm == "batch" else ChannelNorm(channels, affine)]


@record
class ConvNormAct(Node):
    """Apply a convolution, a norm and an activation or, with `order` "pre", norm, activation and convolution.

    The width is `channels` or, by default, the requested one times `ratio`; a "depthwise" convolution keeps the input width.
    `groups` is the number of groups, or `group_width` their width. The stride is the site's times `stride`. The convolution
    has a bias only where there is no norm, which would cancel it; `bias` overrides this.
    """

    kernel: Positive | tuple[Positive, Positive] = 3
    channels: Positive | None = None
    stride: Positive = 1
    groups: Positive | Literal["depthwise"] = 1
    group_width: Positive | None = None
    ratio: Ratio = 1.0
    dilation: Positive = 1
    padding: Padding = "same"
    norm: Norm = "batch"
    activation: Node | None = RELU
    order: Literal["post", "pre"] = "post"
    bias: bool | None = None

    def build(self, site: Site) -> nn.Module:
        shape = self.shape(site)
        bias = self.norm == "none" if self.bias is None else self.bias
        groups = self._groups(site, shape[0])
        stride = site.stride * self.stride
        conv = nn.Conv2d(
            site.shape[0], shape[0], pair(self.kernel), stride, self._padding(), self.dilation, groups, bias
        )
        normed = site.shape if self.order == "pre" else shape
        around = [*make_norm(self.norm, normed[0], site.affine), *activate(self.activation, site, normed)]
        if self.order == "pre" and self.norm == "none":
            # Not by `activate`, which works in place: other modules may read the input.
            around = [site.put(normed).build(self.activation)] if self.activation else []
        parts = [*around, conv] if self.order == "pre" else [conv, *around]
        return nn.Sequential(*parts) if len(parts) > 1 else conv

    def shape(self, site: Site) -> Shape:
        channels = self.channels or max(1, round(site.channels * self.ratio))
        if self.groups == "depthwise" and self.channels is None:
            channels = site.shape[0]
        (height, width), padding = pair(self.kernel), self._padding()
        sizes = [
            window(size, kernel, site.stride * self.stride, pad, self.dilation)
            for size, kernel, pad in zip(site.shape[1:], (height, width), padding, strict=True)
        ]
        if min(sizes) < 1:
            raise BuildError(f"a {height}x{width} convolution does not fit a map of {site.shape}: enlarge the images")
        return channels, sizes[0], sizes[1]

    def _padding(self) -> Pair:
        if self.padding == "same":
            height, width = pair(self.kernel)
            if height % 2 == 0 or width % 2 == 0:
                raise BuildError(
                    f"a {height}x{width} convolution does not keep the size: give odd kernels or a padding"
                )
            return self.dilation * (height // 2), self.dilation * (width // 2)
        return (0, 0) if self.padding == "valid" else pair(self.padding)

    def _groups(self, site: Site, channels: int) -> int:
        groups = site.shape[0] if self.groups == "depthwise" else self.groups
        if self.group_width is not None:
            # Fewer channels than a group is wide make one narrower group.
            groups = max(1, channels // self.group_width)
            if channels > self.group_width and channels % self.group_width:
                raise BuildError(
                    f"{channels} channels are not a multiple of group width {self.group_width}: change one"
                )
        if channels % groups or site.shape[0] % groups:
            raise BuildError(
                f"a convolution from {site.shape[0]} to {channels} channels cannot have {groups} groups: give a divisor of both"
            )
        return groups


def bare(kernel: int, channels: int | None = None, stride: int = 1, ratio: float = 1.0) -> ConvNormAct:
    """Return a convolution alone: no norm, no activation, no bias."""
    return ConvNormAct(kernel, channels, stride, ratio=ratio, norm="none", activation=None, bias=False)


@record
class Normalize(Node):
    """Apply a norm and an activation, without a convolution."""

    norm: Norm = "batch"
    activation: Node | None = RELU

    def build(self, site: Site) -> nn.Module:
        parts = make_norm(self.norm, site.shape[0], site.affine)
        if self.activation is not None:
            parts += activate(self.activation, site, site.shape) if parts else [site.build(self.activation)]
        return nn.Sequential(*parts)

    def shape(self, site: Site) -> Shape:
        return site.shape


class _Scaled(nn.Module):
    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


@record
class LayerScale(Node):
    """Scale each channel by a learned weight (Touvron et al. 2021, arXiv:2103.17239; ConvNeXt begins at 1e-6)."""

    initial: float = 1e-6

    def build(self, site: Site) -> nn.Module:
        return _Scaled(site.shape[0], self.initial)

    def shape(self, site: Site) -> Shape:
        return site.shape
