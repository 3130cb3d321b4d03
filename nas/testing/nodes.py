"""Checks that hold for every node: an operation, a layer, or a structure of other nodes."""

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
        # half of all combinations, in which every two values still meet
        Site((channels, *size), 16, stride, affine=(channels == 16) ^ (size == (9, 7)) ^ (stride == 2))
        for channels in (16, 24)
        for size in ((8, 8), (9, 7))
        for stride in (1, 2)
    ),
    Site((8, 8, 8), 16),
)
"""Sites that differ in channels, size, stride and affine norms; a node may refuse some of them with a BuildError."""


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
    """Yield the sites that a node accepts, with its module and the output shape that it declares."""
    for site in sites:
        try:
            shape = site.output(node)
        except (BuildError, SpaceError):
            continue
        torch.manual_seed(0)  # equal weights at each run of the check
        yield site, site.build(node), shape


def it_is_a_record(node: Node) -> None:
    """Check that a node can be written to files, and read from them."""
    require_record(node, Node)


def it_gives_the_shape_that_it_says(node: Node) -> None:
    """Check the output shape, that the input is left unchanged, and that gradients reach the input and every weight."""
    sites = 0
    for site, module, shape in _built(node):
        sites += 1
        x = torch.randn(3, *site.shape, requires_grad=True)
        before = x.detach().clone()
        y = module(*[x] * node.inputs)
        declared = shape if y.dim() == 4 else shape[:1]  # (B, C, H, W) or (B, C)
        returned = tuple(y.shape[1:])
        require(returned == declared, f"at {site} it declares {declared} and returns {returned}: correct `shape`")
        require(
            torch.equal(x.detach(), before), f"at {site} it changes its input in place, which other operations read too"
        )
        if y.requires_grad:
            # random weights, since the plain sum after a batch norm has no gradient
            torch.autograd.backward((y * torch.randn_like(y)).sum())
        without = [name for name, weight in module.named_parameters() if weight.grad is None]
        require(not without, f"at {site} no gradient reaches {', '.join(without)}")
        reaches = x.grad is not None and bool(x.grad.any())
        require(isinstance(node, Zero) or reaches, f"at {site} no gradient reaches its input")
    require(sites > 0, f"it can be built at no site, such as {SITES[0]}")


def its_norms_are_affine_where_the_site_says_so(node: Node) -> None:
    """Check `affine=site.affine`: inside the cells of a supernet norms have neither scale nor offset (Liu et al. 2019)."""
    for site, module, _ in _built(node, SITES[:4]):  # at 16 channels: both strides, with affine norms and without
        norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
        wrong = [norm for norm in norms if norm.affine is not site.affine]
        require(
            not wrong,
            f"at {site} a norm is {'' if wrong and wrong[0].affine else 'not '}affine: give it affine=site.affine",
        )


def it_mixes_with_other_operations(node: Node) -> None:
    """Check that a choice with a skip connection can mix its output, if it keeps to the channels and stride of the site."""
    choice: Any = Choice("c", (node,), supernet_only=(Skip(), Zero()))
    for site, _, shape in _built(node, tuple(each for each in SITES if not each.affine and each.shape[1:] == (9, 7))):
        if node.inputs > 1 or shape != site.output(Skip()):
            continue
        module = replace(site, relaxation=_Mixture()).build(choice)
        y = module(torch.randn(2, *site.shape, requires_grad=True))
        require(
            tuple(y.shape[1:]) == shape,
            f"at {site} its mixture has shape {tuple(y.shape[1:])}, and it declares {shape}",
        )
        torch.autograd.backward(y.square().mean())


CHECKS = (
    it_is_a_record,
    it_gives_the_shape_that_it_says,
    its_norms_are_affine_where_the_site_says_so,
    it_mixes_with_other_operations,
)


def check_node(node: Node) -> None:
    """Check what holds for every node. Raises AssertionError with what does not."""
    for check in CHECKS:
        check(node)
