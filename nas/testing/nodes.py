"""What holds for every node: an operation, a layer, or a structure that holds others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Relaxation, Site
from nas.choice import Choice
from nas.operations.skip import Skip, Zero
from nas.space import SpaceError
from nas.testing.requirement import require, require_record

SITES = (
    *(
        Site((channels, *size), 16, stride, affine=affine)
        for channels in (16, 24)
        for size in ((8, 8), (9, 7))
        for stride in (1, 2)
        for affine in (True, False)
    ),
    Site((8, 8, 8), 16),
)
"""Places that differ in width, size, stride and norms; a node may refuse some of them with a BuildError."""


class _Mean(nn.Module):
    """The mean of several modules' outputs."""

    def __init__(self, options: list[nn.Module]) -> None:
        super().__init__()
        self.options = nn.ModuleList(options)

    def forward(self, *x: Tensor) -> Tensor:
        return torch.stack([option(*x) for option in self.options]).mean(0)


class _Mixture(Relaxation):
    def relax(self, choice: Choice, site: Site) -> nn.Module:
        return _Mean([site.build(option) for option in (*choice.options, *choice.supernet_only)])


def _built(node: Node, sites: tuple[Site, ...] = SITES) -> Iterator[tuple[Site, nn.Module, Any]]:
    """Yield the sites that take a node, with its module and the shape that it says."""
    for site in sites:
        try:
            shape = site.output(node)
        except (BuildError, SpaceError):
            continue
        torch.manual_seed(0)
        yield site, site.build(node), shape


def it_is_a_record(node: Node) -> None:
    """A node is written to files, and read from them."""
    require_record(node, Node)


def it_gives_the_shape_that_it_says(node: Node) -> None:
    """Its input stays as it is, and the gradient passes through it to every weight."""
    sites = 0
    for site, module, shape in _built(node):
        sites += 1
        x = torch.randn(3, *site.shape, requires_grad=True)
        before = x.detach().clone()
        y = module(*[x] * node.inputs)
        said = shape if y.dim() == 4 else shape[:1]
        require(tuple(y.shape[1:]) == said, f"at {site} it says {said} and gives {tuple(y.shape[1:])}: write `shape`")
        require(torch.equal(x.detach(), before), f"at {site} it writes into its input, which others read too")
        if y.requires_grad:
            torch.autograd.backward((y * torch.randn_like(y)).sum())
        without = [name for name, weight in module.named_parameters() if weight.grad is None]
        require(not without, f"at {site} no gradient reaches {', '.join(without)}")
        reaches = x.grad is not None and bool(x.grad.any())
        require(isinstance(node, Zero) or reaches, f"at {site} no gradient reaches its input")
    require(sites > 0, f"it can be put nowhere, as at {SITES[0]}")


def its_norms_are_affine_where_the_site_says_so(node: Node) -> None:
    """Inside the cells of a supernet norms have neither scale nor offset (Liu et al. 2019): `affine=site.affine`."""
    for site, module, _ in _built(node):
        norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
        wrong = [norm for norm in norms if norm.affine is not site.affine]
        require(
            not wrong,
            f"at {site} a norm is {'' if wrong and wrong[0].affine else 'not '}affine: give it affine=site.affine",
        )


def it_mixes_with_other_operations(node: Node) -> None:
    """In a choice next to a skip connection it has their shape, if it keeps to the width and stride that are asked for."""
    choice: Any = Choice("c", (node,), supernet_only=(Skip(), Zero()))
    for site, _, shape in _built(node, tuple(each for each in SITES if not each.affine)):
        if node.inputs > 1 or shape != site.output(Skip()):
            continue
        module = replace(site, relaxation=_Mixture()).build(choice)
        y = module(torch.randn(2, *site.shape, requires_grad=True))
        require(tuple(y.shape[1:]) == shape, f"at {site} it mixes to {tuple(y.shape[1:])}, and says {shape}")
        torch.autograd.backward(y.square().mean())


CHECKS = (
    it_is_a_record,
    it_gives_the_shape_that_it_says,
    its_norms_are_affine_where_the_site_says_so,
    it_mixes_with_other_operations,
)


def check_node(node: Node) -> None:
    """Check what holds for every node. Raises AssertionError that says what does not."""
    for check in CHECKS:
        check(node)
