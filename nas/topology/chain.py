"""Serial structure: a chain of nodes, and a stage that repeats one node at a width."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from nas.build import Node, Shape, Site
from nas.record import Positive, record
from nas.space import Choice


@record
class Chain(Node):
    """Apply nodes one after another; the first has the stride, and all have the width that is asked for."""

    nodes: tuple[Node, ...]

    def build(self, site: Site) -> nn.Module:
        return nn.Sequential(*(inner.build(node) for node, inner in self.placed(site)))

    def shape(self, site: Site) -> Shape:
        for node, inner in self.placed(site):
            shape = inner.output(node)
        return shape

    def placed(self, site: Site) -> Iterator[tuple[Node, Site]]:
        """Yield each node with the site where it stands."""
        shape, stride = site.shape, site.stride
        for node in self.nodes:
            inner = site.put(shape, stride=stride)
            yield node, inner
            shape, stride = inner.output(node), 1


@record
class Stage(Node):
    """Repeat a node at a width of its own; the first has the stride. Without `channels` the width is the one asked for.

    With `skip_reduction` the first node, if it reads two outputs, reads the one before the last but one beside the last:
    past the reduction before it, as in NASNet-A (large). In a supernet an open `repeat` is a depth: the layers are built
    once, and what comes out after each depth that may be chosen is mixed.
    """

    relaxes = frozenset(("repeat",))

    body: Node
    repeat: Positive = 1
    channels: Positive | None = None
    stride: Positive = 1
    skip_reduction: bool = False

    def members(self) -> Iterator[tuple[Node, int]]:
        """Yield the repeated node and the stride of each repetition."""
        for i in range(self.repeat):
            yield self.body, self.stride if i == 0 else 1

    def build(self, site: Site) -> nn.Module:
        inner = self._inner(site)
        if isinstance(self.repeat, Choice):
            layers = [each.build(node) for node, each in self._chain().placed(inner)]
            return site.relaxed(self.repeat).depths(self.repeat, layers)
        return self._chain().build(inner)

    def shape(self, site: Site) -> Shape:
        return self._chain().shape(self._inner(site))

    def _chain(self) -> Chain:
        depth = max(self.repeat.options) if isinstance(self.repeat, Choice) else self.repeat
        return Chain((self.body,) * depth)

    def _inner(self, site: Site) -> Site:
        return site.put(site.shape, self.channels, self.stride * site.stride)
