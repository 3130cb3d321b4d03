"""Feed: the batches of an epoch, one after another, on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.data.base import Images


@dataclass(frozen=True, slots=True)
class RandomCrop:
    """Cuts a random part out of each image, of an area between two shares of the whole, with a seed of its own for each image."""

    scale: tuple[float, float]
    seed: int


def feed(
    images: Images,
    parts: Sequence[Tensor],
    device: torch.device,
    crop: RandomCrop | None = None,
    processes: int | None = None,
) -> Iterator[Images]:
    """Yield the images of each part, int64 (B,), on the device."""
    for part in parts:
        yield images.at(part.to(images.y.device)).to(device)
