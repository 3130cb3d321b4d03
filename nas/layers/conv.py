"""Convolution, norm and activation: the layer that most hand-designed networks consist of."""

from __future__ import annotations

import math
from typing import Annotated, Literal, cast

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.layers.activation import RELU, activate
from nas.layers.norm import Norm, centres, make_norm, makes_anew
from nas.records import Natural, Positive, Range, record

Pair = tuple[int, int]
Padding = Literal["same", "same_upper", "valid", "reflect", "replicate"] | Natural | tuple[Natural, Natural]
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


@record
class ConvNormAct(Node):
    """Apply a convolution, a norm and an activation or, with `order` "pre", norm, activation and convolution.

    The width is `channels` or, by default, the requested one times `ratio`; a "depthwise" convolution keeps the input width.
    `groups` is the number of groups, or `group_width` their width. The stride is the site's times `stride`. `padding` "same",
    "reflect" and "replicate" keep the size: they continue the map by zeros, its mirror image, or its border. "same_upper" is
    TensorFlow's "SAME": as many zeros as the last window needs, an odd one on the right and at the bottom. The convolution
    has a bias only where no norm subtracts the mean, which would cancel it; `bias` overrides this.
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
        bias = not centres(self.norm) if self.bias is None else self.bias
        groups = self._groups(site, shape[0])
        stride = site.stride * self.stride
        border = self.padding if self.padding in ("reflect", "replicate") else "zeros"
        before, after = self._paddings(site)
        inside = before if before == after else 0  # torch pads by the same on both sides
        conv: nn.Module = nn.Conv2d(
            site.shape[0], shape[0], pair(self.kernel), stride, inside, self.dilation, groups, bias, border
        )
        if before != after:
            conv = nn.Sequential(nn.ZeroPad2d((before[1], after[1], before[0], after[0])), conv)
        if self.order == "post":
            around = [*make_norm(self.norm, site, shape), *activate(self.activation, site, shape)]
        else:
            around = _opening(self.norm, self.activation, site)
        parts = [*around, conv] if self.order == "pre" else [conv, *around]
        return nn.Sequential(*parts) if len(parts) > 1 else conv

    def shape(self, site: Site) -> Shape:
        channels = self.channels or max(1, round(site.channels * self.ratio))
        if self.groups == "depthwise" and self.channels is None:
            channels = site.shape[0]
        height, width = pair(self.kernel)
        if self.padding == "same_upper":
            rows, columns = (math.ceil(size / (site.stride * self.stride)) for size in site.shape[1:])
            return channels, rows, columns
        padding = self._padding()
        sizes = [
            window(size, kernel, site.stride * self.stride, pad, self.dilation)
            for size, kernel, pad in zip(site.shape[1:], (height, width), padding, strict=True)
        ]
        if min(sizes) < 1:
            raise BuildError(f"a {height}x{width} convolution does not fit a map of {site.shape}: enlarge the images")
        if self.padding == "reflect" and any(pad >= size for pad, size in zip(padding, site.shape[1:], strict=True)):
            raise BuildError(
                f"a {height}x{width} convolution mirrors more than a map of {site.shape} has: give padding 'same'"
            )
        return channels, sizes[0], sizes[1]

    def _paddings(self, site: Site) -> tuple[Pair, Pair]:
        """Return the padding (height, width) before and after the map."""
        if self.padding != "same_upper":
            return self._padding(), self._padding()
        stride = site.stride * self.stride
        # what the last window reaches beyond the map: (windows - 1) * stride + span - size
        sides = [
            max(0, (math.ceil(size / stride) - 1) * stride + (kernel - 1) * self.dilation + 1 - size)
            for size, kernel in zip(site.shape[1:], pair(self.kernel), strict=True)
        ]
        height, width = sides
        return (height // 2, width // 2), (height - height // 2, width - width // 2)

    def _padding(self) -> Pair:
        if self.padding in ("same", "reflect", "replicate"):
            height, width = pair(self.kernel)
            if height % 2 == 0 or width % 2 == 0:
                raise BuildError(
                    f"a {height}x{width} convolution does not keep the size: give odd kernels or a padding"
                )
            return self.dilation * (height // 2), self.dilation * (width // 2)
        return (0, 0) if self.padding == "valid" else pair(cast(int | Pair, self.padding))

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


def _opening(norm: Norm, activation: Node | None, site: Site) -> list[nn.Module]:
    """Return a norm and an activation of the input, which other modules may read and which is left as it is."""
    parts = make_norm(norm, site, site.shape)
    if activation is not None:
        # `activate` works in place
        parts += (
            activate(activation, site, site.shape) if makes_anew(norm) else [site.put(site.shape).build(activation)]
        )
    return parts


def bare(kernel: int, channels: int | None = None, stride: int = 1, ratio: float = 1.0) -> ConvNormAct:
    """Return a convolution alone: no norm, no activation, no bias."""
    return ConvNormAct(kernel, channels, stride, ratio=ratio, norm="none", activation=None, bias=False)


@record
class Normalize(Node):
    """Apply a norm and an activation, without a convolution."""

    norm: Norm = "batch"
    activation: Node | None = RELU

    def build(self, site: Site) -> nn.Module:
        return nn.Sequential(*_opening(self.norm, self.activation, site))

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
