"""Highway structure: a learned gate mixes the output of the body and its input."""

from __future__ import annotations

from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.layers.conv import ConvNormAct
from nas.records import Positive, record


@record
class Highway(Node):
    """Mix a body and its input by a gate: g * body + (1 - g) * input, where g is the sigmoid of a kxk convolution.

    The gate's bias is initialised to `bias`, below zero, so that the network begins by passing its input on. Source:
    Srivastava et al. 2015, arXiv:1505.00387, equation 3.
    """

    body: Node
    kernel: Positive = 3
    bias: float = -2.0

    def build(self, site: Site) -> nn.Module:
        gate = ConvNormAct(self.kernel, site.shape[0], norm="none", activation=None)
        module = site.put(site.shape).build(gate)
        assert isinstance(module, nn.Conv2d)
        assert module.bias is not None
        nn.init.constant_(module.bias, self.bias)
        self.shape(site)
        return _Mixed(site.build(self.body), module)

    def shape(self, site: Site) -> Shape:
        shape = site.output(self.body)
        if shape != site.shape:
            raise BuildError(
                f"the body of a highway changes the shape from {site.shape} to {shape} (C, H, W): give one that keeps it"
            )
        return shape


class _Mixed(nn.Module):
    def __init__(self, body: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.body, self.gate = body, gate

    def forward(self, x: Tensor) -> Tensor:
        share = self.gate(x).sigmoid()
        mixed: Tensor = share * self.body(x) + (1 - share) * x
        return mixed
