"""Activation functions, as layers and as fields of other nodes."""

from __future__ import annotations

from typing import Literal

from torch import nn

from nas.building import Node, Shape, Site
from nas.records import RecordError, nearest, record

_MODULES = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "swish": nn.SiLU,
    "hard_swish": nn.Hardswish,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
    "tanh": nn.Tanh,
    "mish": nn.Mish,
}


@record
class Activation(Node):
    """Apply an activation function by its name.

    "prelu" learns the slope below zero for each channel, 0.25 at the beginning (He et al. 2015, arXiv:1502.01852, section
    2.1).
    """

    name: Literal[
        "relu",
        "relu6",
        "leaky_relu",
        "prelu",
        "elu",
        "gelu",
        "swish",
        "hard_swish",
        "sigmoid",
        "hard_sigmoid",
        "tanh",
        "mish",
    ] = "relu"

    def __post_init__(self) -> None:
        name: object = self.name
        if isinstance(name, str) and name not in _MODULES:
            raise RecordError(f"there is no activation {name!r}: {nearest(name, _MODULES)}")

    def build(self, site: Site) -> nn.Module:
        if self.name == "prelu":
            return nn.PReLU(site.shape[0])
        module: nn.Module = _MODULES[self.name]()
        return module

    def shape(self, site: Site) -> Shape:
        return site.shape


RELU = Activation()


def activate(activation: Node | None, site: Site, shape: Shape) -> list[nn.Module]:
    """Return the activation, if any, that follows a layer with output `shape`, built by the same node.

    A ReLU works in place: no other module reads the layer's output, and the gradient of ReLU needs its result only.
    """
    if activation is None:
        return []
    module = site.put(shape).build(activation)
    if isinstance(module, nn.ReLU | nn.ReLU6):
        module.inplace = True
    return [module]
