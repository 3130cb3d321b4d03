"""Splits: the part of a data set that a search may see; the test set must be opened by a call."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from nas.data.base import Data, Images, Loaded
from nas.data.encoded import Encoded
from nas.data.identity import DataIdentity
from nas.data.shares import hold_out, missing_classes, take
from nas.places import without_places
from nas.records import RecordError, digest

NAMED = 5
"""The number of classes that a warning names."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The training and validation images of a data set; `mean` and `std` are those to normalise with.

    The test images are no attribute. A search that looks at them selects the architecture by them, and the reported
    accuracy is then that of the selection, not of the architecture: the second way to overfit, besides the weights.
    """

    name: str
    """A digest of the images that were found and of how they were split, independent of their location."""
    data: Data
    train: Images | Encoded
    validation: Images | Encoded
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    former_name: str = ""
    """The name in version 0.1: a digest of the data set's location and of how it was split."""
    rest: Tensor | None = None
    """The indices of all images that are not held out for validation, int64 (N,); by default those of `train`."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of one image."""
        return self.train.shape

    def without_labels(self) -> Images | Encoded:
        """Return all images that are not held out, also those that a limit leaves out of `train`; all labels are -1."""
        found = self.train if self.rest is None else _loaded(self.data).train.at(self.rest)
        return replace(found, y=torch.full_like(found.y, -1))

    def open_test(self) -> Images | Encoded:
        """Return the test images, for the final test of an architecture that is already chosen."""
        return _loaded(self.data).test

    @property
    def test_source(self) -> str:
        """Which images the test images are, in words, such as "20% of the 450 in the folder, drawn with seed 0"."""
        return _loaded(self.data).test_source


@lru_cache(maxsize=2, typed=True)  # typed: 1 image is not the fraction 1.0
def split(data: Data, validation: int | float, seed: int, train: int | None = None) -> Split:
    """Split the training images of `data` into training and validation images that keep the classes' proportions.

    `validation` is a fraction in [0, 1) or a number of images; `train` limits the number of training images. Each part
    has an image of each class that has at least two; a warning names the classes missing from a part that is too small.
    For one seed the validation images are the same for any `train`, and a smaller `train` gives a part of a larger one.
    The split depends on nothing else, so it is the same in every process. Raises RecordError where there are too few
    images.
    """
    whole = _loaded(data)
    if not len(whole.train):
        raise RecordError("there are no training images, all are test images: give `test` below 1")
    held_out = _number(validation, len(whole.train))
    left = len(whole.train) - held_out
    if not 1 <= (left if train is None else train) <= left:
        raise RecordError(
            f"train is {train}, and {left} of {len(whole.train)} images are left after validation: give 1 to {left}"
        )
    held, rest = hold_out(whole.train.y, held_out, seed)
    used = take(whole.train.y, rest, left if train is None else train)
    name = digest((without_places(data), whole.identity().digest, validation, seed, train))
    former_name = digest((data, validation, seed, train))
    parts = whole.train.at(used), whole.train.at(held)
    _warn_of_missing_classes(whole, parts[0], "training", "more of them")
    if held_out:
        _warn_of_missing_classes(whole, parts[1], "validation", "a larger `validation`")
    return Split(name, data, *parts, whole.classes, whole.mean, whole.std, former_name, rest)


def evaluation_split(data: Data) -> Split:
    """Return a split for testing on `data`: its test images, or all images, where the data set has no separate test images."""
    whole = _loaded(data.as_test())
    none = whole.train.at(slice(0))
    return Split(digest((data, "test")), data.as_test(), none, none, whole.classes, whole.mean, whole.std)


def _warn_of_missing_classes(whole: Loaded, part: Images | Encoded, name: str, repair: str) -> None:
    if missing := missing_classes(part.y, whole.train.y):
        named = ", ".join(repr(whole.classes[label]) for label in missing[:NAMED])
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        warnings.warn(f"the {len(part):,} {name} images lack the classes {named}{more}: give {repair}", stacklevel=3)


def identify(data: Data) -> DataIdentity:
    """Return the number of images in each part, and their digest. Raises RecordError as `load` does.

    The data set last loaded by `split` is reused. No image file is opened.
    """
    return _loaded(data).identity()


def count_classes(data: Data) -> dict[str, int]:
    """Return the number of images, training and test, of each class. Raises RecordError as `load` does."""
    whole = _loaded(data)
    counts = sum(part.y.cpu().bincount(minlength=len(whole.classes)) for part in (whole.train, whole.test))
    return dict(zip(whole.classes, torch.as_tensor(counts).tolist(), strict=True))


@lru_cache(maxsize=1)
def _loaded(data: Data) -> Loaded:
    return data.load()


def _number(validation: int | float, images: int) -> int:
    """Return the number of validation images."""
    if isinstance(validation, float) and 0 <= validation < 1:
        return round(validation * images)
    if isinstance(validation, int) and 0 <= validation < images:
        return validation
    raise RecordError(f"validation is {validation}: give a fraction below 1, or a number of images below {images}")
