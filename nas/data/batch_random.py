"""Draws: random numbers for the images of a batch, the same for each image whoever computes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class BatchRandom:
    """Draws for each image of a batch of `images`, and keeps what belongs to the images `own`: all of them, if None.

    So several processes that share a batch vary its images as one process would. What is drawn is on the generator's
    device. `own` is int64 (own images,), best on the processor: then nothing waits for the device.
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

    def order(self, options: int) -> list[int]:
        """Return the numbers from 0 to options - 1 in an order that is drawn once for the whole batch."""
        order: list[int] = torch.randperm(options, generator=self.on_host().generator).tolist()
        return order

    def on_host(self) -> BatchRandom:
        """Return draws on the processor that follow from these, which move on: they are known without a wait."""
        if self.generator.device.type == "cpu":
            return self
        state = self.generator.get_state()  # its seed and how much was drawn, which the processor keeps
        torch.rand(1, generator=self.generator, device=self.generator.device)
        seed = int.from_bytes(hashlib.sha256(state.numpy().tobytes()).digest()[:8]) >> 1
        own = None if self.own is None else self.own.cpu()
        return BatchRandom(torch.Generator().manual_seed(seed), self.images, own)

    def _kept(self, drawn: Tensor) -> Tensor:
        return drawn if self.own is None else drawn[self.own.to(drawn.device, non_blocking=True)]
