"""Selective kernels: branches with several receptive fields, weighted channel by channel."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from nas.building import Node, Site
from nas.layers.conv import ConvNormAct
from nas.records import Positive, Range, record


class _Selected(nn.Module):
    def __init__(self, paths: list[nn.Module], channels: int, squeezed: int, affine: bool) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1, bias=False),
            nn.BatchNorm2d(squeezed, affine=affine),
            nn.ReLU(inplace=True),
        )
        self.select = nn.Conv2d(squeezed, channels * len(paths), 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # (B, P, C, H, W), P paths; the softmax over P weights them per channel.
        outputs = torch.stack([path(x) for path in self.paths], 1)
        scores = self.select(self.squeeze(outputs.sum(1))).unflatten(1, outputs.shape[1:3])
        selected: Tensor = (outputs * scores.softmax(1)).sum(1)
        return selected


@record
class SelectiveKernel(Node):
    """Select, softly and per channel, among 3x3 convolutions of dilation 1, 2, ...

    Source: Li et al. 2019, arXiv:1903.06586. The selection reads the channel means, squeezed to 1/`reduction` of the
    channels, at least `least`.
    """

    repeating = frozenset(("paths",))

    paths: Annotated[int, Range(2)] = 2
    groups: Positive = 32
    reduction: Positive = 16
    least: Positive = 32

    def build(self, site: Site) -> nn.Module:
        groups = math.gcd(self.groups, site.shape[0], site.channels)
        convs = [site.build(ConvNormAct(3, site.channels, groups=groups, dilation=1 + i)) for i in range(self.paths)]
        return _Selected(convs, site.channels, max(site.channels // self.reduction, self.least), site.affine)
