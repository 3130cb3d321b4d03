"""Names of classes: the usual ones of the literature, from the nodes that built the modules."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from nas.building import Node
from nas.export.source.blocks import Kind, SourceBlock
from nas.export.source.forward import TAKEN
from nas.export.source.groups import Groups, ModuleGroup, walk
from nas.export.source.terms import Call
from nas.layers.conv import ConvNormAct
from nas.topology.cell import CellModule
from nas.topology.chain import Chain, Stage
from nas.topology.residual import Residual

_WORDS = {"Conv2d": "Conv", "BatchNorm2d": "Norm", "LayerNorm": "Norm", "MaxPool2d": "MaxPool", "AvgPool2d": "AvgPool"}

_KNOWN_AS = {"Excited": "SqueezeExcite", "Inverted": "InvertedResidual", "Scaled": "LayerScale", "Shifted": "Shift"}
"""The usual names of module classes, for files that declare several nodes."""


class Names:
    """A giver of unique names to classes."""

    def __init__(self, groups: Groups, root: SourceBlock, name: str) -> None:
        self.groups = groups
        kinds = {block.kind for block in walk(root) if block.kind is not None}
        self.taken = {*TAKEN, name, *(used for kind in kinds for used, _ in kind.forward.beside())}
        self.root, self.name = groups.blocks[root], name
        found = [group for group in dict.fromkeys(groups.blocks.values()) if group.is_class]
        self.strides = {group: {each.origin.stride for each in group.members if each.origin} for group in found}
        self.wanted = {group: self._wanted(group) for group in found}

    def of_group(self, group: ModuleGroup) -> str:
        """Return the name of the class of a group: modules used at several places, or with a wired forward."""
        return self.name if group is self.root else self._free(self.wanted[group])

    def of_kind(self, kind: Kind, members: Sequence[SourceBlock], has_subclasses: bool) -> str:
        """Return the name of the class of a kind; its subclasses, if any, keep the names of their nodes for themselves."""
        if members == self.root.members:
            return self.name
        own = kind.cls.__name__.lstrip("_")
        nodes = _nodes(kind.cls.__module__) if own != kind.cls.__name__ else []
        wanted = set(self.wanted.values()) if has_subclasses else set()
        names = [*(nodes if len(nodes) == 1 else []), _KNOWN_AS.get(own, own) if nodes else own]
        return self._free(next((name for name in names if name not in wanted), own))

    def _free(self, name: str) -> str:
        number, free = 1, name
        while free in self.taken:
            number += 1
            free = f"{name}{number}"
        self.taken.add(free)
        return free

    def _wanted(self, group: ModuleGroup) -> str:
        first = group.members[0]
        if first.kind is not None and first.kind.cls is CellModule:
            return self._cell(group)
        if (words := _leaves(first)) is not None:
            return words
        node: Any = next((each.origin.node for each in group.members if each.origin is not None), None)
        if isinstance(node, Residual):
            return _residual(node)
        if node is None and first.kind is not None:
            nodes = _nodes(first.kind.cls.__module__)
            return nodes[0] if len(nodes) == 1 else first.kind.cls.__name__.lstrip("_")
        return "Block" if isinstance(node, Chain | Stage) else type(node).__name__

    def _cell(self, group: ModuleGroup) -> str:
        """Return "NormalCell" or "ReductionCell" where the network has cells of both strides, else "Cell"."""
        cells = [each for each in self.strides if getattr(each.members[0].kind, "cls", None) is CellModule]
        strides = {frozenset(self.strides[each]) for each in cells}
        if len(strides) == 1 or len(self.strides[group]) != 1:
            return "Cell"
        return "NormalCell" if self.strides[group] == {1} else "ReductionCell"


def _nodes(module: str) -> list[str]:
    """Return the names of the node classes that a Python module of the library declares."""
    found = vars(sys.modules[module]).values()
    return [
        each.__name__
        for each in found
        if isinstance(each, type) and issubclass(each, Node) and each.__module__ == module and each is not Node
    ]


def _leaves(block: SourceBlock) -> str | None:
    """Return the name of a row of up to 3 torch layers, such as ConvNormReLU; None for any other block."""
    parts = [part for _, part in block.slots]
    if block.kind is not None or len(parts) > 3 or not all(isinstance(part, Call) for part in parts):
        return None
    kinds = [part.callee.removeprefix("nn.") for part in parts]  # type: ignore[union-attr]
    return "".join(_WORDS.get(kind, re.sub(r"\dd$", "", kind)) for kind in kinds if kind != "Identity")


def _residual(node: Residual) -> str:
    convs = [each for each in getattr(node.body, "nodes", ()) if isinstance(each, ConvNormAct)]
    kernels = [each.kernel for each in convs]  # the two blocks of He et al. 2016, arXiv:1512.03385, figure 5
    if kernels[:3] == [1, 3, 1]:
        return "Bottleneck"
    return "BasicBlock" if kernels == [3, 3] else "ResidualBlock"
