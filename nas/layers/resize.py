"""Resizing of maps, or of the images themselves."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional

from nas.building import Node, Shape, Site
from nas.records import Range, record


def _resized(size: int, factor: float) -> int:
    return max(1, round(size * factor))


class _Resized(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        size = [_resized(side, self.factor) for side in x.shape[2:]]
        return functional.interpolate(x, size, mode="bilinear", align_corners=False)


@record
class Resize(Node):
    """Multiply both sides of a map by a factor, by bilinear interpolation.

    In a stem it makes the image resolution a part of the architecture, as in compound scaling (Tan and Le 2019,
    arXiv:1905.11946, section 3).
    """

    factor: Annotated[float, Range(0)] = 1.0

    def build(self, site: Site) -> nn.Module:
        return _Resized(self.factor)

    def shape(self, site: Site) -> Shape:
        channels, height, width = site.shape
        return channels, _resized(height, self.factor), _resized(width, self.factor)
