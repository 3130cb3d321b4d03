"""Comparing: whether what was exported computes what the network does, on random images."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite

import torch
from torch import Tensor, nn

from nas.building import Shape
from nas.records import RecordError
from nas.training.randomness import stream

BATCHES = (1, 3)
"""The sizes of the batches that are compared: one image alone, and a number that no exporter has seen."""

LIMIT = 1e-4
"""The largest difference that rounding explains, where outputs are about 1."""


def random_images(input: Shape, batch: int) -> Tensor:
    """Return the same normally distributed images each time, (B, C, H, W)."""
    return torch.randn(batch, *input, generator=stream(0, "export", batch))


@torch.no_grad()
def largest_difference(run: Callable[[Tensor], Tensor], model: nn.Module, input: Shape) -> float:
    """Return how far apart the outputs of `run` and of the network are at most; where those are above 1, in units of the largest.

    Raises RecordError where the network itself gives no numbers.
    """
    differences = list[float]()
    for batch in BATCHES:
        images = random_images(input, batch)
        wanted, got = model(images), run(images)
        if not wanted.isfinite().all():
            raise RecordError(
                "the network gives values that are no numbers for random images, so nothing can be compared: train it"
            )
        if got.shape != wanted.shape:
            raise RecordError(f"the outputs are of shape {tuple(got.shape)}, and not {tuple(wanted.shape)}")
        scale = max(1.0, wanted.abs().max().item())
        difference = (got - wanted).abs().max().item() / scale
        differences.append(difference if isfinite(difference) else inf)  # NaN is larger than nothing
    return max(differences)
