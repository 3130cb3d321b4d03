"""Attention over channels: squeeze-and-excitation."""

from __future__ import annotations

from torch import Tensor, nn

from nas.building import Node, Shape, Site
from nas.layers.activation import RELU, Activation, activate
from nas.records import Positive, record


def divisible(channels: float, by: int = 8) -> int:
    """Return the multiple of `by` nearest to a width, never more than a tenth below it (released MobileNet code)."""
    # `_make_divisible` of the released code: adding half of `by` before truncating rounds to the nearest multiple.
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded


class _Excited(nn.Module):
    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = self.gate(x)
        return x * gated


@record
class SqueezeExcite(Node):
    """Scale each channel by a gate: two 1x1 convolutions of the channel means (Hu et al. 2018, arXiv:1709.01507).

    The first convolution has `channels` outputs or, by default, 1/`reduction` of the width, rounded down. With a `divisor`
    this share is rounded to a multiple of it, as MobileNet's widths are.
    """

    reduction: Positive = 16
    channels: Positive | None = None
    divisor: Positive = 1
    activation: Node = RELU
    gate: Node = Activation("sigmoid")
    bias: bool = True

    def build(self, site: Site) -> nn.Module:
        width = site.shape[0]
        share = divisible(width / self.reduction, self.divisor) if self.divisor > 1 else width // self.reduction
        squeezed = self.channels or max(1, share)
        parts = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, squeezed, 1, bias=self.bias)]
        parts += activate(self.activation, site, (squeezed, 1, 1))
        parts += [nn.Conv2d(squeezed, width, 1, bias=self.bias), *activate(self.gate, site, (width, 1, 1))]
        return _Excited(nn.Sequential(*parts))

    def shape(self, site: Site) -> Shape:
        return site.shape
