"""Gates: how much each option of each open choice counts in a forward pass; what the parts of a supernet read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

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

    def detach(self) -> Gate:
        """Return it without the graph of the weights."""
        weights = None if self.weights is None else self.weights.detach()
        return Gate(self.active, weights, tuple(each.detach() for each in self.scalars))


@dataclass(frozen=True, slots=True, eq=False)
class StepContext:
    """Says when gates are made: how far the search is, from 0 to 1, and whether it is for a step of the alphas.

    Draws come from `generator`, on the processor, so that a GPU and several workers draw alike.
    """

    progress: float
    generator: torch.Generator
    for_alphas: bool = False


Places = tuple[tuple[str, int], ...]
"""Options, each by its choice and number, that must all be active for a branch of the network to count."""


@final
class Gates:
    """Holds the gates of the current forward pass by the names of their choices; one object shared by a supernet's parts.

    A copy, also a pickled one, has the same gates without their graph: a graph cannot be copied.
    """

    def __init__(self) -> None:
        self._gates: Mapping[str, Gate] = {}
        self.progress = 0.0

    def __getstate__(self) -> dict[str, Any]:
        detached = {name: gate.detach() for name, gate in self._gates.items()}
        return {"_gates": detached, "progress": self.progress}

    def set(self, gates: Mapping[str, Gate], moment: StepContext) -> None:
        """Take the gates of the coming forward pass, and how far the search is."""
        self._gates, self.progress = gates, moment.progress

    def __getitem__(self, name: str) -> Gate:
        return self._gates[name]

    def get(self, name: str) -> Gate | None:
        """Return the gate of a choice, if it has one."""
        return self._gates.get(name)

    def open(self, places: Places) -> bool:
        """Whether the options at all places are active; one whose choice has no gate is."""
        return all((gate := self.get(name)) is None or index in gate.active for name, index in places)
