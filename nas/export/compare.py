"""Comparison: whether an exported file computes the same outputs as the network, on random images."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite

import torch
from torch import Tensor, nn

from nas.building import Shape
from nas.evaluation.captured import random_images
from nas.records import RecordError

BATCHES = (1, 3)
"""The batch sizes compared: a single image, and a size that no exporter was traced with."""

LIMIT = 1e-4
"""The largest difference that rounding explains, for outputs of about 1."""


@torch.no_grad()
def largest_difference(
    run: Callable[[Tensor], Tensor],
    model: nn.Module,
    input: Shape,
    draw: Callable[[int], Tensor] | None = None,
) -> float:
    """Return the largest absolute difference between the outputs of `run` and `model`, for random images (C, H, W).

    `draw` returns a batch of images of a size, where these are not to be normally distributed.
    Where the largest output of `model` is over 1, the difference is relative to it.
    Raises RecordError where the network's own outputs are not finite, or the shapes of the outputs differ.
    """
    differences = list[float]()
    for batch in BATCHES:
        images = random_images(input, batch) if draw is None else draw(batch)
        wanted, got = model(images), run(images)
        if not wanted.isfinite().all():
            raise RecordError(
                "the network's outputs for random images are NaN or infinite, so they cannot be compared: train the network"
            )
        if got.shape != wanted.shape:
            raise RecordError(f"the outputs have shape {tuple(got.shape)}, expected {tuple(wanted.shape)}")
        scale = max(1.0, wanted.abs().max().item())
        difference = (got - wanted).abs().max().item() / scale
        differences.append(difference if isfinite(difference) else inf)  # as max() would ignore NaN
    return max(differences)
