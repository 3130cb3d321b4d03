"""Inheritance: a network that begins with the weights of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nas.building import Node, Shape, build
from nas.morphisms.channels import Channels, align, trace_channels
from nas.morphisms.embedding import embed
from nas.morphisms.neutral import norm_as
from nas.morphisms.ordering import Importance, sort_channels
from nas.morphisms.pairing import Pairing

TOLERANCE = 1e-5
"""The difference of outputs, relative to the largest output, up to which a function is kept."""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """A model that began with a parent's weights.

    `inherited_percent` is the share of its weights that the parent gave it; `difference` is the largest difference of the two
    models' outputs in eval mode, relative to the parent's largest output.
    """

    model: nn.Module
    inherited_percent: float
    difference: float

    @property
    def keeps_function(self) -> bool:
        """Whether the model computes what its parent computes, in eval mode."""
        return self.difference <= TOLERANCE


@torch.no_grad()
def inherit(
    network: Node,
    parent: Node,
    weights: Mapping[str, Tensor],
    input: Shape,
    images: Tensor | None = None,
    keeps: Importance | None = None,
) -> Inheritance:
    """Build a network with as much of its parent's weights as fits; new parts are neutral where they can be.

    `weights` are the parent's. Widened layers, larger kernels, layers put into a row and paths added to others keep the
    parent's function in eval mode; other changes keep what they can, and the rest has random initial weights. With `images`
    (B, C, H, W) the batch norms of new layers undo their own normalisation, so that training begins with that function, too
    (Net2Net, Chen et al. 2016, arXiv:1511.05641, section 2.3). Of a layer that became narrower the first channels stay or, with
    `keeps`, the most important ones.
    """
    old = build(parent, input).eval()
    old.load_state_dict(weights)
    if keeps is not None:
        sort_channels(old, input, keeps)
    new = build(network, input).eval()
    pairing = Pairing()
    pairing.pair_networks(new, old, network, parent)
    read, read_before = trace_channels(new, input, pairing.through), trace_channels(old, input)
    taken = 0
    for name, old_name in pairing.names.items():
        layers = new.get_submodule(name), old.get_submodule(old_name)
        channels = read.get(name), read_before.get(old_name)
        sizes = _read_channels(layers[0], channels[0]), _read_channels(layers[1], channels[1])
        taken += embed(*layers, align(*channels, pairing.names, sizes))
    if images is not None and pairing.norms:
        _calibrate(new, pairing.norms, images)
    probe = torch.randn((2, *input), generator=torch.Generator().manual_seed(0))
    expected = old(probe)
    difference = float((new(probe) - expected).abs().max() / expected.abs().max().clamp_min(1e-30))
    whole = sum(weight.numel() for weight in new.parameters())
    return Inheritance(new.train(), 100 * taken / max(1, whole), difference)


def _read_channels(module: nn.Module, channels: Channels | None) -> int:
    """Return the number of input channels of a leaf module, as far as it has any."""
    for name in ("in_channels", "in_features", "num_features"):
        if hasattr(module, name):
            return int(getattr(module, name))
    return len(channels or ())


def _calibrate(model: nn.Module, norms: Sequence[str], images: Tensor) -> None:
    """Give each of these batch norms the statistics of what it reads for these images in training mode."""
    # a copy is trained: the statistics of all other norms stay
    twin = deepcopy(model).train()
    for name in norms:
        twin.get_submodule(name).register_forward_pre_hook(partial(_measure, model.get_submodule(name)))
    twin(images)


def _measure(norm: nn.Module, twin: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
    for each in (norm, twin):
        assert isinstance(each, nn.BatchNorm2d)
        norm_as(each, mean, variance)
