"""Ordering: the channels of a network rearranged such that the most important come first, without a change of its function.

A narrower network then inherits those that matter, as it takes the first.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn

from nas.building import Shape
from nas.morphisms.channels import LAYERS, Channels, is_channelwise, trace_channels

Importance = Literal["l1", "l2", "norm_scale"]
"""What ranks the channels: the L1 or L2 norm of their filters, or the absolute scale of the batch norm that follows."""

ROUNDING = 1e-3
"""The difference of outputs, relative to the largest output, that the order of sums may make."""

WHOLE = "model"
"""The name of a model beside the identity that reads its output."""

Slot = tuple[frozenset[str], tuple[int, ...], int]
"""A channel of a map: the layers that made it, the pixel where it was flattened, and the number of equal ones before it."""


@torch.no_grad()
def sort_channels(model: nn.Module, input: Shape, by: Importance) -> dict[str, Tensor]:
    """Move the most important channels of each layer to the front, in place; returns their importances, (C,), by layer.

    Layers whose outputs are added are sorted alike, by the sums of their importances. Layers whose channels cannot be followed,
    those of groups and the last one stay and have no importances, and so do all where the function would change.

    L1: Li et al. 2017, arXiv:1608.08710, section 3.1. L2: Yang et al. 2018, arXiv:1804.03230, section 3.3. Scales: Liu et al.
    2017, arXiv:1708.06519, section 3.
    """
    before = deepcopy(model.state_dict())
    ties = _Ties(model, input)
    importances = {group: ties.importance(group, by) for group in ties.free()}
    probe = torch.randn((2, *input), generator=torch.Generator().manual_seed(0))
    expected = _output(model, probe)
    orders = {group: each.argsort(descending=True, stable=True).tolist() for group, each in importances.items()}
    for name, module in model.named_modules():
        if (group := ties.group_of.get(name)) in orders:
            _take_rows(module, orders[group])
        if (channels := ties.read.get(name)) is not None:
            _take_columns(module, ties.columns(channels, orders))
    difference = (_output(model, probe) - expected).abs().max() / expected.abs().max().clamp_min(1e-30)
    if difference > ROUNDING:
        model.load_state_dict(before)
        return {}
    found = {group: importances[group][orders[group]] for group in orders}
    return {name: found[group] for name, group in ties.group_of.items() if group in found}


class _Ties:
    """Which layers have their channels in common: `group_of` names the group of each layer by one of its members."""

    def __init__(self, model: nn.Module, input: Shape) -> None:
        # read by an identity at the end: the channels of the output
        traced = trace_channels(nn.Sequential(OrderedDict([(WHOLE, model), ("output", nn.Identity())])), input)
        self.output = _within(traced.pop("output", None))
        self.read = {_short(name): _within(channels) for name, channels in traced.items()}
        self.layers = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, LAYERS) and not (isinstance(module, nn.Conv2d) and is_channelwise(module))
        }
        self.modules = dict(model.named_modules())
        self.group_of = {name: name for name in self.layers}
        for channels in self._maps():
            for sources in channels:
                self._join([source[0] for source in sources if source[0] in self.layers])

    def free(self) -> list[str]:
        """Return the groups whose channels may change places."""
        if any(channels is None and _has_weights(self.modules[name]) for name, channels in self.read.items()):
            return []
        kept = {""} | {source[0] for sources in self.output or () for source in sources}
        kept |= {name for name, layer in self.layers.items() if isinstance(layer, nn.Conv2d) and layer.groups > 1}
        groups: dict[str, set[str]] = defaultdict(set)
        for name, group in self.group_of.items():
            groups[group].add(name)
        fixed = {group for group, names in groups.items() if names & kept or not self._is_plain(names)}
        return [group for group in groups if group not in fixed]

    def importance(self, group: str, by: Importance) -> Tensor:
        """Return the importance of each channel of a group, (C,)."""
        names = [name for name, each in self.group_of.items() if each == group]
        if by != "norm_scale":
            filters = [self.layers[name].weight.detach().flatten(1).double() for name in names]
            return torch.stack([each.norm(1 if by == "l1" else 2, 1) for each in filters]).sum(0)
        found = torch.zeros(len(self.layers[names[0]].weight), dtype=torch.float64)
        for name, channels in self.read.items():
            norm = self.modules[name]
            if isinstance(norm, nn.BatchNorm2d) and norm.affine and channels is not None:
                for scale, sources in zip(norm.weight.detach().abs().tolist(), channels, strict=True):
                    if sources and self.group_of.get(sources[0][0]) == group:
                        found[sources[0][1]] += scale
        return found

    def columns(self, channels: Channels, orders: Mapping[str, Sequence[int]]) -> list[int]:
        """Return, for each channel of a map, the place where what it becomes was before."""
        places = {(slot, i): place for place, (slot, i) in enumerate(_slots(channels))}
        found = []
        for slot, i in _slots(channels):
            order = orders.get(self.group_of.get(min(slot[0], default=""), ""))
            found.append(places[slot, i if order is None else order[i]])
        return found

    def _maps(self) -> Iterator[Channels]:
        yield from (channels for channels in (*self.read.values(), self.output) if channels is not None)

    def _join(self, names: Sequence[str]) -> None:
        joined = {self.group_of[name] for name in names}
        if len(joined) > 1:
            for name, group in self.group_of.items():
                if group in joined:
                    self.group_of[name] = min(joined)

    def _is_plain(self, names: set[str]) -> bool:
        """Whether every map has all channels of these layers or none, equal ones added to each other, and may be sorted."""
        sizes = {len(self.layers[name].weight) for name in names}
        if len(sizes) > 1:
            return False
        everything, is_read = set(range(*sizes)), False
        for name, channels in self.read.items():
            mine = [sources for sources in channels or () if any(source[0] in names for source in sources)]
            if not mine:
                continue
            is_read = True
            if any(source[0] not in names or source[1:] != sources[0][1:] for sources in mine for source in sources):
                return False
            if not _may_be_sorted(self.modules[name], len(channels or ())):
                return False
            having: dict[Slot, set[int]] = defaultdict(set)
            for slot, i in _slots(channels or ()):
                if slot[0] & names:
                    having[slot].add(i)
            if any(each != everything for each in having.values()):
                return False
        return is_read


def _short(name: str) -> str:
    return name.removeprefix(f"{WHOLE}.")


def _within(channels: Channels | None) -> Channels | None:
    """Return channels with their layers named as in the model alone."""
    return channels and tuple(tuple((_short(name), *rest) for name, *rest in each) for each in channels)  # type: ignore[misc]


def _slots(channels: Channels) -> Iterator[tuple[Slot, int]]:
    """Yield the slot of each channel, and its number among the channels of the layers that made it."""
    seen: dict[tuple[frozenset[str], tuple[int, ...], int], int] = defaultdict(int)
    for place, sources in enumerate(channels):
        if not sources:
            yield (frozenset(), (), place), 0
            continue
        key = frozenset(source[0] for source in sources), tuple(sources[0][2:]), sources[0][1]
        yield (*key[:2], seen[key]), key[2]
        seen[key] += 1


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters(recurse=False))


def _may_be_sorted(module: nn.Module, channels: int) -> bool:
    """Whether a module treats its input channels alike, but for weights that can be sorted with them."""
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 or is_channelwise(module)
    if isinstance(module, nn.Linear):
        return True
    return all(len(each) == channels for each in module.parameters(recurse=False))


def _take_rows(layer: nn.Module, order: Sequence[int]) -> None:
    for each in layer.parameters(recurse=False):
        each.copy_(each[list(order)])


def _take_columns(module: nn.Module, columns: Sequence[int]) -> None:
    """Rearrange the weights of a module by the channels that it reads."""
    if list(columns) == sorted(columns):
        return
    if isinstance(module, LAYERS) and not (isinstance(module, nn.Conv2d) and is_channelwise(module)):
        module.weight.copy_(module.weight[:, list(columns)])
        return
    for each in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
        if each.dim() and len(each) == len(columns):
            each.copy_(each[list(columns)])


def _output(model: nn.Module, images: Tensor) -> Tensor:
    was_training = model.training
    output = model.eval()(images)
    model.train(was_training)
    found: Tensor = output if isinstance(output, Tensor) else output[0]
    return found
