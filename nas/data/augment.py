"""Augmentation of whole batches on their device: crop, flip, colour changes, RandAugment, cutout, random erasing.

Shapes: B batch, C channels, H height, W width. Random numbers are drawn per image, (B, ...).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from nas.data.batch_random import BatchRandom
from nas.data.color_noise import add_color_noise
from nas.data.rand_augment import change_brightness, change_contrast, change_saturation, rand_augment, turn_hue
from nas.records import Fraction, Natural, NonNegative, Range, record

ERASED_AREA, ERASED_RATIO = (0.02, 0.33), (0.3, 3.3)
"""Bounds of the erased area as a share of the image's, and of the erased rectangle's height divided by its width."""

TRIES = 10
"""The number of rectangles drawn per image, of which the first that fits is erased."""


@record
class Augmentation:
    """The augmentation of training images: random crop and flip, cutout, colour jitter, RandAugment, random erasing.

    The crop is taken after `crop_pad` pixels of padding. As in the published DARTS code, the crop pads the raw image with
    black, and cutout writes zeros, the mean colour, after normalising. The square has side `cutout` and a centre uniform
    over the image, and is clipped at the border (DeVries and Taylor 2017, arXiv:1708.04552). For an odd side the
    published code cuts one pixel less; we do not.

    `color_jitter` bounds changes of brightness, contrast, saturation and hue as torchvision's ColorJitter does: factors
    from 1 - bound to 1 + bound, and a hue shift from -bound to bound of the hue circle. Each image has its own factors;
    the order of the four changes is drawn once a batch, where torchvision draws it for each image. `rand_augment` is the
    number of operations per image, see `nas.data.rand_augment`.

    `erasing` is the probability that a rectangle of 0.02 to 0.33 of the area is erased (Zhong et al. 2017,
    arXiv:1708.04896), drawn as in torchvision. As in torchvision's recipes zeros are written, after normalising; the
    paper and timm's recipes write noise, which takes longer to draw than crop and flip together.

    `color_noise` is the deviation of a shift along the principal axes of the training pixels' colours, in deviations of the
    pixels along them; Krizhevsky et al. 2012, section 4.1, has 0.1. See `nas.data.color_noise`.

    Images decoded at their own size, as ImageNet's, are cropped while they are decoded instead: `crop_scale` bounds the
    area of the crop as a share of the image, and `crop_pad` is not used.
    """

    crop_pad: Natural = 0
    flip: bool = False
    cutout: Natural = 0
    color_jitter: tuple[NonNegative, NonNegative, NonNegative, NonNegative] = (0.0, 0.0, 0.0, 0.0)
    rand_augment: Natural = 0
    rand_augment_magnitude: Annotated[float, Range(0, 10)] = 9.0
    erasing: Fraction = 0.0
    crop_scale: tuple[Fraction, Fraction] = (0.08, 1.0)
    color_noise: NonNegative = 0.0


def augment(
    x: Tensor,
    how: Augmentation,
    mean: Sequence[float],
    std: Sequence[float],
    draws: BatchRandom,
    axes: Tensor | None = None,
) -> Tensor:
    """Augment and normalise a batch of uint8 (B, C, H, W); returns float32 of the same shape.

    `draws` must be on the batch's device. `axes` are the `color_axes` of the training images, (C, C), for `color_noise`.
    Nothing is read back from the device.
    """
    if how.crop_pad or how.flip:
        x = _crop_and_flip(x, how, draws)
    if any(how.color_jitter):
        x = _jitter_colors(x, how.color_jitter, draws)
    if how.rand_augment:
        x = rand_augment(x, how.rand_augment, how.rand_augment_magnitude, draws)
    images = normalise(x, mean, std)
    if how.color_noise:
        assert axes is not None, "color_noise needs the color_axes of the training images"
        images = add_color_noise(images, axes, std, how.color_noise, draws)
    if how.cutout:
        images = _cut_out(images, how.cutout, draws)
    return _erase(images, how.erasing, draws) if how.erasing else images


def normalise(x: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Scale uint8 (B, C, H, W) to 0..1, subtract each channel's mean and divide by its standard deviation; returns float32."""
    shape = (1, len(mean), 1, 1)
    # (x / 255 - mean) / std as one fused multiply and add: x * scale + shift
    scale = torch.tensor([1 / (255 * each) for each in std], dtype=torch.float32).view(shape)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float32).view(shape)
    return torch.addcmul(_send(shift, x), x.float(), _send(scale, x))


