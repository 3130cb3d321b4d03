"""Groups: the channels of a module that can only be taken out together, found by the dependency graph of Torch-Pruning.

Fang et al. 2023, arXiv:2301.12900, section 3. The graph follows autograd's operations and takes every channel to stay at its
place, which reshaping and padding of channels break. So each group is tried here: where the module without some of its channels
does not compute what the whole module computes when the readers of these channels ignore them, the group stays whole.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from nas.building import Shape
from nas.data.libraries import optional
from nas.records import RecordError, one_line
from nas.training.randomness import seeded

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

EXACT = 1e-9
"""The difference of outputs in float64, relative to the largest, that the order of sums may make."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What a group takes from a layer: `take_out` removes entries of the layer's inputs or else outputs, in place.

    `entries` are those of each channel of the group: several where a map was flattened, none where the layer has it not.
    """

    layer: str
    take_out: Callable[[nn.Module, list[int]], Any]
    is_output: bool
    entries: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class ChannelGroup:
    """Channels that are taken out together: the first layer that makes them, and the cut of every layer."""

    layer: str
    cuts: tuple[Cut, ...]

    @property
    def channels(self) -> int:
        """The number of channels of the whole module."""
        return len(self.cuts[0].entries)


@dataclass(frozen=True, slots=True)
class ModuleGroups:
    """The groups of a module in the order of its layers, why others stay whole, by layer, and the number of its outputs."""

    groups: tuple[ChannelGroup, ...]
    whole: Mapping[str, str]
    outputs: int


def find_groups(module: nn.Module, input: Shape) -> ModuleGroups:
    """Return the groups of a module that takes images (C, H, W); the module stays as it is.

    Raises RecordError where it does not run on them or, with a layer and the reason, where no channels can be taken out.
    """
    with torch.device("cpu"), seeded(0):
        module = deepcopy(module).cpu().double().eval().requires_grad_(True)
        images = torch.rand(2, *input, dtype=torch.float64)
        outputs = _check_runs(module, images)
        found, whole = _dependencies(module, images), {}
        _draw(module)
        # most modules pass at once; one group after the other only where they do not
        if _difference(module, found, images):
            for group in found:
                if reason := _difference(module, [group], images):
                    whole[group.layer] = reason
    free = tuple(group for group in found if group.layer not in whole)
    if not free:
        layer, reason = next(iter(whole.items()), (type(module).__name__, "it has no convolution or linear layer"))
        raise RecordError(
            f"no channels of {type(module).__name__} can be taken out, the first at layer {layer!r}: {reason}; give a module "
            "whose layers read what the layers before them made, channel by channel"
        )
    return ModuleGroups(free, whole, outputs)


def _check_runs(module: nn.Module, images: Tensor) -> int:
    """Return the number of outputs. Raises RecordError where the module does not run on these images."""
    try:
        with torch.no_grad():
            output = _outputs(module, images)[0]
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        shape = "x".join(map(str, images.shape[1:]))
        raise RecordError(
            f"{type(module).__name__} does not run on images of {shape} ({one_line(error)[:200]}): give an example of the shape "
            "that it takes"
        ) from None
    return output.shape[1] if output.dim() > 1 else 1


def _outputs(module: nn.Module, images: Tensor) -> list[Tensor]:
    return [each for each in tree_leaves(module(images)) if isinstance(each, Tensor)]


def _dependencies(module: nn.Module, images: Tensor) -> list[ChannelGroup]:
    """Return the groups of the dependency graph, the first layer of each first."""
    pruning: Any = optional("torch_pruning", "torch-pruning")
    names = {layer: name for name, layer in module.named_modules()}
    places = {name: i for i, name in enumerate(names.values())}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parameters outside layers, whose groups are tried below
        graph = pruning.DependencyGraph().build_dependency(module, example_inputs=images)
        every = list(graph.get_all_groups(root_module_types=[*CONVOLUTIONS, nn.Linear]))
    groups = []
    for items in every:
        size = len(items[0].idxs)
        cuts = [_cut(item, names[item.dep.target.module], size) for item in items if item.dep.target.module in names]
        made = [cut.layer for cut in cuts if cut.is_output and makes_channels(module.get_submodule(cut.layer))]
        first = min(made or [names[items[0].dep.target.module]], key=places.__getitem__)
        groups.append(ChannelGroup(first, tuple(cuts)))
    return sorted(groups, key=lambda group: places[group.layer])


def _cut(item: Any, layer: str, size: int) -> Cut:
    entries: dict[int, list[int]] = defaultdict(list)
    for entry, channel in zip(item.idxs, item.root_idxs, strict=True):
        entries[int(channel)].append(int(entry))
    is_output = item.dep.handler.__name__ == "prune_out_channels"
    return Cut(layer, item.dep.handler, is_output, tuple(tuple(sorted(entries[i])) for i in range(size)))


@torch.no_grad()
def _draw(module: nn.Module) -> None:
    """Give a module random weights, of which none is zero, so that every channel matters."""
    for parameter in module.parameters():
        nn.init.kaiming_normal_(parameter) if parameter.dim() > 1 else parameter.uniform_(0.5, 1.5)


@torch.no_grad()
def _difference(module: nn.Module, groups: Sequence[ChannelGroup], images: Tensor) -> str:
    """Return in words how the module without half of the channels differs from the one whose readers ignore them.

    Empty where it does not.
    """
    gone = {group.layer: torch.randperm(group.channels)[: group.channels // 2].tolist() for group in groups}
    if grouped := next((name for name in _layers_of(groups) if _is_grouped(module.get_submodule(name))), ""):
        return f"the convolution {grouped!r} has groups"
    smaller, ignoring = deepcopy(module), deepcopy(module)
    try:
        take_out(smaller, groups, gone)
        found = _outputs(smaller, images)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError, AttributeError) as error:
        return f"without some of them the module does not run ({one_line(error)[:120]})"
    ignore(ignoring, groups, gone)
    wanted = _outputs(ignoring, images)
    if [each.shape for each in found] != [each.shape for each in wanted]:
        return "they are outputs of the module"
    limit = EXACT * max(float(each.abs().max()) for each in wanted)
    if any(not torch.allclose(one, other, rtol=0, atol=limit) for one, other in zip(found, wanted, strict=True)):
        return "they cannot be told apart: what reads them mixes, moves or normalises them together"
    return ""


def makes_channels(layer: nn.Module) -> bool:
    """Whether each output of a layer is made of all its inputs; a depthwise convolution makes one of one."""
    return isinstance(layer, nn.Linear) or (isinstance(layer, CONVOLUTIONS) and layer.groups == 1)


def _is_grouped(layer: nn.Module) -> bool:
    return isinstance(layer, CONVOLUTIONS) and layer.groups > 1 and layer.groups != layer.in_channels


def _layers_of(groups: Iterable[ChannelGroup]) -> Iterator[str]:
    yield from (cut.layer for group in groups for cut in group.cuts)


@torch.no_grad()
def take_out(module: nn.Module, groups: Sequence[ChannelGroup], gone: Mapping[str, Sequence[int]]) -> None:
    """Take channels out of a whole module, in place: `gone` are those of each group, by the group's layer."""
    # a layer that reads several groups, as after a concatenation, is cut once, by the numbers of the whole module
    entries: dict[tuple[str, str], set[int]] = defaultdict(set)
    cutters: dict[tuple[str, str], Callable[[nn.Module, list[int]], Any]] = {}
    for group in groups:
        for cut in group.cuts:
            key = cut.layer, cut.take_out.__name__
            cutters[key] = cut.take_out
            entries[key].update(entry for channel in gone.get(group.layer, ()) for entry in cut.entries[channel])
    for (layer, how), each in entries.items():
        if each:
            cutters[layer, how](module.get_submodule(layer), sorted(each))


@torch.no_grad()
def ignore(module: nn.Module, groups: Sequence[ChannelGroup], gone: Mapping[str, Sequence[int]]) -> None:
    """Zero what the layers of a whole module make of channels, in place, so that its outputs do not depend on them."""
    for group in groups:
        for cut in group.cuts:
            layer = module.get_submodule(cut.layer)
            if not cut.is_output and makes_channels(layer):
                columns = [entry for channel in gone[group.layer] for entry in cut.entries[channel]]
                weight: Any = layer.weight
                weight[:, columns] = 0
