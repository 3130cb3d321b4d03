"""Random numbers for the images of a batch; each image gets the same numbers in whichever process computes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class BatchRandom:
    """Random numbers for each image of a batch of `images`; those of the images `own` are kept, or all, if None.

    Several ranks that share a batch thus augment its images as one process would. The numbers are on the generator's
    device. `own` is int64 (own images,), best on the CPU: then nothing waits for the device.
    """

    generator: torch.Generator
    images: int
    own: Tensor | None = None

    def integers(self, options: int, *shape: int) -> Tensor:
        """Return integers from 0 to options - 1, int64 (own images, *shape)."""
        shape = (self.images, *shape)
        return self._kept(torch.randint(options, shape, generator=self.generator, device=self.generator.device))

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return numbers from `low` to `high`, float32 (own images, *shape)."""
        drawn = torch.rand((self.images, *shape), generator=self.generator, device=self.generator.device)
        return self._kept(low + (high - low) * drawn)

    def normal(self, std: float, *shape: int) -> Tensor:
        """Return normal numbers with mean 0 and deviation `std`, float32 (own images, *shape)."""
        drawn = torch.randn((self.images, *shape), generator=self.generator, device=self.generator.device)
        return self._kept(std * drawn)

    def order(self, options: int) -> list[int]:
        """Return the numbers from 0 to options - 1 in a random order, drawn once for the whole batch."""
        order: list[int] = torch.randperm(options, generator=self.on_host().generator).tolist()
        return order

    def on_host(self) -> BatchRandom:
        """Return a BatchRandom on the CPU, seeded from this one, which advances; its numbers are available without a wait."""
        if self.generator.device.type == "cpu":
            return self
        state = self.generator.get_state()  # seed and offset, which are kept on the host
        # Advance the generator, so that the next seed differs.
        torch.rand(1, generator=self.generator, device=self.generator.device)
        seed = int.from_bytes(hashlib.sha256(state.numpy().tobytes()).digest()[:8]) >> 1
        own = None if self.own is None else self.own.cpu()
        return BatchRandom(torch.Generator().manual_seed(seed), self.images, own)

    def _kept(self, drawn: Tensor) -> Tensor:
        return drawn if self.own is None else drawn[self.own.to(drawn.device, non_blocking=True)]
