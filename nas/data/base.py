"""The interface of a data set: a record that loads images and labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.data.encoded import Encoded
from nas.data.identity import DataIdentity, digest_of


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Images `x`, uint8 (N, C, H, W), and their labels `y`, int64 (N,)."""

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        if self.x.dtype != torch.uint8 or self.x.dim() != 4:
            raise TypeError(f"images are {self.x.dtype} {tuple(self.x.shape)}: give uint8 (N, C, H, W)")
        if self.y.dtype != torch.int64 or self.y.shape != self.x.shape[:1]:
            raise TypeError(f"labels are {self.y.dtype} {tuple(self.y.shape)}: give int64 ({len(self.x)},)")

    def __len__(self) -> int:
        return len(self.y)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of one image."""
        channels, height, width = self.x.shape[1:]
        return channels, height, width

    def __repr__(self) -> str:
        return f"Images({tuple(self.x.shape)})"

    def at(self, indices: Tensor | slice) -> Images:
        """Return the images at `indices`, int64 (M,) or a slice, in their order."""
        return Images(self.x[indices], self.y[indices])

    def to(self, device: torch.device) -> Images:
        """Return the same images on `device`."""
        return Images(self.x.to(device), self.y.to(device))

    def order(self, generator: torch.Generator) -> Tensor:
        """Return a random order of the images, int64 (N,), on the generator's device."""
        return torch.randperm(len(self), generator=generator, device=generator.device)

    def digest(self) -> str:
        """Return a digest of the shape, the pixels and the labels; the 50,000 images of CIFAR take a tenth of a second."""
        x, y = (each.cpu().contiguous().numpy() for each in (self.x, self.y))
        return digest_of([str(x.shape).encode(), x, y])


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A whole data set, in memory or encoded; `mean` and `std` are per channel, of values scaled to 0..1.

    `digest` identifies the images where their pixels depend on the libraries that decoded or scaled them; by default it
    is computed from the contents of both parts. `test_source` describes in words which images the test images are.
    """

    train: Images | Encoded
    test: Images | Encoded
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digest: str = ""
    test_source: str = ""

    def identity(self) -> DataIdentity:
        """Return the number of images in each part, and the digest of all."""
        images = {"train": len(self.train), "test": len(self.test)}
        known = self.digest or digest_of(part.digest().encode() for part in (self.train, self.test))
        return DataIdentity(images, known)


class Data(ABC):
    """A data set and how to read it. A subclass is a record in its own file in nas/data/."""

    __slots__ = ()

    @abstractmethod
    def load(self) -> Loaded:
        """Read the data set: the same images in the same order each time.

        Raises RecordError where files are missing or broken.
        """

    def as_test(self) -> Data:
        """Return the data set for testing: without separate test images, all images are test images, if supported."""
        return self


def channel_statistics(x: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the exact mean and standard deviation of each channel of uint8 (N, C, H, W), scaled to 0..1.

    A constant channel has deviation 0; it is given one grey level, 1/255, so that dividing by it works.
    """
    # from the histograms of the 256 levels, so no float copy of the images is needed
    counts = torch.stack([channel.flatten().bincount(minlength=256) for channel in x.unbind(1)]).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    total = counts.sum(1)
    mean = counts @ values / total
    variance = (counts * (values - mean[:, None]) ** 2).sum(1) / total
    return tuple(mean.tolist()), tuple(variance.sqrt().clamp(min=1 / 255).tolist())


def stratified_order(y: Tensor, seed: int) -> Tensor:
    """Return a random order of images with labels `y`, (N,), in which every contiguous part has the classes' proportions.

    Each class is shuffled and spread evenly over the whole, so the number of its images in any part is exact within two
    images.
    """
    shuffled = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    by_class = y[shuffled].argsort(stable=True)
    labels, counts = y[shuffled][by_class], y.bincount()
    # the number of each image within its class: its place in the sorted order less the place where its class begins
    within = torch.arange(len(y)) - (counts.cumsum(0) - counts)[labels]
    place = torch.empty(len(y), dtype=torch.float64)
    # the j-th of a class's n images goes to position (j + 1/2) / n of the order
    place[by_class] = (within.double() + 0.5) / counts[labels]
    return shuffled[place.argsort(stable=True)]
