"""Numbers: the input and output shapes and the parameters of each node of a tree, recorded while it is built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, final

import torch
from torch import nn

from nas.building import Node, Shape, Site
from nas.choice import is_open
from nas.drawing.graphs import is_graph
from nas.topology.chain import Stage
from nas.topology.hierarchy import Hierarchy
from nas.topology.network import Network


@final
@dataclass(slots=True)
class NumberedModules:
    """A node that was built: its site, the resulting module, and the nodes that were built inside it."""

    node: Any
    site: Site
    module: nn.Module | None = None
    parts: list[NumberedModules] = field(default_factory=list)

    @property
    def output(self) -> Shape:
        return self.site.output(self.node)

    @property
    def params(self) -> int:
        return 0 if self.module is None else sum(parameter.numel() for parameter in self.module.parameters())

    def of(self, nodes: Iterable[Any]) -> list[NumberedModules | None]:
        """Return the record of each of the `nodes` inside this one: the first match that is not taken yet, or None."""
        rest, found = list(self.parts), []
        for node in nodes:
            # callers ask in the order of building, so of equal nodes the first record that is left is the right one
            place = next((i for i, part in enumerate(rest) if part.node is node or part.node == node), None)
            found.append(None if place is None else rest.pop(place))
        return found


@final
class _Log:
    """The stack of nodes under construction; the last is the innermost."""

    def __init__(self, root: NumberedModules) -> None:
        self.under_way = [root]


@final
@dataclass(frozen=True)
class _Watched(Node):
    """A proxy that builds a node and records its site and module; in `node`, the nodes inside are proxies too."""

    node: Node
    original: Node
    log: _Log = field(compare=False)

    @property
    def inputs(self) -> int:
        return self.node.inputs

    def build(self, site: Site) -> nn.Module:
        seen = NumberedModules(self.original, site)
        self.log.under_way.append(seen)
        seen.module = self.node.build(site)
        self.log.under_way.pop()
        self.log.under_way[-1].parts.append(seen)
        return seen.module

    def shape(self, site: Site) -> Shape:
        return self.node.shape(site)

    def __getattr__(self, name: str) -> Any:  # fields that the enclosing node reads when it builds
        return getattr(self.node, name)


def watched(tree: Node, input: Shape) -> NumberedModules | None:
    """Build a network for images `input` (C, H, W) on the meta device, and return the records of its nodes; None if it is open.

    Raises BuildError where it cannot be built for such images.
    """
    if is_open(tree):
        return None
    site = Site(input, channels=input[0])
    # the root only collects the record of the tree itself: a record is appended to the one that was under way before it
    root = NumberedModules(tree, site)
    with torch.device("meta"):
        site.build(_watching(tree, _Log(root)))
    return root.parts[0]


def _watching(tree: Any, log: _Log) -> Any:
    """Return a tree with proxies for its nodes, except inside graphs, and except a network's plain stages themselves."""
    if isinstance(tree, tuple):
        return tuple(_watching(part, log) for part in tree)
    if not isinstance(tree, Node):
        return tree
    if is_graph(tree) or isinstance(tree, Hierarchy):
        return _Watched(tree, tree, log)
    if isinstance(tree, Network):
        stages = tuple(_stage(stage, log) for stage in tree.stages)
        inner: Node = replace(tree, stem=_watching(tree.stem, log), stages=stages, head=_watching(tree.head, log))
        return _Watched(inner, tree, log)
    return _Watched(_inside(tree, log), tree, log)


def _stage(stage: Node, log: _Log) -> Any:
    return _inside(stage, log) if isinstance(stage, Stage) and stage.is_plain else _watching(stage, log)


def _inside(tree: Any, log: _Log) -> Any:
    """Return a node with proxies for its parts, but not for itself."""
    parts = {each.name: getattr(tree, each.name) for each in fields(tree)}
    made = {name: _watching(part, log) for name, part in parts.items() if isinstance(part, Node | tuple)}
    return replace(tree, **made) if made else tree
