"""Pooling with the padding and rounding that hand-designed networks need, and pooling to pyramids."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.choice import Choice
from nas.layers.conv import window
from nas.records import Natural, Positive, record


@record
class Pool(Node):
    """Take the maximum, the mean or the L2 norm of each kxk window.

    `padding` None keeps the size at stride 1 (odd kernels). With `ceil` the last window may overhang the border, as in Caffe.
    `count_padding` includes the zeros of the padding in a mean.
    """

    kernel: Positive = 3
    stride: Positive = 2
    padding: Natural | None = None
    kind: Literal["max", "mean", "l2"] = "max"
    ceil: bool = False
    count_padding: bool = False

    def __post_init__(self) -> None:
        if self.padding is None or isinstance(self.padding, Choice) or isinstance(self.kernel, Choice):
            return
        if self.kind == "l2" and self.padding:
            raise BuildError(f"{self} has padding {self.padding}, and L2 pooling has none: give 0")
        # A limit of torch's poolings.
        if self.padding > self.kernel // 2:
            raise BuildError(f"{self} pads more than half of its window: give at most {self.kernel // 2}")

    def build(self, site: Site) -> nn.Module:
        stride, padding = site.stride * self.stride, self._padding()
        if self.kind == "max":
            return nn.MaxPool2d(self.kernel, stride, padding, ceil_mode=self.ceil)
        if self.kind == "l2":
            return nn.LPPool2d(2.0, self.kernel, stride, self.ceil)
        return nn.AvgPool2d(self.kernel, stride, padding, self.ceil, self.count_padding)

    def shape(self, site: Site) -> Shape:
        height, width = (
            window(size, self.kernel, site.stride * self.stride, self._padding(), ceil=self.ceil)
            for size in site.shape[1:]
        )
        if min(height, width) < 1:
            raise BuildError(f"{self} does not fit a map of {site.shape[1:]}: enlarge the images")
        return site.shape[0], height, width

    def _padding(self) -> int:
        if self.padding is None:
            return 0 if self.kind == "l2" else (self.kernel - 1) // 2
        return self.padding


class _Pyramid(nn.Module):
    """Windows of a map by slices: no exporter has adaptive max pooling for every size."""

    def __init__(self, levels: tuple[int, ...], kind: str) -> None:
        super().__init__()
        self.levels, self.kind = levels, kind

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.pooled(x, level).flatten(1) for level in self.levels], 1)[:, :, None, None]

    def pooled(self, x: Tensor, level: int) -> Tensor:
        """Return (B, C, level, level): all rows of windows first, and then their columns."""
        for axis in (2, 3):
            size = x.shape[axis]
            starts = [i * size // level for i in range(level)]
            ends = [-(-(i + 1) * size // level) for i in range(level)]
            windows = [x.narrow(axis, start, end - start) for start, end in zip(starts, ends, strict=True)]
            if self.kind == "max":
                x = torch.cat([window.amax(axis, keepdim=True) for window in windows], axis)
            else:
                x = torch.cat([window.mean(axis, keepdim=True) for window in windows], axis)
        return x


@record
class SpatialPyramid(Node):
    """Pool a map of any size to n x n windows for each n of `levels`, as one pixel of C * (the sum of n * n) channels.

    Source: He et al. 2014, arXiv:1406.4729, section 2.2. The windows of the paper have ceil(size / n) pixels and are
    floor(size / n) apart, so that some sizes leave a border out; for those sizes ours differ, which are those of torch's adaptive
    pooling and cover the map.
    """

    levels: tuple[Positive, ...] = (4, 2, 1)
    kind: Literal["max", "mean"] = "max"

    def __post_init__(self) -> None:
        if not self.levels:
            raise BuildError("a spatial pyramid has no levels: give at least one, as (4, 2, 1)")

    def build(self, site: Site) -> nn.Module:
        return _Pyramid(self.levels, self.kind)

    def shape(self, site: Site) -> Shape:
        return site.shape[0] * sum(level**2 for level in self.levels), 1, 1
