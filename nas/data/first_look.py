"""A first check of images that are decoded when needed: whether they can be decoded, and their mean and standard deviation."""

from __future__ import annotations

import warnings
from functools import partial

import torch
from torch import Tensor

from nas.data.base import Loaded, channel_statistics
from nas.data.crops import central_cut
from nas.data.decode import decode, has_16_bits
from nas.data.encoded import IMAGENET_MEAN, IMAGENET_STD, Encoded, PerChannel
from nas.data.feed import load_batches
from nas.data.pixels import Undecodable
from nas.records import RecordError

LOOKED_AT = 8
"""The number of images, evenly spaced, that are decoded as a check."""

MEASURED, AT_ONCE = 256, 32
"""The number of images for measuring mean and standard deviation, and the number decoded at once."""

NEARLY_BLACK = 16
"""The brightest level of 12-bit samples that are read as 16-bit samples."""


def loaded_encoded(
    parts: tuple[Encoded, Encoded], classes: tuple[str, ...], mean: PerChannel, std: PerChannel, test_source: str
) -> Loaded:
    """Return the data set of training and test images, after decoding some of them as a check.

    ImageNet's mean and standard deviation are those of RGB: for other channels they are measured on 256 images. Raises
    RecordError where none of the checked images can be decoded, or where a given mean or deviation has another number of
    channels.
    """
    images = parts[0] if len(parts[0]) else parts[1]
    _look_at(images)
    return Loaded(*parts, classes, *_mean_and_std(images, mean, std), test_source=test_source)


def _look_at(images: Encoded) -> None:
    """Decode some images. Raises RecordError where all of them are broken."""
    reasons, brightest = list[str](), 0
    chosen = images.numbers[_spread(images, LOOKED_AT)].tolist()
    for number in chosen:
        try:
            cut = partial(central_cut, size=images.size, centre=images.centre)
            x = decode(images.source.read(number), cut, images.size, False, images.pixels)
            brightest = max(brightest, int(x.max()))
        except (OSError, Undecodable) as error:
            reasons.append(str(error))
    if len(reasons) == len(chosen):
        name = images.source.name(chosen[0])
        raise RecordError(
            f"none of the {len(chosen)} images checked can be decoded, as {name} ({reasons[0]}): give intact image files"
        )
    warn_if_black(brightest, images.source.read(chosen[0]), images.source.name(chosen[0]))


def warn_if_black(brightest: int, data: bytes, name: str) -> None:
    """Warn where 16-bit files, such as `data`, hold samples of fewer bits: their brightest level is near 0."""
    if 0 < brightest <= NEARLY_BLACK and has_16_bits(data):
        warnings.warn(
            f"16-bit images, as {name}, are nearly black, {brightest} of 255 at the brightest: set bits: 12 if their samples "
            "have 12",
            stacklevel=4,
        )


def _mean_and_std(images: Encoded, mean: PerChannel, std: PerChannel) -> tuple[PerChannel, PerChannel]:
    """Return mean and standard deviation per channel: as given, or measured where ImageNet's do not apply."""
    channels = images.pixels.channels
    if len(mean) == len(std) == channels:
        return mean, std
    if (mean, std) != (IMAGENET_MEAN, IMAGENET_STD):
        raise RecordError(
            f"mean has {len(mean)} values and std {len(std)}, for {channels} channels: give {channels} each"
        )
    spread = _spread(images, MEASURED)
    parts = spread.tensor_split(list(range(AT_ONCE, len(spread), AT_ONCE)))
    return channel_statistics(
        torch.cat([batch.x for batch in load_batches(images, parts, torch.device("cpu"), None, 0)])
    )


def _spread(images: Encoded, number: int) -> Tensor:
    """Return the indices of up to `number` evenly spaced images."""
    return torch.linspace(0, len(images) - 1, min(number, len(images))).long()
