"""Moving digits: clips of a handwritten digit that moves, whose class is the movement."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.data.base import Data, Images, Loaded, channel_statistics
from nas.data.digits import Digits
from nas.records import Natural, Positive, RecordError, record

DIRECTIONS = {
    "right": (0, 1),
    "down": (1, 0),
    "left": (0, -1),
    "up": (-1, 0),
    "down right": (1, 1),
    "down left": (1, -1),
    "up left": (-1, -1),
    "up right": (-1, 1),
}
"""The movements (down, right) of one step."""


@record
class MovingDigits(Data):
    """Clips of `frames` frames, (T, size, size), in which a digit moves; the class is its direction and speed, not the digit.

    Each scan of `Digits` moves once, from a random place, by one of `speeds` pixels a frame in one of eight directions; what
    leaves the canvas enters on the other side. So a digit is everywhere equally often, and one frame says nothing of the class.
    The clips are always those of `seed`; those of the test set show other scans than the others. Flips would change the classes:
    train with `augmentation.flip` false. The idea is Moving MNIST (Srivastava et al. 2015, arXiv:1502.04681), where two digits
    bounce off the borders and the next frames are predicted.
    """

    frames: Positive = 8
    size: Positive = 16
    speeds: tuple[Positive, ...] = (1, 2)
    seed: Natural = 0

    def __post_init__(self) -> None:
        # Half a canvas to the left is half a canvas to the right.
        if not self.speeds or len(set(self.speeds)) < len(self.speeds) or 2 * max(self.speeds) >= self.size:
            raise RecordError(
                f"speeds are {self.speeds}: give at least one, each once and less than half the size, {self.size}",
                "speeds",
            )
        if self.size < 8 or self.frames < 2:
            raise RecordError(
                f"clips are {self.frames} frames of {self.size} pixels: give at least 2 frames of 8 pixels"
            )

    def load(self) -> Loaded:
        digits = Digits().load()
        generator = torch.Generator().manual_seed(self.seed)
        train, test = (self._clips(images, generator) for images in (digits.train, digits.test))
        names = tuple(f"{name} {speed}" for speed in self.speeds for name in DIRECTIONS)
        source = f"{len(test):,} clips of other scans, always the same"
        return Loaded(train, test, names, *channel_statistics(train.x), test_source=source)

    def _clips(self, images: object, generator: torch.Generator) -> Images:
        """Return a clip of each image, (N, T, size, size); each class is as frequent as any other, within one clip."""
        assert isinstance(images, Images)
        steps = torch.tensor([[speed * way for way in ways] for speed in self.speeds for ways in DIRECTIONS.values()])
        labels = torch.randperm(len(images), generator=generator) % len(steps)
        starts = torch.randint(self.size, (len(images), 1, 2), generator=generator)
        moved = starts + torch.arange(self.frames)[None, :, None] * steps[labels][:, None]
        return Images(_shifted(images.x[:, 0], moved, self.size), labels)


def _shifted(x: Tensor, moved: Tensor, size: int) -> Tensor:
    """Return images (N, 8, 8) on a canvas, moved by (N, T, 2) pixels (down, right) around it: (N, T, size, size)."""
    canvas = torch.zeros(len(x), size, size, dtype=x.dtype)
    canvas[:, : x.shape[1], : x.shape[2]] = x
    rows, columns = ((torch.arange(size) - moved[..., axis, None]) % size for axis in (0, 1))
    return canvas[torch.arange(len(x))[:, None, None, None], rows[..., None], columns[:, :, None]]
