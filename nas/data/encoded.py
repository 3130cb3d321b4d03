"""Encoded images: kept as in their files and read by number when needed; the counterpart of images held in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from nas.data.identity import digest_of
from nas.data.pixels import RGB, Pixels
from nas.preprocessing import Interpolation
from nas.records import NonNegative, RecordError

CENTRE = 0.875
"""The side of the central crop as a share of the image's shorter side: 224 of 256, as in most published results."""

TOLERATED = 0.01
"""The share of images that may be broken."""

FEW = 3
"""The number of images that may always be broken, also where the tolerated share is less, unless that is 0."""

PerChannel = tuple[NonNegative, ...]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def tolerated_images(images: int, tolerated: float) -> float:
    """Return how many of the images may be broken: the tolerated share, and at least three; none for a share of 0."""
    return max(tolerated * images, FEW if tolerated else 0)


class Source(ABC):
    """A reader of encoded images by number. It is sent to worker processes: keep it small, and able to be pickled."""

    __slots__ = ()

    @abstractmethod
    def read(self, number: int) -> bytes:
        """Return the bytes of an image's file; an OSError marks the image as broken."""

    @abstractmethod
    def name(self, number: int) -> str:
        """Return the name of an image in messages: where to find it."""

    def order(self, numbers: Tensor, generator: torch.Generator) -> Tensor:
        """Return a random order, int64 (M,), in which to read the images `numbers`, (M,); here any order is equally fast."""
        return torch.randperm(len(numbers), generator=generator)

    def digest(self, numbers: Tensor) -> str:
        """Return a digest of the images `numbers`, (M,), independent of their location; by default of their names."""
        return digest_of(f"{self.name(number)}\n".encode(errors="surrogateescape") for number in numbers.tolist())


@final
@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The places of images, as `numbers` of a source, int64 (N,), and their labels `y`, int64 (N,).

    `load_batches` decodes them to (channels, size, size), as set by `pixels`. `centre` is the side of the central crop as
    a share of the shorter side; `tolerated` is the share of images that may be broken without an error; `interpolation`
    is how they are scaled.
    """

    source: Source
    numbers: Tensor
    y: Tensor
    size: int
    centre: float = CENTRE
    tolerated: float = TOLERATED
    pixels: Pixels = RGB
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        for name, each in (("numbers", self.numbers), ("labels", self.y)):
            if each.dtype != torch.int64 or each.shape != (len(self.y),):
                raise TypeError(f"{name} are {each.dtype} {tuple(each.shape)}: give int64 ({len(self.y)},)")

    def __len__(self) -> int:
        return len(self.y)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of one decoded image."""
        return self.pixels.channels, self.size, self.size

    def __repr__(self) -> str:
        return f"Encoded({len(self)} of {self.shape})"

    def at(self, indices: Tensor | slice) -> Encoded:
        """Return the images at `indices`, int64 (M,) or a slice, in their order."""
        return replace(self, numbers=self.numbers[indices], y=self.y[indices])

    def order(self, generator: torch.Generator) -> Tensor:
        """Return a random order of the images, int64 (N,), in which their source is fast to read."""
        return self.source.order(self.numbers, generator)

    def digest(self) -> str:
        """Return a digest of the images and their labels; no image is read."""
        return digest_of([self.source.digest(self.numbers).encode(), self.y.contiguous().numpy()])


def class_names(train: Tensor, test: Tensor, names: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Return the names of the classes of labels (N,); without `names`, the labels up to the largest.

    Raises RecordError where a part has no images, the training images have one class, or a label has no name.
    """
    for part, y in (("training", train), ("test", test)):
        if not len(y):
            raise RecordError(f"{where} has no {part} images: give a data set that has some")
    names = names or tuple(map(str, range(int(train.max()) + 1)))
    if (train == train[0]).all():
        raise RecordError(f"{where} has training images of one class, {int(train[0])}: give at least two classes")
    lowest, highest = (int(each) for each in torch.cat([train, test]).aminmax())
    if lowest < 0 or highest >= len(names):
        raise RecordError(
            f"{where} has the labels {lowest} to {highest}, and the classes are 0 to {len(names) - 1}: give labelled images, "
            "with the same classes for training and test"
        )
    return names
