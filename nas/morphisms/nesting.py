"""Nesting: where each tensor of a network stands in its space, and which part of the space's largest tensor there it is.

A place is named alike in every architecture of a space. Each axis of a tensor has labels, one for each entry: the output channel,
what made the input channel, or the distance of a tap from the kernel's centre. Of two tensors at one place, those entries are the
same weight whose labels are equal: the first channels, the middle of the kernel, each part of a concatenation where it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from nas.building import Node, Shape, Site, image_shape
from nas.layers.attention import SqueezeExcite
from nas.layers.conv import ConvNormAct
from nas.morphisms.channels import Channels, is_channelwise, trace_channels
from nas.morphisms.embedding import taps
from nas.morphisms.pairing import numbered
from nas.operations.mbconv import _Inverted as Inverted
from nas.topology.cell import CellModule
from nas.topology.chain import Chain, Stage
from nas.topology.network import Network
from nas.topology.network import _NetworkModule as NetworkModule
from nas.topology.residual import _Sum as Sum

Size = Literal["kernel", "depth", "width"]
"""What a choice changes of a network: the taps of kernels, which layers there are, or how many channels they have."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The labels of an axis, all different; `joins` where a place may hold labels of several networks side by side."""

    labels: tuple[Hashable, ...]
    joins: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor of a network: the name of its place in the space, and its axes."""

    place: str
    axes: tuple[Axis, ...]


@final
class Blueprint:
    """A network of a space without weights: its module on the meta device, and each tensor, by name, with its place."""

    def __init__(self, tree: Node, input: Shape) -> None:
        nodes: dict[nn.Module, list[Node]] = {}
        shape = image_shape(input)
        with torch.device("meta"):
            site = Site(shape, shape[0], watch=lambda module, node, _: nodes.setdefault(module, []).append(node))
            self.module = site.build(tree)
        self._nodes, self._tree = nodes, tree
        read = trace_channels(self.module, shape)
        self.tensors: dict[str, Placed] = {}
        for name, place in self._places(self.module, "", ""):
            layer = self.module.get_submodule(name)
            for key, axes in _axes(layer, read.get(name)).items():
                self.tensors[f"{name}.{key}".lstrip(".")] = Placed(f"{place}/{key}".lstrip("/"), axes)

    def _places(self, module: nn.Module, name: str, place: str) -> Iterator[tuple[str, str]]:
        """Yield the name and the place of each module that itself holds tensors."""
        nodes = self._nodes.get(module, [])
        is_row = any(isinstance(node, Chain | Stage) for node in nodes)
        if nodes and not is_row and not isinstance(module, Sum | NetworkModule):
            place = f"{place}/{self._kind(module)}".lstrip("/")
        if any(True for _ in _own_tensors(module)):
            yield name, place
        for key, child, part in self._parts(module, is_row):
            yield from self._places(child, f"{name}.{key}".lstrip("."), f"{place}/{part}".strip("/"))

    def _parts(self, module: nn.Module, is_row: bool) -> Iterator[tuple[str, nn.Module, str]]:
        """Yield the name of each child, the child, and the name of its place in the place of the module."""
        if isinstance(module, NetworkModule) and isinstance(self._tree, Network):
            yield from ((key, child, key) for key, child in module.named_children() if key != "layers")
            for i, (layer, (stage, number)) in enumerate(zip(module.layers, self._tree.places(), strict=True)):
                yield f"layers.{i}", layer, f"stage{stage + 1}/{number}"
        elif isinstance(module, Sum | Inverted):
            # a shortcut around a body leaves the body's place as it is
            yield from ((key, child, "" if key == "body" else key) for key, child in module.named_children())
        elif isinstance(module, CellModule):
            yield from ((key, child, key) for key, child in module.named_children() if key != "nodes")
            for i, sources in enumerate(module.sources):
                for k, (source, number) in enumerate(numbered(sources)):
                    name = f"nodes.{i}.{k}"
                    yield name, module.get_submodule(name), f"nodes/{i}/{source}-{number}"
        elif isinstance(module, nn.Sequential) and not is_row:
            seen: Counter[str] = Counter()
            for key, child in module.named_children():
                kind = self._kind(child)
                # a watched child adds its kind itself
                yield key, child, str(seen[kind]) if child in self._nodes else f"{kind}/{seen[kind]}"
                seen[kind] += 1
        else:
            yield from ((key, child, key) for key, child in module.named_children())

    def _kind(self, module: nn.Module) -> str:
        """Return the class of a module's node and, for a sequence, the kinds of the layers in it.

        Options of one class whose layers differ in more than sizes have weights of their own.
        """
        nodes = self._nodes.get(module, [])
        if any(isinstance(node, ConvNormAct) for node in nodes) or isinstance(module, nn.Conv2d):
            return _convolution(module)
        found = type(nodes[-1] if nodes else module).__name__
        inner = module.body if isinstance(module, Inverted) else module
        if not nodes or not isinstance(inner, nn.Sequential):
            return found
        # squeeze-and-excitation stands beside the other layers, which are the same with and without it
        others = [
            each for each in inner if not any(isinstance(node, SqueezeExcite) for node in self._nodes.get(each, []))
        ]
        return "-".join([found, *(self._kind(each) for each in others if any(True for _ in each.parameters()))])


def differing(one: Blueprint, other: Blueprint) -> frozenset[Size]:
    """Return the sizes in which two networks differ."""
    first, second = ({each.place: each.axes for each in some.tensors.values()} for some in (one, other))
    found: set[Size] = {"depth"} if first.keys() != second.keys() else set()
    for place in first.keys() & second.keys():
        # output and input channels come before the taps
        unequal = (
            axis for axis, pair in enumerate(zip(first[place], second[place], strict=True)) if pair[0] != pair[1]
        )
        found.update("width" if axis < 2 else "kernel" for axis in unequal)
    return frozenset(found)


def _convolution(module: nn.Module) -> str:
    """Return the kind of the convolution in a module."""
    conv = next(each for each in module.modules() if isinstance(each, nn.Conv2d))
    return "depthwise" if is_channelwise(conv) else "conv" if conv.groups == 1 else "grouped"


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _axes(layer: nn.Module, channels: Channels | None) -> dict[str, tuple[Axis, ...]]:
    """Return the axes of each tensor that a module itself holds; `channels` are those that it reads."""
    read = None if channels is None else _parts_of(channels)
    if isinstance(layer, nn.Conv2d):
        inputs = read if read is not None and len(read) == layer.in_channels else tuple(range(layer.in_channels))
        rows, columns = _conv_channels(layer, inputs)
        kernel = (Axis(taps(layer, axis)) for axis in (0, 1))
        return {name: (rows, columns, *kernel) if name == "weight" else (rows,) for name, _ in _own_tensors(layer)}
    if isinstance(layer, nn.Linear):
        inputs = read if read is not None and len(read) == layer.in_features else tuple(range(layer.in_features))
        rows = Axis(tuple(range(layer.out_features)))
        return {name: (rows, Axis(inputs, True)) if name == "weight" else (rows,) for name, _ in _own_tensors(layer)}
    return {name: _values(each, read) for name, each in _own_tensors(layer)}


def _values(tensor: Tensor, read: tuple[Hashable, ...] | None) -> tuple[Axis, ...]:
    """Return the axes of a tensor that has a value for each channel, or else one size in every network."""
    if not tensor.dim():
        return ()
    first = Axis(read, True) if read is not None and len(read) == len(tensor) else _fixed(len(tensor))
    return (first, *(_fixed(size) for size in tensor.shape[1:]))


def _fixed(size: int) -> Axis:
    """Return an axis that nests in none of another size."""
    return Axis(tuple((size, i) for i in range(size)))


def _conv_channels(conv: nn.Conv2d, inputs: tuple[Hashable, ...]) -> tuple[Axis, Axis]:
    """Return the first two axes of a kernel (O, I / groups, K, K)."""
    if conv.groups == 1:
        return Axis(tuple(range(conv.out_channels))), Axis(inputs, True)
    if is_channelwise(conv):
        return Axis(inputs, True), _fixed(1)
    # a group's filters nest where it reads the same channels and makes equally many
    width, made = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    groups = [inputs[i * width : (i + 1) * width] for i in range(conv.groups)]
    return Axis(tuple(product(groups, _fixed(made).labels))), _fixed(width)


def _parts_of(channels: Channels) -> tuple[Hashable, ...]:
    """Return what tells the channels of a map apart in every network: the number of the part, and the channel in it.

    The parts of a concatenation are numbered as they stand. A part is what one layer made, with all that was added to it.
    """
    frequency = Counter(source[0] for sources in channels for source in sources)
    numbers: dict[Any, int] = {}
    seen: Counter[Hashable] = Counter()
    found: list[Hashable] = []
    for sources in channels:
        # where a narrower map was added to a part, the wider layer tells its channels apart
        main = max(sources, key=lambda source: frequency[source[0]], default=(None, seen[None]))
        label = (numbers.setdefault(main[0], len(numbers)), *main[1:])
        found.append((*label, seen[label]) if seen[label] else label)
        seen[label] += 1
        seen[None] += main[0] is None
    return tuple(found)
