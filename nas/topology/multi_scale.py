"""Multi-scale dense structure: dense layers on maps of several sizes, with coarse features from the first layer on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.choice import Choice
from nas.layers.conv import ConvNormAct, Ratio
from nas.records import Positive, record


@dataclass(frozen=True, slots=True)
class _Step:
    """A layer: it reads the scales from `before` on, of `width` channels times their factors, and makes those from `first` on.

    `kept` is the width after it, where 1x1 convolutions reduce it.
    """

    before: int
    first: int
    width: int
    kept: int | None


@record
class MultiScale(Node):
    """Make maps at several scales, then repeat layers: each appends to every map features of that map and of the finer one.

    The input is the finest map; strided 3x3 convolutions make the others of it, `factors` times as wide. A layer appends
    `growth` times the factor, half of them from each of the two maps, and all from the own map where no finer is left. `layers`
    has one node a scale; at stride 2 it makes what the next scale appends. After each `interval` layers the finest map is
    dropped, and 1x1 convolutions keep `reduction` of the widths; what the coarsest map does not need is not made. The coarsest
    map is the output, and its states after each layer are the parts that auxiliary heads may read. Source: MSDNet, Huang et
    al. 2018, arXiv:1703.09844, section 4; where widths are reduced is from the released code.
    """

    repeating = frozenset(("repeat",))

    layers: tuple[Node, ...]
    factors: tuple[Positive, ...] = (1, 2)
    growth: Positive = 6
    repeat: Positive = 4
    interval: Positive | None = None
    reduction: Ratio = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.layers, Choice) or isinstance(self.factors, Choice):
            return
        if len(self.layers) != len(self.factors) or not self.layers or self.factors[0] != 1:
            raise BuildError(
                f"there are {len(self.layers)} layers and the factors {self.factors}: give one of each per scale, and the finest "
                "the factor 1"
            )

    def build(self, site: Site) -> nn.Module:
        shapes = self._shapes(site)
        halving = [site.put(shapes[s - 1], shapes[s][0], 2).build(ConvNormAct(3)) for s in range(1, len(shapes))]
        sizes = [shape[1:] for shape in shapes]
        return _MultiScale(halving, [self._layer(site, sizes, step) for step in self._steps(site.shape[0])])

    def shape(self, site: Site) -> Shape:
        return self.parts(site)[-1]

    def parts(self, site: Site) -> tuple[Shape, ...]:
        *_, (_, height, width) = self._shapes(site)
        steps = self._steps(site.shape[0])
        return tuple(((step.kept or step.width + self.growth) * self.factors[-1], height, width) for step in steps)

    def _shapes(self, site: Site) -> list[Shape]:
        """Return the shapes of the first maps."""
        if site.stride != 1 or self.growth < 2:
            raise BuildError(
                f"a multi-scale node has stride {site.stride} and growth {self.growth}: give 1, and 2 or more"
            )
        shapes = [site.shape]
        for factor in self.factors[1:]:
            shapes.append(site.put(shapes[-1], site.shape[0] * factor, 2).output(ConvNormAct(3)))
        return shapes

    def _steps(self, width: int) -> Iterator[_Step]:
        coarsest, before = len(self.factors) - 1, 0
        for i in range(self.repeat):
            dropped = min(coarsest, i // self.interval) if self.interval else 0
            # Of the last layers the coarsest map reads one scale less each.
            first = max(dropped, coarsest - (self.repeat - 1 - i))
            reduces = self.interval is not None and 0 < i == dropped * self.interval
            kept = max(1, int((width + self.growth) * self.reduction)) if reduces else None
            yield _Step(before, first, width, kept)
            before, width = first, kept or width + self.growth

    def _layer(self, site: Site, sizes: Sequence[tuple[int, int]], step: _Step) -> _Layer:
        # Scales are counted from that of the finest map which the layer makes.
        finer: list[nn.Module] = []
        own: list[nn.Module] = []
        reduced: list[nn.Module] = []
        for scale in range(step.first, len(sizes)):
            shape, added = (step.width * self.factors[scale], *sizes[scale]), self.growth * self.factors[scale]
            from_finer = added // 2 if scale > step.before else 0
            if from_finer:
                above = step.width * self.factors[scale - 1], *sizes[scale - 1]
                finer.append(self._made(site.put(above, from_finer, 2), scale - 1))
            own.append(self._made(site.put(shape, added - from_finer), scale))
            if step.kept is not None:
                joined = site.put((shape[0] + added, *sizes[scale]), step.kept * self.factors[scale])
                reduced.append(joined.build(ConvNormAct(1)))
        return _Layer(step.first, finer, own, reduced)

    def _made(self, site: Site, scale: int) -> nn.Module:
        """Build the layer of a scale. Raises BuildError where it does not give the requested shape."""
        wanted, given = Node.shape(self, site), site.output(self.layers[scale])
        if given != wanted:
            raise BuildError(
                f"layer {scale} gives {given} (C, H, W), and {wanted} is requested: give one that keeps to it"
            )
        return site.build(self.layers[scale])


class _Layer(nn.Module):
    def __init__(self, first: int, finer: list[nn.Module], own: list[nn.Module], reduced: list[nn.Module]) -> None:
        super().__init__()
        self.first = first
        self.finer, self.own, self.reduced = nn.ModuleList(finer), nn.ModuleList(own), nn.ModuleList(reduced)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return all maps, of which those finer than the first are left as they are."""
        # Where the first scale has no finer one, `finer` is one shorter than `own`.
        alone = len(self.own) - len(self.finer)
        made = list(maps)
        for i, own in enumerate(self.own):
            scale = self.first + i
            parts = [maps[scale]]
            if i >= alone:
                parts.append(self.finer[i - alone](maps[scale - 1]))
            joined = torch.cat([*parts, own(maps[scale])], 1)
            made[scale] = self.reduced[i](joined) if len(self.reduced) else joined
        return made


@final
class _MultiScale(nn.Module):
    def __init__(self, halving: list[nn.Module], layers: list[_Layer]) -> None:
        super().__init__()
        self.halving, self.layers = nn.ModuleList(halving), nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.parts(x)[-1]

    def parts(self, x: Tensor) -> list[Tensor]:
        """Return the coarsest map after each layer."""
        maps = [x]
        for halve in self.halving:
            maps.append(halve(maps[-1]))
        coarsest = []
        for layer in self.layers:
            maps = layer(maps)
            coarsest.append(maps[-1])
        return coarsest
