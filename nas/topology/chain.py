"""Serial structure: a chain of nodes, and a stage that repeats one node at a width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from torch import nn

from nas.building import BuildError, Node, Shape, Site, lift_choices, require_single_input
from nas.layers.conv import Ratio
from nas.records import Natural, Positive, record
from nas.space import Choice, SpaceError


@record
class Chain(Node):
    """Apply nodes one after another, all at the requested width; the node `strided` has the stride."""

    nodes: tuple[Node, ...]
    strided: Natural = 0

    def __post_init__(self) -> None:
        is_open = isinstance(self.nodes, Choice) or isinstance(self.strided, Choice)
        if not is_open and self.strided >= max(1, len(self.nodes)):
            raise BuildError(
                f"`strided` is {self.strided}, and the chain has {len(self.nodes)} nodes: give a lower number"
            )

    def build(self, site: Site) -> nn.Module:
        return nn.Sequential(*(inner.build(node) for node, inner in self.placed(site)))

    def shape(self, site: Site) -> Shape:
        shape = site.shape
        for node, inner in self.placed(site):
            shape = inner.output(node)
        return shape

    def placed(self, site: Site) -> Iterator[tuple[Node, Site]]:
        """Yield each node with its site."""
        shape = site.shape
        for i, node in enumerate(self.nodes):
            inner = site.put(shape, stride=site.stride if i == self.strided else 1)
            yield require_single_input(node), inner
            shape = inner.output(node)


@record
class Stage(Node):
    """Repeat a node at one width; the first repetition has the stride.

    Without `channels` the width is the requested one times `ratio`. With `skip_reduction`, a first node with two inputs reads
    the output two before the last instead of the one before it: past the reduction, as in NASNet-A (large). In a supernet an
    open `repeat` is a depth: the layers are built once, and the outputs at all optional depths are mixed.
    """

    relaxes = repeating = frozenset(("repeat",))

    body: Node
    repeat: Positive = 1
    channels: Positive | None = None
    stride: Positive = 1
    skip_reduction: bool = False
    ratio: Ratio = 1.0

    @property
    def is_plain(self) -> bool:
        """Whether it equals its repetitions in a row: depth and width are decided, and no ratio scales the requested width."""
        is_known = not isinstance(self.repeat, Choice) and not isinstance(lift_choices(self), Choice)
        return is_known and (self.channels is not None or self.ratio == 1.0)

    def members(self) -> Iterator[tuple[Node, int]]:
        """Yield the repeated node and the stride of each repetition."""
        for i in range(self.repeat):
            yield self.body, self.stride if i == 0 else 1

    def build(self, site: Site) -> nn.Module:
        inner = self._inner(site)
        if isinstance(self.repeat, Choice):
            if min(self.repeat.options) < 1:
                raise SpaceError(f"choice {self.repeat.name!r} offers depths {self.repeat.options}: give 1 or more")
            # Check that all depths give one shape: the relaxation mixes them.
            chains = tuple(Chain((self.body,) * depth) for depth in self.repeat.options)
            inner.output(cast(Node, Choice(self.repeat.name, chains)))
            layers = [each.build(node) for node, each in self._chain().placed(inner)]
            return site.relaxed(self.repeat).depths(self.repeat, layers)
        return self._chain().build(inner)

    def shape(self, site: Site) -> Shape:
        inner = self._inner(site)
        before, shape = None, inner.output(require_single_input(self.body))
        for _ in range(self._depth() - 1):
            if shape == before:  # the shape stays the same from here on
                break
            before, shape = shape, inner.put(shape).output(self.body)
        return shape

    def _chain(self) -> Chain:
        return Chain((self.body,) * self._depth())

    def _depth(self) -> int:
        return max(self.repeat.options) if isinstance(self.repeat, Choice) else self.repeat

    def _inner(self, site: Site) -> Site:
        return site.put(site.shape, self.width(site.channels), self.stride * site.stride)

    def width(self, requested: int) -> int:
        """Return the width of the stage at a site of width `requested`."""
        return self.channels or max(1, round(requested * self.ratio))
