"""Space-time layers: convolution and pooling of clips, whose frames are folded into the channels of a map."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.layers.activation import RELU, activate
from nas.layers.conv import Pair, pair, window
from nas.layers.norm import Norm, centres, make_norm
from nas.records import Positive, record


def _channels(site: Site, frames: int) -> int:
    """Return the channels of one frame. Raises BuildError where the map is not made of `frames` frames."""
    if site.shape[0] % frames:
        raise BuildError(
            f"a map of {site.shape[0]} channels is no clip of {frames} frames: give a divisor of {site.shape[0]} as frames"
        )
    return site.shape[0] // frames


def _sizes(site: Site, kernel: Pair, kernel_time: int, stride: int) -> Pair:
    """Return the height and width of the output. Raises BuildError for an even kernel, which would not keep the size."""
    if any(size % 2 == 0 for size in (kernel_time, *kernel)):
        raise BuildError(f"a window of {kernel_time}x{kernel[0]}x{kernel[1]} does not keep the size: give odd kernels")
    height, width = (window(size, side, stride, side // 2) for size, side in zip(site.shape[1:], kernel, strict=True))
    return height, width


@final
class _OverFrames(nn.Module):
    """A layer of clips (B, C, T, H, W), and what follows it on maps (B, C, T * H, W): each channel is one channel there."""

    def __init__(self, layer: nn.Module, frames: int, after: nn.Module | None = None) -> None:
        super().__init__()
        self.frames, self.layer, self.after = frames, layer, nn.Identity() if after is None else after

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(torch.unflatten(x, 1, (-1, self.frames)))
        return torch.unflatten(self.after(x.flatten(2, 3)), 2, (self.frames, -1)).flatten(1, 2)


@record
class SpaceTimeConv(Node):
    """Apply a 3-D convolution to a clip, a norm and an activation.

    The clip of T = `frames` frames is a map (B, C * T, H, W), the frames of a channel in a row, so that clips of one length are
    concatenated and added as maps are. The window has `kernel` pixels in `kernel_time` frames, all odd; zeros continue the clip,
    and the stride, the site's times `stride`, is that of the pixels alone. `channels` is the width of one frame, by default the
    requested width over T. Batch norm has the statistics of a channel over all frames. A kernel of one frame and then one of
    one pixel are a (2+1)D convolution (Tran et al. 2018, arXiv:1711.11248).
    Source: Tran et al. 2015, arXiv:1412.0767.
    """

    kernel: Positive | tuple[Positive, Positive] = 3
    channels: Positive | None = None
    kernel_time: Positive = 3
    frames: Positive = 8
    stride: Positive = 1
    norm: Norm = "batch"
    activation: Node | None = RELU
    bias: bool | None = None

    def build(self, site: Site) -> nn.Module:
        channels, height, width = self.shape(site)
        bias = not centres(self.norm) if self.bias is None else self.bias
        stride, size = site.stride * self.stride, (self.kernel_time, *pair(self.kernel))
        padding = (size[0] // 2, size[1] // 2, size[2] // 2)
        before, after = site.shape[0] // self.frames, channels // self.frames
        conv = nn.Conv3d(before, after, size, (1, stride, stride), padding, bias=bias)
        clip = after, self.frames * height, width
        parts = [*make_norm(self.norm, site, clip), *activate(self.activation, site, clip)]
        return _OverFrames(conv, self.frames, nn.Sequential(*parts) if parts else None)

    def shape(self, site: Site) -> Shape:
        _channels(site, self.frames)
        if self.channels is None and site.channels % self.frames:
            raise BuildError(
                f"a width of {site.channels} is no multiple of {self.frames} frames: give channels, the width of one frame"
            )
        channels = self.channels or site.channels // self.frames
        return channels * self.frames, *_sizes(site, pair(self.kernel), self.kernel_time, site.stride * self.stride)


@record
class SpaceTimePool(Node):
    """Take the maximum or the mean of each window of `kernel` pixels in `kernel_time` frames of a clip.

    The clip is a map (B, C * T, H, W), as that of `SpaceTimeConv`. All frames are kept; the stride is that of the pixels. A mean
    is that of the pixels within the clip, which is at least as large as the window (a limit of torch).
    """

    kernel: Positive | tuple[Positive, Positive] = 3
    kernel_time: Positive = 3
    frames: Positive = 8
    stride: Positive = 1
    kind: Literal["max", "mean"] = "max"

    def build(self, site: Site) -> nn.Module:
        self.shape(site)
        stride, size = site.stride * self.stride, (self.kernel_time, *pair(self.kernel))
        padding = (size[0] // 2, size[1] // 2, size[2] // 2)
        if self.kind == "max":
            return _OverFrames(nn.MaxPool3d(size, (1, stride, stride), padding), self.frames)
        return _OverFrames(nn.AvgPool3d(size, (1, stride, stride), padding, count_include_pad=False), self.frames)

    def shape(self, site: Site) -> Shape:
        channels = _channels(site, self.frames) * self.frames
        size, clip = (self.kernel_time, *pair(self.kernel)), (self.frames, *site.shape[1:])
        if self.kind == "mean" and any(side > room for side, room in zip(size, clip, strict=True)):
            raise BuildError(f"a mean of {size} (T, H, W) is larger than the clip, {clip}: give a smaller window")
        return channels, *_sizes(site, pair(self.kernel), self.kernel_time, site.stride * self.stride)