def _send(small: Tensor, like: Tensor) -> Tensor:
    return small.to(like.device, non_blocking=True)


def _crop_and_flip(x: Tensor, how: Augmentation, draws: BatchRandom) -> Tensor:
    """Crop and flip by gathering each image's rows and columns; an index outside the image gives black."""
    batch, _, height, width = x.shape
    rows, columns = (torch.arange(n, device=x.device).expand(batch, n) for n in (height, width))
    if how.flip:
        mirrored = draws.integers(2, 1).bool()
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if how.crop_pad:
        rows, columns = (each + draws.integers(2 * how.crop_pad + 1, 1) - how.crop_pad for each in (rows, columns))
    inside = _inside(rows, height)[:, :, None] & _inside(columns, width)[:, None, :]
    # flat pixel indices, (B, H, W); crop and flip then cost one gather
    place = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    gathered = x.flatten(2).gather(2, place.flatten(1)[:, None].expand(-1, x.shape[1], -1))
    return gathered.view_as(x) * inside[:, None]


def _inside(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)


def _jitter_colors(x: Tensor, bounds: tuple[float, float, float, float], draws: BatchRandom) -> Tensor:
    """Apply the four colour changes to uint8 (B, C, H, W) in a random order; returns uint8."""
    changes = (change_brightness, change_contrast, change_saturation, turn_hue)
    centres = (1.0, 1.0, 1.0, 0.0)
    levels = x.float()
    for number in draws.order(len(changes)):
        if bound := bounds[number]:
            centre = centres[number]
            low = max(0.0, centre - bound) if centre else -bound  # factors are around 1, the hue's shift around 0
            levels = changes[number](levels, draws.uniform(low, centre + bound, 1, 1, 1))
    return levels.round().byte()


def _cut_out(images: Tensor, side: int, draws: BatchRandom) -> Tensor:
    """Zero a square of each image, clipped at the border."""
    tops, lefts = (draws.integers(size, 1) - side // 2 for size in images.shape[2:])
    return _blank(images, (tops, tops + side), (lefts, lefts + side))


def _erase(images: Tensor, probability: float, draws: BatchRandom) -> Tensor:
    """Erase, with the given probability, the first of ten drawn rectangles that is smaller than the image."""
    height, width = images.shape[2:]
    # torchvision draws until a rectangle fits; ten draws at once need no answer from the device
    area = draws.uniform(*ERASED_AREA, TRIES) * (height * width)
    ratio = draws.uniform(math.log(ERASED_RATIO[0]), math.log(ERASED_RATIO[1]), TRIES).exp()
    heights, widths = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fit = (heights < height) & (widths < width)
    # index of the first rectangle that fits, (B, 1); `gather` below checks that one fits at all
    first = fit.int().argmax(1, keepdim=True)
    erased = fit.gather(1, first) & (draws.uniform(0, 1, 1) < probability)
    heights, widths = heights.gather(1, first) * erased, widths.gather(1, first)
    tops = (draws.uniform(0, 1, 1) * (height - heights + 1)).floor()
    lefts = (draws.uniform(0, 1, 1) * (width - widths + 1)).floor()
    return _blank(images, (tops, tops + heights), (lefts, lefts + widths))


def _blank(images: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]) -> Tensor:
    """Zero a rectangle of each image; `rows` and `columns` are its (first, last + 1), each (B, 1)."""
    (top, bottom), (left, right) = rows, columns
    down, across = (torch.arange(size, device=images.device) for size in images.shape[2:])
    inside = ((down >= top) & (down < bottom))[:, :, None] & ((across >= left) & (across < right))[:, None, :]
    return images.masked_fill(inside[:, None], 0.0)
