"""Soft attention by a mask: a trunk scaled by a second body of the same input."""

from __future__ import annotations

from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.records import record


@record
class Masked(Node):
    """Multiply the output of a trunk by 1 + mask, both of one input, so that a mask of zeros passes the trunk on.

    Source: residual attention, Wang et al. 2017, arXiv:1704.06904, equation 3.
    """

    trunk: Node
    mask: Node

    def build(self, site: Site) -> nn.Module:
        self.shape(site)
        return _Masked(site.build(self.trunk), site.build(self.mask))

    def shape(self, site: Site) -> Shape:
        shape, mask = site.output(self.trunk), site.output(self.mask)
        if shape != mask:
            raise BuildError(f"the trunk gives {shape} and the mask {mask} (C, H, W): make them equal")
        return shape


class _Masked(nn.Module):
    def __init__(self, trunk: nn.Module, mask: nn.Module) -> None:
        super().__init__()
        self.trunk, self.mask = trunk, mask

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = self.trunk(x) * (1 + self.mask(x))
        return scaled
