"""A module that exists as an architecture: the share of the channels that each group keeps, as plain data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from nas.building import BuildError, Node, Shape, Site
from nas.choice import Choice, SpaceError
from nas.modules.groups import ModuleGroups, find_groups
from nas.modules.making import made
from nas.modules.slicing import slice_module
from nas.morphisms.ordering import Importance
from nas.places import FilePath
from nas.records import Fraction, record
from nas.training.foreign_weights import load_any
from nas.training.randomness import seeded


@final
@record
class ChannelShare:
    """The share of its channels that a group keeps; `layer` is the first that makes them."""

    layer: str
    keeps: Fraction


@final
@record
class SlicedModule(Node):
    """A module that exists, of which each group keeps a share of its channels: the most important by `by`, with their weights.

    `make` is the call that makes it, as my_package.make_model(depth=3), or names a module that was given in Python. It takes
    images of shape `input`, and has the weights that it is made with, or those in the file `weights`. A share of 1 leaves a group
    whole. `weights_digest` is that of the file's content.
    """

    make: str
    input: tuple[int, int, int]
    shares: tuple[ChannelShare, ...]
    weights: FilePath | None = None
    weights_digest: str = ""
    by: Importance = "l1"

    def build(self, site: Site) -> nn.Module:
        if site.shape != self.input:
            raise BuildError(
                f"the module takes images {self.input}, and gets {site.shape}: give another input or other data"
            )
        for share in self.shares:
            if isinstance(share.keeps, Choice):
                site.relaxed(share.keeps)
                raise SpaceError(
                    f"choice {share.keeps.name!r} does not relax: it is a width; search it by a strategy, with the evaluator "
                    "Recalibrated"
                )
        model, groups = self.whole(), self.groups().groups
        sizes = {group.layer: group.channels for group in groups}
        if unknown := next((share.layer for share in self.shares if share.layer not in sizes), ""):
            raise BuildError(
                f"the module has no channels to take out at layer {unknown!r}: give one of {', '.join(sizes)}"
            )
        kept = {share.layer: channels_kept(share.keeps, sizes[share.layer]) for share in self.shares}
        slice_module(model, groups, kept, self.by)
        return model

    def shape(self, site: Site) -> Shape:
        return self.groups().outputs, 1, 1

    def whole(self) -> nn.Module:
        """Return the module with all channels and its weights; without weights on the meta device."""
        model = made(self.make)
        if torch.get_default_device().type == "meta":
            return model.to("meta")
        if self.weights is not None:
            if content_digest(self.weights) != self.weights_digest:
                raise BuildError(f"{self.weights} has other weights than those that were sliced: restore the file")
            load_any(model, Path(self.weights), self.input)
        return model

    def groups(self) -> ModuleGroups:
        """Return the groups of the whole module."""
        return groups_of(self.make, self.input)


@lru_cache(maxsize=64)
def groups_of(make: str, input: Shape) -> ModuleGroups:
    """Return the groups of the module that a call makes; found once in a process."""
    with torch.device("cpu"), seeded(0):
        module = made(make)
    return find_groups(module, input)


def content_digest(file: str) -> str:
    """Return a digest of the content of a file, in 16 hexadecimal digits; empty where there is none."""
    path = Path(file)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def channels_kept(share: float, channels: int) -> int:
    """Return how many channels a share is: rounded, and at least 1."""
    return max(1, round(share * channels))


def open_shares(groups: ModuleGroups, ratios: Sequence[float]) -> tuple[ChannelShare, ...]:
    """Return an open share for each group; of ratios that keep the same number of channels the largest."""
    opened = []
    for group in groups.groups:
        distinct = {channels_kept(ratio, group.channels): ratio for ratio in sorted(ratios)}
        keeps: Any = Choice(group.layer, tuple(distinct.values())) if len(distinct) > 1 else max(ratios)
        opened.append(ChannelShare(group.layer, keeps))
    return tuple(opened)
