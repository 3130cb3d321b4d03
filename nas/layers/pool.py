"""Pooling that keeps the width, with the padding and rounding that hand-designed networks need."""

from __future__ import annotations

from typing import Literal

from torch import nn

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
