"""Gates: the weight of each option of each open choice in a forward pass, read by the modules of a supernet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """How the options of one choice are combined: the options in `active`, in ascending order, are computed and added.

    `weights`, (options,), scales them; without weights they are added unscaled. `scalars` holds the same weights as
    separate tensors.
    """

    active: tuple[int, ...]
    weights: Tensor | None = None
    scalars: tuple[Tensor, ...] = ()

    def detach(self) -> Gate:
        """Return the gate with its weights detached from the autograd graph."""
        weights = None if self.weights is None else self.weights.detach()
        return Gate(self.active, weights, tuple(each.detach() for each in self.scalars))


@dataclass(frozen=True, slots=True, eq=False)
class StepContext:
    """The context in which gates are made: the search's `progress`, from 0 to 1, and whether the step is for the alphas.

    Random numbers are drawn from `generator`, on the CPU, so that a GPU and all workers draw the same.
    """

    progress: float
    generator: torch.Generator
    for_alphas: bool = False


Places = tuple[tuple[str, int], ...]
"""Options, each as (name of the choice, index), that must all be active for a branch of the network to count."""


@final
class Gates:
    """The gates of the current forward pass by choice name; one object shared by all modules of a supernet.

    A copy, also a pickled one, has the same gates detached: an autograd graph cannot be copied.
    """

    def __init__(self) -> None:
        self._gates: Mapping[str, Gate] = {}
        self.progress = 0.0

    def __getstate__(self) -> dict[str, Any]:
        detached = {name: gate.detach() for name, gate in self._gates.items()}
        return {"_gates": detached, "progress": self.progress}

    def set(self, gates: Mapping[str, Gate], moment: StepContext) -> None:
        """Set the gates of the next forward pass and the progress of the search."""
        self._gates, self.progress = gates, moment.progress

    def __getitem__(self, name: str) -> Gate:
        return self._gates[name]

    def get(self, name: str) -> Gate | None:
        """Return the gate of a choice, or None."""
        return self._gates.get(name)

    def open(self, places: Places) -> bool:
        """Whether the options at all places are active; options of a choice without a gate are active."""
        return all((gate := self.get(name)) is None or index in gate.active for name, index in places)
