"""Backbone: modules in series, some of which halve the size of the map or double its width."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from nas.building import BuildError, Node, Shape, Site, require_single_input
from nas.choice import SpaceError, choices, is_open
from nas.records import Natural, Positive, record


@record
class Backbone(Node):
    """Apply a module `modules` times; those in `halved` halve the size, those in `doubled` double the width.

    Modules are counted from 0. The first has the requested width or twice it, and each later one that of the module before it,
    or twice it. The first has the site's stride too.
    """

    repeating = frozenset(("modules",))

    module: Node
    modules: Positive
    halved: tuple[Natural, ...] = ()
    doubled: tuple[Natural, ...] = ()

    def __post_init__(self) -> None:
        for name in ("halved", "doubled"):
            places = getattr(self, name)
            if is_open((self.modules, places)):
                continue
            if sorted(set(places)) != list(places) or (places and places[-1] >= self.modules):
                raise BuildError(f"{name} is {places}: give modules from 0 to {self.modules - 1}, ascending")

    def build(self, site: Site) -> nn.Module:
        return nn.Sequential(*(inner.build(self.module) for inner in self._sites(site)))

    def shape(self, site: Site) -> Shape:
        *_, last = self._sites(site)
        return last.output(self.module)

    def _sites(self, site: Site) -> Iterator[Site]:
        """Yield the site of each module. Raises SpaceError where the size or width of one is open."""
        require_single_input(self.module)
        if is_open(opened := (self.modules, self.halved, self.doubled)):
            raise SpaceError(
                f"choice {next(iter(choices(opened)))!r} does not relax: it decides the size or width of modules; resolve it "
                "first, or search it by evolution"
            )
        shape, width = site.shape, site.channels
        for i in range(self.modules):
            width *= 2 if i in self.doubled else 1
            stride = (2 if i in self.halved else 1) * (site.stride if i == 0 else 1)
            inner = site.put(shape, width, stride)
            yield inner
            shape = inner.output(self.module)
