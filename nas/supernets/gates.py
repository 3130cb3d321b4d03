"""Gates: how much each option of each open choice counts in a forward pass; what the parts of a supernet read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """Says how the options of one choice are combined: those in `active` are computed, in ascending order.

    `weights`, (options,), scales them; without, they are added as they are. `scalars` are the weights one by one.
    """

    active: tuple[int, ...]
    weights: Tensor | None = None
    scalars: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """Says when gates are made: how far the search is, from 0 to 1, and whether it is for a step of the alphas.

    Draws come from `generator`, on the processor, so that a GPU and several workers draw alike.
    """

    progress: float
    generator: torch.Generator
    for_alphas: bool = False


@final
class Gates:
    """Holds the gates of the current forward pass by the names of their choices; one object shared by a supernet's parts."""

    def __init__(self) -> None:
        self._gates: Mapping[str, Gate] = {}
        self.progress = 0.0

    def set(self, gates: Mapping[str, Gate], moment: Moment) -> None:
        """Take the gates of the coming forward pass, and how far the search is."""
        self._gates, self.progress = gates, moment.progress

    def __getitem__(self, name: str) -> Gate:
        return self._gates[name]

    def get(self, name: str) -> Gate | None:
        """Return the gate of a choice, if it has one."""
        return self._gates.get(name)
