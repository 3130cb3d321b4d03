"""Inception structure: parallel paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from operator import add, mul
from typing import Literal, final

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.records import record


@record
class Branches(Node):
    """Apply parallel paths to one input and concatenate their outputs or, by `join`, add, multiply or maximise them.

    Concatenated paths are given equal shares of the requested width, unless they set their own. With `split`, each path reads
    a share of the input's channels instead of all, as in ShuffleNet V2. Source: Szegedy et al. 2015, arXiv:1409.4842.

    The maximum of k convolutions without activation is a maxout layer (Goodfellow et al. 2013, arXiv:1302.4389, section 2);
    the product of a convolution and one with a sigmoid is a gated linear unit (Dauphin et al. 2017, arXiv:1612.08083).
    """

    paths: tuple[Node, ...]
    join: Literal["concat", "add", "max", "product"] = "concat"
    split: bool = False

    def __post_init__(self) -> None:
        if not self.paths:
            raise BuildError("the branches have no paths: give at least one")

    def build(self, site: Site) -> nn.Module:
        placed = list(self._placed(site))
        self._joined([inner.output(path) for path, inner in placed])
        widths = [inner.shape[0] for _, inner in placed] if self.split else None
        return Joined([inner.build(path) for path, inner in placed], self.join, widths)

    def shape(self, site: Site) -> Shape:
        return self._joined([inner.output(path) for path, inner in self._placed(site)])

    def _placed(self, site: Site) -> Iterator[tuple[Node, Site]]:
        requested = _shares(site.channels, len(self.paths))
        read = _shares(site.shape[0], len(self.paths))
        for path, channels, width in zip(self.paths, requested, read, strict=True):
            shape = (width, *site.shape[1:]) if self.split else site.shape
            yield path, site.put(shape, channels if self.join == "concat" else site.channels, site.stride)

    def _joined(self, shapes: list[Shape]) -> Shape:
        distinct = {shape[1:] for shape in shapes} if self.join == "concat" else set(shapes)
        if len(distinct) > 1:
            raise BuildError(
                f"the paths give {shapes} (C, H, W): make their sizes equal and, unless they are concatenated, their widths too"
            )
        channels = sum(shape[0] for shape in shapes) if self.join == "concat" else shapes[0][0]
        return channels, *shapes[0][1:]


def _shares(channels: int, parts: int) -> list[int]:
    """Divide a width into equal parts; the first parts get one channel more to absorb a remainder. No part is empty."""
    return [max(1, channels // parts + (i < channels % parts)) for i in range(parts)]  # 10 in 4 parts: 3, 3, 2, 2


_JOINS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"add": add, "max": torch.maximum, "product": mul}


@final
class Joined(nn.Module):
    """Parallel paths; each reads the whole input or, by `widths`, a slice of its channels."""

    def __init__(self, paths: list[nn.Module], join: str = "concat", widths: list[int] | None = None) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)
        self.join, self.widths = join, widths

    def forward(self, x: Tensor) -> Tensor:
        inputs = torch.split(x, self.widths, 1) if self.widths else [x] * len(self.paths)
        outputs = [path(part) for path, part in zip(self.paths, inputs, strict=True)]
        return torch.cat(outputs, 1) if self.join == "concat" else reduce(_JOINS[self.join], outputs)
