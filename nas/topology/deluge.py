"""Deluge structure: every layer reads a weighted sum of all outputs before it, with a weight for each channel of each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.records import Positive, record


@record
class Deluge(Node):
    """Repeat a layer; each repetition reads the sum of the input and of all outputs before it, each normalised and weighted.

    The weights are those of batch norms, one per channel of each output (a depthwise convolution across layers), and begin at
    the mean. The last sum is the output. The layer keeps the shape. Source: Kuen et al. 2016, arXiv:1611.05552, section 3; the
    norm of each output is from the released code.
    """

    repeating = frozenset(("repeat",))

    layer: Node
    repeat: Positive = 4

    def build(self, site: Site) -> nn.Module:
        channels = self.shape(site)[0]
        # The first layer reads the input as it is: a sum of one output is a norm, which the layer begins with.
        sums: list[nn.Module] = [_WeightedSum(channels, i + 2, site.affine) for i in range(self.repeat)]
        return _Deluge([site.build(self.layer) for _ in range(self.repeat)], sums)

    def shape(self, site: Site) -> Shape:
        shape = site.output(self.layer)
        if shape != site.shape:
            raise BuildError(
                f"the layer of a deluge changes the shape from {site.shape} to {shape} (C, H, W): give one that keeps it"
            )
        return shape


class _WeightedSum(nn.Module):
    def __init__(self, channels: int, count: int, affine: bool) -> None:
        super().__init__()
        self.count = count
        self.norm = nn.BatchNorm2d(channels * count, affine=affine)
        if affine:
            nn.init.constant_(self.norm.weight, 1 / count)

    def forward(self, outputs: list[Tensor]) -> Tensor:
        normed: Tensor = self.norm(torch.cat(outputs, 1))
        return normed.reshape(len(normed), self.count, -1, *normed.shape[2:]).sum(1)


class _Deluge(nn.Module):
    def __init__(self, layers: list[nn.Module], sums: list[nn.Module]) -> None:
        super().__init__()
        self.layers, self.sums = nn.ModuleList(layers), nn.ModuleList(sums)

    def forward(self, x: Tensor) -> Tensor:
        outputs = [x]
        for layer, weighted_sum in zip(self.layers, self.sums, strict=True):
            outputs.append(layer(x))
            x = weighted_sum(outputs)
        return x
