"""Draws: random numbers for the images of a batch, the same for each image whoever computes it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Draws for each image of a batch of `images`, and keeps what belongs to the images `own`: all of them, if None.

    So several processes that share a batch vary its images as one process would. Everything is on the generator's device.
    """

    generator: torch.Generator
    images: int
    own: Tensor | None = None

    def integers(self, options: int, *shape: int) -> Tensor:
        """Return whole numbers from 0 to options - 1, int64 (own images, *shape)."""
        shape = (self.images, *shape)
        return self._kept(torch.randint(options, shape, generator=self.generator, device=self.generator.device))

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return numbers from `low` to `high`, float32 (own images, *shape)."""
        drawn = torch.rand((self.images, *shape), generator=self.generator, device=self.generator.device)
        return self._kept(low + (high - low) * drawn)

    def _kept(self, drawn: Tensor) -> Tensor:
        return drawn if self.own is None else drawn[self.own]
