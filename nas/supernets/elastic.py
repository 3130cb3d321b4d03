"""Elastic weights: one store of the largest tensors of a space, of which every architecture uses slices.

The generic form of the weight sharing of once-for-all networks (Cai et al. 2020, arXiv:1908.09791, section 3) and BigNAS (Yu et
al. 2020, arXiv:2003.11142, section 3): first channels, the middle of the kernel, first layers. Options that differ in more than
sizes, such as two operations, have weights of their own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from types import EllipsisType
from typing import Any, final

import torch
from torch import Tensor, nn

from nas.building import Node, Shape, build
from nas.choice import SpaceError, choices
from nas.morphisms.nesting import Axis, Blueprint, Placed, Size, differing
from nas.supernets.coverage import Coverage

KEPT = 256
"""The number of architectures whose modules a store keeps."""

Index = tuple[slice | Tensor | EllipsisType, ...]


@dataclass(frozen=True, slots=True)
class _Slice:
    """The slice of a tensor of the store that a network uses; `crops` are smaller kernels, each with the name of its matrix."""

    place: str
    index: Index
    crops: tuple[tuple[Index, str], ...] = ()


@final
class ElasticStore(nn.Module):
    """The largest tensor of each place of a space, by the name of the place, initialised as those of ordinary networks.

    `stack` returns the network of an architecture, for images of shape `input` (C, H, W). `largest` is the architecture with the
    most weights, which uses the whole store where options differ in sizes only; `smallest` is that with the fewest. `sizes` tells
    what each choice changes. With `batch_statistics` norms use those of the batch also in evaluation mode. Raises SpaceError,
    with choice and place, where sizes do not nest.

    With `kernel_transforms` a kernel that is cropped is multiplied by a matrix (taps, taps) of its place, first the identity and
    learnt, after each crop to the next smaller size of the place (once-for-all, section 3.3).
    """

    def __init__(
        self,
        space: Any,
        stack: Callable[[Any], Node],
        input: Shape = (3, 32, 32),
        kernel_transforms: bool = False,
    ) -> None:
        super().__init__()
        self.stack, self.input, self.batch_statistics = stack, input, False
        self._members: OrderedDict[Any, tuple[nn.Module, dict[str, _Slice]]] = OrderedDict()
        self._axes: dict[str, list[Axis]] = {}
        self._kernels: dict[str, set[tuple[Axis, ...]]] = {}
        used: list[tuple[Any, Blueprint]] = []
        whole: Blueprint | None = None
        coverage = Coverage(space, stack, input)
        self.sizes: dict[str, frozenset[Size]] = {name: frozenset() for name in choices(space)}
        for choice, architecture in coverage.members():
            blueprint = Blueprint(stack(architecture), input)
            if self._extend(blueprint, choice):
                used.append((architecture, blueprint))
            whole = whole or blueprint  # the first is the largest, and varies no choice
            if choice:
                self.sizes[choice] |= differing(whole, blueprint)
        self.largest, self.smallest = coverage.largest, coverage.smallest
        self._draw(used)
        self._smaller = {place: _descending(kernels) for place, kernels in self._kernels.items() if kernel_transforms}
        for place, kernels in self._smaller.items():
            for kernel in kernels[1:]:
                self.register_parameter(_matrix(place, kernel), nn.Parameter(torch.eye(_taps(kernel))))

    def forward(self, x: Tensor, architecture: Any) -> Any:
        """Return the output of an architecture for images (B, C, H, W), computed with slices of the store.

        In training mode norms use the batch's statistics, and those in the store stay as they are.
        """
        module, _ = self._member(architecture)
        buffers = {name for name, _ in module.named_buffers()}
        tensors = self.tensors(architecture)
        known = {name: each.clone() if name in buffers else each for name, each in tensors.items()}
        module.train(self.training)
        for norm in module.modules() if self.batch_statistics else ():
            if isinstance(norm, nn.BatchNorm2d):
                norm.train()
        return torch.func.functional_call(module, known, (x,))

    def tensors(self, architecture: Any) -> dict[str, Tensor]:
        """Return the slices that an architecture uses, by their names in its network; views, but where channels are scattered."""
        _, places = self._member(architecture)
        held: dict[str, Any] = {**self._parameters, **self._buffers}
        found = {name: held[each.place][each.index] for name, each in places.items()}
        for name, each in places.items():
            for crop, matrix in each.crops:
                cropped = found[name][crop]
                found[name] = (cropped.flatten(2) @ held[matrix]).view_as(cropped)
        return found

    @torch.no_grad()
    def take_out(self, architecture: Any) -> nn.Module:
        """Return an architecture as an ordinary network with copies of its weights."""
        model, tensors = build(self.stack(architecture), self.input), self.tensors(architecture)
        some = next(self.parameters())
        model.to(some.device, some.dtype)
        for name, own in (*model.named_parameters(), *model.named_buffers()):
            own.copy_(tensors[name])
        return model.train(self.training)

    def _member(self, architecture: Any) -> tuple[nn.Module, dict[str, _Slice]]:
        """Return the module of an architecture, without weights, and where in the store each of its tensors is."""
        if architecture in self._members:
            self._members.move_to_end(architecture)
            return self._members[architecture]
        blueprint = Blueprint(self.stack(architecture), self.input)
        places = {name: self._slice(placed) for name, placed in blueprint.tensors.items()}
        self._members[architecture] = blueprint.module, places
        if len(self._members) > KEPT:
            self._members.popitem(last=False)
        return blueprint.module, places

    def _extend(self, blueprint: Blueprint, choice: str) -> bool:
        """Add the axes that a network has and the store lacks; return whether there were any. `choice` is what it varies."""
        is_new = False
        for placed in blueprint.tensors.values():
            known = self._axes.setdefault(placed.place, [])
            if len(placed.axes) == 4:
                self._kernels.setdefault(placed.place, set()).add(placed.axes[2:])
            if not known:
                known += placed.axes
                is_new = True
            for i, (old, axis) in enumerate(zip(known, placed.axes, strict=True)):
                lacking = set(axis.labels).difference(old.labels)
                if lacking and set(old.labels) <= set(axis.labels):
                    known[i] = axis
                elif lacking and axis.joins:
                    known[i] = Axis((*old.labels, *(label for label in axis.labels if label in lacking)), joins=True)
                elif lacking:
                    sizes = f"the {len(axis.labels)} entries of axis {i} are not all among {len(old.labels)}"
                    raise SpaceError(
                        f"choice {choice!r} does not nest at {placed.place!r}: {sizes} of another network; resolve "
                        "the choice first, or give options of which each contains the smaller ones"
                    )
                is_new = is_new or bool(lacking)
        return is_new

    @torch.no_grad()
    def _draw(self, used: list[tuple[Any, Blueprint]]) -> None:
        """Fill the store with the initial weights of these networks; where several have one, with those of the first."""
        for architecture, blueprint in reversed(used):
            model = build(self.stack(architecture), self.input)
            drawn = {**dict(model.named_parameters()), **dict(model.named_buffers())}
            for name, placed in blueprint.tensors.items():
                key, values = _attribute(placed.place), drawn[name].detach()
                if not hasattr(self, key):
                    whole = values.new_zeros([len(axis.labels) for axis in self._axes[placed.place]])
                    is_weight = isinstance(drawn[name], nn.Parameter)
                    self.register_parameter(key, nn.Parameter(whole)) if is_weight else self.register_buffer(key, whole)
                getattr(self, key)[self._index(placed)] = values

    def _slice(self, placed: Placed) -> _Slice:
        """Return the slice that a tensor is; where its kernel is transformed, of all taps and with the crops to its own."""
        place, kernels = _attribute(placed.place), self._smaller.get(placed.place, ())
        if len(kernels) < 2:
            return _Slice(place, self._index(placed))
        whole, *smaller = kernels[: 1 + kernels.index(placed.axes[2:])]
        crops, before = list[tuple[Index, str]](), whole
        for kernel in smaller:
            taps = (
                [old.labels.index(label) for label in axis.labels] for old, axis in zip(before, kernel, strict=True)
            )
            crops.append(((..., *_as_index(taps)), _matrix(placed.place, kernel)))
            before = kernel
        return _Slice(place, self._index(replace(placed, axes=(*placed.axes[:2], *whole))), tuple(crops))

    def _index(self, placed: Placed) -> Index:
        """Return the index of a tensor in the tensor of its place. Raises SpaceError where it is not in the store."""
        found = []
        if placed.place not in self._axes:
            raise SpaceError(f"the store has no weights at {placed.place!r}: give an architecture of its space")
        for whole, axis in zip(self._axes[placed.place], placed.axes, strict=True):
            positions = {label: i for i, label in enumerate(whole.labels)}
            if lacking := [label for label in axis.labels if label not in positions]:
                raise SpaceError(
                    f"the store has no weights for {len(lacking)} of {len(axis.labels)} entries at {placed.place!r}: give an "
                    "architecture of its space, whose concatenations are alike"
                )
            found.append([positions[label] for label in axis.labels])
        return _as_index(found)


def _attribute(place: str) -> str:
    return place.replace(".", ":")


def _descending(kernels: Iterable[tuple[Axis, ...]]) -> tuple[tuple[Axis, ...], ...]:
    """Return the kernels of a place from the largest to the smallest; none where not each contains the next, as 1x7 and 7x1."""
    found = sorted(kernels, key=_taps, reverse=True)
    nested = (
        set(small.labels) <= set(large.labels) for a, b in pairwise(found) for large, small in zip(a, b, strict=True)
    )
    return tuple(found) if all(nested) else ()


def _taps(kernel: Sequence[Axis]) -> int:
    return prod(len(axis.labels) for axis in kernel)


def _matrix(place: str, kernel: Sequence[Axis]) -> str:
    """Return the name of the matrix of a kernel's size."""
    return f"{_attribute(place)}:{'x'.join(str(len(axis.labels)) for axis in kernel)}"


def _as_index(positions: Iterable[list[int]]) -> Index:
    """Return an index of these positions along each axis: slices where they are in a row, which give a view."""
    listed = list(positions)
    steps = [_step(each) for each in listed]
    if all(steps):
        return tuple(
            slice(each[0], each[-1] + 1, step) if each else slice(0) for each, step in zip(listed, steps, strict=True)
        )
    sizes = len(listed)
    return tuple(
        torch.tensor(each).view(*(-1 if i == axis else 1 for i in range(sizes))) for axis, each in enumerate(listed)
    )


def _step(positions: list[int]) -> int | None:
    """Return the step of positions that are evenly spaced and ascending, else None."""
    if len(positions) < 2:
        return 1
    step = positions[1] - positions[0]
    is_even = step > 0 and positions == list(range(positions[0], positions[-1] + 1, step))
    return step if is_even else None
