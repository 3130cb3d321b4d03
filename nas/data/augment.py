"""Augmentation of whole batches on their device: crop, flip, colour jitter, RandAugment, cutout, random erasing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from nas.data.batch_random import BatchRandom
from nas.data.rand_augment import change_brightness, change_contrast, change_saturation, rand_augment, turn_hue
from nas.records import Fraction, Natural, NonNegative, Range, record

ERASED_AREA, ERASED_RATIO = (0.02, 0.33), (0.3, 3.3)
"""Bounds of the erased part of an image's area, and of its height by its width."""

TRIES = 10


@record
class Augmentation:
    """Says how training images are varied: cropped after `crop_pad` pixels of padding, mirrored, a square cut out.

    As in the published DARTS code the crop pads the raw image with black, and the cutout, after normalising, writes
    zeros, the mean colour. The square has side `cutout`, a centre uniform over the image, and is clipped at the border
    (DeVries and Taylor 2017, arXiv:1708.04552). Of an odd side the published code cuts one pixel less; we do not.

    `color_jitter` bounds changes of brightness, contrast, saturation and hue as torchvision's ColorJitter: factors from
    1 - bound to 1 + bound, and a part of the circle of hues from -bound to bound. Each image has factors of its own; the
    order of the four is drawn once a batch, and torchvision draws it for each image. `rand_augment` is the number of
    operations an image, see `nas.data.rand_augment`.

    `erasing` is the probability that a rectangle of 0.02 to 0.33 of the area is erased (Zhong et al. 2017,
    arXiv:1708.04896), drawn as by torchvision. As in torchvision's recipes zeros are written, after normalising; the
    paper, and timm's recipes, write noise, which takes longer to draw than crop and flip together.
    """

    crop_pad: Natural = 0
    flip: bool = False
    cutout: Natural = 0
    color_jitter: tuple[NonNegative, NonNegative, NonNegative, NonNegative] = (0.0, 0.0, 0.0, 0.0)
    rand_augment: Natural = 0
    rand_augment_magnitude: Annotated[float, Range(0, 10)] = 9.0
    erasing: Fraction = 0.0


def augment(x: Tensor, how: Augmentation, mean: Sequence[float], std: Sequence[float], draws: BatchRandom) -> Tensor:
    """Vary and normalise a batch of uint8 (B, C, H, W); returns float32 of the same shape.

    The draws must be on the batch's device. Nothing is read back from the device.
    """
    if how.crop_pad or how.flip:
        x = _crop_and_flip(x, how, draws)
    if any(how.color_jitter):
        x = _jitter_colors(x, how.color_jitter, draws)
    if how.rand_augment:
        x = rand_augment(x, how.rand_augment, how.rand_augment_magnitude, draws)
    images = normalise(x, mean, std)
    if how.cutout:
        images = _cut_out(images, how.cutout, draws)
    return _erase(images, how.erasing, draws) if how.erasing else images


def normalise(x: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Scale uint8 (B, C, H, W) to 0..1, subtract each channel's mean and divide by its standard deviation; float32."""
    shape = (1, len(mean), 1, 1)
    scale = torch.tensor([1 / (255 * each) for each in std], dtype=torch.float32).view(shape)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float32).view(shape)
    return torch.addcmul(_send(shift, x), x.float(), _send(scale, x))


def _send(small: Tensor, like: Tensor) -> Tensor:
    return small.to(like.device, non_blocking=True)


def _crop_and_flip(x: Tensor, how: Augmentation, draws: BatchRandom) -> Tensor:
    """Gather each image's rows and columns by index; an index outside the image gives black."""
    batch, _, height, width = x.shape
    rows, columns = (torch.arange(n, device=x.device).expand(batch, n) for n in (height, width))
    if how.flip:
        mirrored = draws.integers(2, 1).bool()
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if how.crop_pad:
        rows, columns = (each + draws.integers(2 * how.crop_pad + 1, 1) - how.crop_pad for each in (rows, columns))
    inside = _inside(rows, height)[:, :, None] & _inside(columns, width)[:, None, :]
    place = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    gathered = x.flatten(2).gather(2, place.flatten(1)[:, None].expand(-1, x.shape[1], -1))
    return gathered.view_as(x) * inside[:, None]


def _inside(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)


def _jitter_colors(x: Tensor, bounds: tuple[float, float, float, float], draws: BatchRandom) -> Tensor:
    """Change uint8 (B, C, H, W) by the four changes in a drawn order; returns uint8."""
    changes = (change_brightness, change_contrast, change_saturation, turn_hue)
    centres = (1.0, 1.0, 1.0, 0.0)
    levels = x.float()
    for number in draws.order(len(changes)):
        if bound := bounds[number]:
            centre = centres[number]
            low = max(0.0, centre - bound) if centre else -bound
            levels = changes[number](levels, draws.uniform(low, centre + bound, 1, 1, 1))
    return levels.round().byte()


def _cut_out(images: Tensor, side: int, draws: BatchRandom) -> Tensor:
    tops, lefts = (draws.integers(size, 1) - side // 2 for size in images.shape[2:])
    return _blank(images, (tops, tops + side), (lefts, lefts + side))


def _erase(images: Tensor, probability: float, draws: BatchRandom) -> Tensor:
    """Erase the first of ten drawn rectangles that is smaller than the image."""
    height, width = images.shape[2:]
    area = draws.uniform(*ERASED_AREA, TRIES) * (height * width)
    ratio = draws.uniform(math.log(ERASED_RATIO[0]), math.log(ERASED_RATIO[1]), TRIES).exp()
    heights, widths = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fit = (heights < height) & (widths < width)
    first = fit.int().argmax(1, keepdim=True)
    erased = fit.gather(1, first) & (draws.uniform(0, 1, 1) < probability)
    heights, widths = heights.gather(1, first) * erased, widths.gather(1, first)
    tops = (draws.uniform(0, 1, 1) * (height - heights + 1)).floor()
    lefts = (draws.uniform(0, 1, 1) * (width - widths + 1)).floor()
    return _blank(images, (tops, tops + heights), (lefts, lefts + widths))


def _blank(images: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]) -> Tensor:
    """Write zeros into a rectangle of each image, from its first row and column, (B, 1), up to those after the last."""
    (top, bottom), (left, right) = rows, columns
    down, across = (torch.arange(size, device=images.device) for size in images.shape[2:])
    inside = ((down >= top) & (down < bottom))[:, :, None] & ((across >= left) & (across < right))[:, None, :]
    return images.masked_fill(inside[:, None], 0.0)
