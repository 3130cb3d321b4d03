"""Ensemble: networks side by side, whose logits are added with learned weights."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.records import record


@record
class Ensemble(Node):
    """Apply networks to one input and add their outputs, each times its mixture weight: one number or, by "class", one a class.

    Mixture weights begin at 1. Source: AdaNet, Cortes et al. 2017, arXiv:1607.01097; both kinds of weights are
    in Weill et al. 2019, arXiv:1905.00080.
    """

    members: tuple[Node, ...]
    mixture: Literal["scalar", "class"] = "scalar"

    def __post_init__(self) -> None:
        if not self.members:
            raise BuildError("the ensemble has no members: give one at least")

    def build(self, site: Site) -> nn.Module:
        channels = self.shape(site)[0]
        return EnsembleModule([site.build(each) for each in self.members], channels if self.mixture == "class" else 1)

    def shape(self, site: Site) -> Shape:
        shapes = {site.output(each) for each in self.members}
        if len(shapes) > 1:
            raise BuildError(
                f"the members give {sorted(shapes)} (C, H, W): make them equal, as by one number of classes"
            )
        return shapes.pop()


@final
class EnsembleModule(nn.Module):
    """Members, and the mixture weights of their outputs, (members, 1) or (members, classes)."""

    def __init__(self, members: list[nn.Module], weights: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.mixture = nn.Parameter(torch.ones(len(members), weights))

    def forward(self, x: Tensor) -> Tensor:
        outputs = [member(x) for member in self.members]
        # weights stand along the channels, of logits (B, classes) and of maps (B, C, H, W)
        shape = (1, -1, *(1,) * (outputs[0].dim() - 2))
        mixed: Tensor = outputs[0] * self.mixture[0].reshape(shape)
        for output, weights in zip(outputs[1:], self.mixture[1:], strict=True):
            mixed = mixed + output * weights.reshape(shape)
        return mixed
