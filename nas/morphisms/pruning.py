"""Channel pruning: the member of a space with fewer channels that keeps the most important ones, and their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nas.building import Node, Shape, build
from nas.morphisms.channels import LAYERS
from nas.morphisms.inheritance import Inheritance, inherit
from nas.morphisms.ordering import Importance, sort_channels
from nas.profiling import profile
from nas.records import RecordError
from nas.space import choices, decisions, resolve

Cost = Literal["macs", "params"]


@dataclass(frozen=True, slots=True)
class Pruned:
    """A member with fewer channels: its architecture, its model with inherited weights, and its cost, before and after."""

    architecture: Any
    inheritance: Inheritance
    before: int
    after: int


def prune_channels(
    space: Any,
    architecture: Any,
    stack: Callable[[Any], Node],
    weights: Mapping[str, Tensor],
    input: Shape,
    keep: float,
    cost: Cost = "macs",
    by: Importance = "l1",
) -> Pruned:
    """Take channels from a trained network until its cost is at most the share `keep` of what it was.

    A width is a choice of the space whose smaller options change numbers of channels alone. Step by step the width whose last
    channels are least important, in the mean, takes its next smaller option; options are listed from the smallest to the
    largest. `stack` returns the network of a member. Importances are compared as multiples of their layer's mean, but scales
    of batch norms as they are, as network slimming does (Liu et al. 2017, arXiv:1708.06519, section 3). By "l1" it is the
    ranking of Li et al. 2017, arXiv:1608.08710, who choose by hand how many filters each layer loses. The model is to be
    trained on. Raises RecordError where no smaller member is cheap enough, or no width of the space can be smaller.
    """
    model = build(stack(architecture), input)
    model.load_state_dict(weights)
    importances = sort_channels(model, input, by)
    if not importances:
        raise RecordError("the channels of this network cannot be followed from layer to layer: none can be taken out")
    if by != "norm_scale":
        importances = {name: each / each.mean().clamp_min(1e-30) for name, each in importances.items()}
    taken, layers = dict(decisions(space, architecture)), _layers(model)
    before = after = getattr(profile(stack(architecture), input), cost)
    member = architecture
    while after > keep * before:
        offers = list(_offers(space, taken, stack, input, layers, importances))
        if not offers:
            raise _too_wide(after, before, keep, cost)
        _, name, member, layers = min(offers, key=lambda offer: offer[:2])
        taken[name] -= 1
        after = getattr(profile(stack(member), input), cost)
    return Pruned(member, inherit(stack(member), stack(architecture), weights, input, keeps=by), before, after)


def _too_wide(after: int, before: int, keep: float, cost: Cost) -> RecordError:
    """Return the error of a network that cannot be narrowed further."""
    if after == before:
        return RecordError(
            "no choice of the space makes this network narrower and changes nothing else: give a space whose widths are "
            "choices, from the smallest to the largest, such as nats_size, and not tied to others by identity skips"
        )
    return RecordError(
        f"the narrowest member has {after:,} {cost}, and {keep:g} of {before:,} was asked for: give more, or a space "
        "with smaller widths"
    )


def _offers(
    space: Any,
    taken: Mapping[str, int],
    stack: Callable[[Any], Node],
    input: Shape,
    layers: Mapping[str, tuple[int, ...]],
    importances: Mapping[str, Tensor],
) -> Iterator[tuple[float, str, Any, dict[str, tuple[int, ...]]]]:
    """Yield each width that can be smaller: the mean importance of what it loses, its name, the member and its layers."""
    for name, choice in choices(space).items():
        if choice.k is not None or not taken.get(name):
            continue
        member = resolve(space, lambda each, name=name: taken.get(each.name, 0) - (each.name == name))  # type: ignore[misc]
        with torch.device("meta"):
            narrower = _layers(build(stack(member), input))
        if narrower == layers or narrower.keys() != layers.keys():
            continue
        if any(narrower[key][2:] != layers[key][2:] for key in layers):
            continue  # such as a kernel
        lost = [each[narrower[key][0] : layers[key][0]] for key, each in importances.items()]
        if gone := torch.cat(lost).tolist():
            yield sum(gone) / len(gone), name, member, narrower


def _layers(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of each convolution and linear layer."""
    return {name: tuple(each.weight.shape) for name, each in model.named_modules() if isinstance(each, LAYERS)}
