"""Crops: which part of an image the network sees, and at which scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import final

RATIOS = (3 / 4, 4 / 3)
"""The bounds of a random crop's width divided by its height."""

TRIES = 10
"""The number of random crops drawn before a central one is taken."""


@final
@dataclass(frozen=True, slots=True)
class Cut:
    """A crop: the box (left, top, right, bottom) is scaled to (width, height), and the centre of the result is kept.

    `gap` is the least factor by which the decoded box must exceed the scaled one, where an image can be decoded at
    reduced size.
    """

    box: tuple[int, int, int, int]
    scaled: tuple[int, int]
    gap: int = 1

    @property
    def shrink(self) -> int:
        """The factor by which the image may be shrunk while decoding: 1, 2, 4 or 8, as JPEG offers."""
        left, top, right, bottom = self.box
        spare = min((right - left) / self.scaled[0], (bottom - top) / self.scaled[1]) / self.gap
        return next(factor for factor in (8, 4, 2, 1) if factor <= max(1.0, spare))

    def within(self, shrink: float, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the box in an image that was shrunk to (width, height); it has at least one pixel."""
        left, top, right, bottom = (round(each / shrink) for each in self.box)
        left, top = min(left, width - 1), min(top, height - 1)
        return left, top, max(left + 1, min(right, width)), max(top + 1, min(bottom, height))


@final
@dataclass(frozen=True, slots=True)
class RandomCrop:
    """A random crop of each image, with an area between two shares of the whole, seeded per image.

    The area is uniform, the aspect ratio log-uniform from 3/4 to 4/3. After ten tries that do not fit, the largest
    central crop of an allowed ratio is taken. Szegedy et al. 2015 (arXiv:1409.4842, section 6), as in torchvision.
    """

    scale: tuple[float, float]
    seed: int

    def cut(self, image: int, width: int, height: int, size: int) -> Cut:
        """Return the crop of the image numbered `image`, scaled to (size, size)."""
        draw = Random(f"{self.seed}/{image}")  # seeded by the text's SHA-512, the same in every process
        low, high = map(math.log, RATIOS)
        for _ in range(TRIES):
            area = width * height * draw.uniform(*self.scale)
            ratio = math.exp(draw.uniform(low, high))
            # w * h = area and w / h = ratio
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return _cut(draw.randint(0, width - w), draw.randint(0, height - h), w, h, size)
        w, h = min(width, round(height * RATIOS[1])), min(height, round(width / RATIOS[0]))
        return _cut((width - w) // 2, (height - h) // 2, w, h, size)


def _cut(left: int, top: int, width: int, height: int, size: int) -> Cut:
    return Cut((left, top, left + width, top + height), (size, size))


def central_cut(width: int, height: int, size: int, centre: float) -> Cut:
    """Return the central crop: the shorter side is scaled to size / centre, and the central `size` is kept.

    It is decoded at no less than twice that scale, so that it matches the images on which published results were
    measured.
    """
    shorter = max(size, round(size / centre))
    longer = max(size, int(shorter * max(width, height) / min(width, height)))
    scaled = (shorter, longer) if width <= height else (longer, shorter)
    return Cut((0, 0, width, height), scaled, gap=2)
