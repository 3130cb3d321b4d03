"""Splits: what a search may see of a data set, with the test set behind a call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from nas.data.base import Data, Images, Loaded, stratified_order
from nas.data.encoded import Encoded
from nas.data.identity import DataIdentity
from nas.records import RecordError, digest


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Holds the training and the validation images of a data set; `mean` and `std` are those to normalise with.

    The test images are no attribute. A search that looks at them chooses the architecture by them, and the reported
    accuracy is then that of the choice, not of the architecture: the second way to overfit, beside the weights.
    """

    name: str
    """A digest of the data set and of how it was split."""
    data: Data
    train: Images | Encoded
    validation: Images | Encoded
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return one image's (C, H, W)."""
        return self.train.shape

    def open_test(self) -> Images | Encoded:
        """Return the test images, for the last measurement of an architecture that is already chosen."""
        return _loaded(self.data).test


@lru_cache(maxsize=2, typed=True)  # typed: 1 image is not the fraction 1.0
def split(data: Data, validation: int | float, seed: int, train: int | None = None) -> Split:
    """Split the training images of `data` into training and validation images that keep the classes' proportions.

    `validation` is a fraction in [0, 1) or a number of images; `train` limits the training images to so many. For one
    seed the validation images are the same whatever `train` is, and fewer training images are a part of more. Nothing
    else decides, so every process gets the same split. Raises RecordError where the images do not suffice.
    """
    whole = _loaded(data)
    held_out = _number(validation, len(whole.train))
    left = len(whole.train) - held_out
    if not 1 <= (left if train is None else train) <= left:
        raise RecordError(f"train is {train}, and {held_out} of {len(whole.train)} images validate: give 1 to {left}")
    order = stratified_order(whole.train.y, seed)
    used = order[held_out : held_out + (left if train is None else train)]
    name = digest((data, validation, seed, train))
    parts = whole.train.at(used), whole.train.at(order[:held_out])
    return Split(name, data, *parts, whole.classes, whole.mean, whole.std)


def identify(data: Data) -> DataIdentity:
    """Return which images were found: their numbers in each part, and a digest. Raises RecordError as `load` does.

    The data set is that of the last `split` of it, and so is not read again. No image file is opened for it.
    """
    return _loaded(data).identity()


@lru_cache(maxsize=1)
def _loaded(data: Data) -> Loaded:
    return data.load()


def _number(validation: int | float, images: int) -> int:
    if isinstance(validation, float) and 0 <= validation < 1:
        return round(validation * images)
    if isinstance(validation, int) and 0 <= validation < images:
        return validation
    raise RecordError(f"validation is {validation}: give a fraction below 1, or a number of images below {images}")
