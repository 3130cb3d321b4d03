"""Inverted residuals: MBConv, and fused MBConv."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from torch import Tensor, nn

from nas.building import Node, Shape, Site
from nas.layers.activation import Activation
from nas.layers.attention import SqueezeExcite, divisible
from nas.layers.conv import ConvNormAct
from nas.layers.norm import Norm
from nas.operations.drop_path import DropPath
from nas.records import Fraction, Positive, Range, record

Expansion = Annotated[float, Range(1)]


class _Inverted(nn.Module):
    def __init__(self, body: nn.Module, drop_path: float) -> None:
        super().__init__()
        self.body = body
        self.drop_path = DropPath(share=drop_path)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.drop_path(self.body(x)) + x
        return total


@record
class MBConv(Node):
    """Expand by a 1x1 convolution, apply a depthwise convolution, and project; add the input where the shapes match.

    The expanded width is rounded to a multiple of 8, as in the released MobileNet code. The code of MnasNet and EfficientNet
    does not round it, which is the same where input width times expansion is a multiple of 8.

    `squeeze` puts squeeze-and-excitation before the projection. Its width is that share of the block's input, as in
    EfficientNet, or of the expanded width, as in MobileNet V3, which rounds it to a multiple of 8. `fused` merges the first
    two convolutions into a dense one. `drop_path` is the block's share of the recipe's. With an expansion of 1 there is no
    first convolution. `padding` is that of ConvNormAct. Source: Sandler et al. 2018, arXiv:1801.04381; fused:
    EfficientNetV2, Tan and Le 2021, arXiv:2104.00298.
    """

    kernel: Positive = 3
    expansion: Expansion = 6.0
    squeeze: Fraction = 0.0
    squeeze_of: Literal["input", "expanded"] = "input"
    activation: Node = Activation("relu6")
    gate: Node = Activation("sigmoid")
    fused: bool = False
    residual: bool = True
    drop_path: Fraction = 0.0
    norm: Norm = "batch"
    padding: Literal["same", "same_upper"] = "same"

    def build(self, site: Site) -> nn.Module:
        shape, parts = site.shape, list[nn.Module]()
        for node, stride in self._nodes(site):
            inner = site.put(shape, stride=stride)
            parts.append(inner.build(node))
            shape = inner.output(node)
        body = nn.Sequential(*parts)
        # The shortcut is an identity, so it needs equal shapes.
        fits = site.stride == 1 and site.shape[0] == site.channels
        return _Inverted(body, self.drop_path) if fits and self.residual else body

    def shape(self, site: Site) -> Shape:
        return Node.shape(self, site)

    def _nodes(self, site: Site) -> list[tuple[Node, int]]:
        """Return the layers, each with its stride."""
        width = divisible(site.shape[0] * self.expansion) if self.expansion > 1 else site.shape[0]
        expand = ConvNormAct(1, width, activation=self.activation, norm=self.norm)
        project = ConvNormAct(1, site.channels, activation=None, norm=self.norm)
        # Nothing to expand, so nothing to project: one convolution (the released EfficientNetV2 code).
        if self.fused and self.expansion == 1:
            return [(replace(expand, kernel=self.kernel, channels=site.channels, padding=self.padding), site.stride)]
        nodes: list[tuple[Node, int]] = []
        if self.fused:
            nodes.append((replace(expand, kernel=self.kernel, padding=self.padding), site.stride))
        else:
            if self.expansion > 1:
                nodes.append((expand, 1))
            depthwise = replace(expand, kernel=self.kernel, channels=None, groups="depthwise", padding=self.padding)
            nodes.append((depthwise, site.stride))
        return [*nodes, *((each, 1) for each in self._excitation(site.shape[0], width)), (project, 1)]

    def _excitation(self, channels: int, width: int) -> list[Node]:
        if not self.squeeze:
            return []
        if self.squeeze_of == "input":
            return [
                SqueezeExcite(channels=max(1, int(channels * self.squeeze)), activation=self.activation, gate=self.gate)
            ]
        return [SqueezeExcite(channels=divisible(width * self.squeeze), gate=self.gate)]
