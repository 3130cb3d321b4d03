"""By which mean and deviation images that are decoded as needed are normalised."""

from __future__ import annotations

import torch

from nas.data.base import channel_statistics
from nas.data.encoded import IMAGENET_MEAN, IMAGENET_STD, Encoded, PerChannel
from nas.data.feed import feed
from nas.records import RecordError

MEASURED, AT_ONCE = 256, 32
"""Of how many images mean and deviation are measured, and how many are decoded at once."""


def mean_and_std(images: Encoded, mean: PerChannel, std: PerChannel) -> tuple[PerChannel, PerChannel]:
    """Return the mean and the deviation to normalise by: those given, where they are of as many channels as the images.

    ImageNet's are of RGB: for other channels the statistics of 256 images are taken instead, evenly spread over the images.
    Raises RecordError where others are given, of another number of channels.
    """
    channels = images.pixels.channels
    if len(mean) == len(std) == channels:
        return mean, std
    if (mean, std) != (IMAGENET_MEAN, IMAGENET_STD):
        raise RecordError(
            f"mean has {len(mean)} values and std {len(std)}, for {channels} channels: give {channels} each"
        )
    spread = torch.linspace(0, len(images) - 1, min(MEASURED, len(images))).long()
    parts = spread.tensor_split(list(range(AT_ONCE, len(spread), AT_ONCE)))
    batches = [batch.x for batch in feed(images, parts, torch.device("cpu"), None, 0)]
    if not batches:
        raise RecordError(
            f"none of {len(spread)} images could be decoded, as {images.source.name(0)}: give channels as they have"
        )
    return channel_statistics(torch.cat(batches))
