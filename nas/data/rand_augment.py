"""Colour and geometric changes of each image of a batch, and RandAugment, which draws among them.

Every change takes float32 (B, C, H, W) with grey levels from 0 to 255 and a number for each image, (B, 1, 1, 1), and
returns levels from 0 to 255. For images without three channels, grey is the mean of the channels and hue does not exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from nas.data.batch_random import BatchRandom

Change = Callable[[Tensor, Tensor], Tensor]


def rand_augment(x: Tensor, operations: int, magnitude: float, draws: BatchRandom) -> Tensor:
    """Apply `operations` drawn changes to each image of uint8 (B, C, H, W) (Cubuk et al. 2019, arXiv:1909.13719).

    The 14 operations and their ranges are torchvision's. `magnitude` is the part of each range, from 0 to 10 as in the
    paper and in timm: torchvision's 9 of its 30 is 3 here. Signs are random. Geometric changes are bilinear, with black
    outside.
    """
    x = x.clone()
    for _ in range(operations):
        drawn = draws.on_host().integers(1 + len(CHANGES))  # the extra one is the identity
        amounts = (2 * draws.integers(2, 1, 1, 1) - 1) * (magnitude / 10)
        for number, change in enumerate(CHANGES):
            # the drawn operations are on the CPU, so that indexing does not wait for the device
            here = (drawn == number).nonzero()[:, 0].to(x.device, non_blocking=True)
            if len(here):
                x[here] = change(x[here].float(), amounts[here]).round().byte()
    return x


def change_brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with black: 0 is black, 1 is the image, more is brighter."""
    return (x * factor).clamp_(0, 255)


def change_contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean grey: 0 is that grey, 1 is the image."""
    return _blend(_grey(x.mean((2, 3), keepdim=True)), x, factor)


def change_saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with each pixel's grey: 0 is a grey image, 1 is the image."""
    return _blend(_grey(x), x, factor)


def change_sharpness(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with a smoothed image: 0 is smooth, 1 is the image. Border pixels are unchanged, as in Pillow."""
    # Pillow's SMOOTH: all weights of the 3x3 window are 1, that of its centre 5, and their sum 13.
    smooth, inner = x.clone(), x[..., 1:-1, 1:-1]
    smooth[..., 1:-1, 1:-1] = (9 * functional.avg_pool2d(x, 3, 1) + 4 * inner) / 13
    return _blend(smooth, x, factor)


def turn_hue(x: Tensor, turns: Tensor) -> Tensor:
    """Rotate the hue by a part of the hue circle; HSV's value and saturation are unchanged."""
    if x.shape[1] != 3:
        return x
    value = x.amax(1, keepdim=True)
    chroma = value - x.amin(1, keepdim=True)
    hue = _hue_in_sixths(x, value, chroma) + 6 * turns
    # HSV to RGB: value - chroma * max(0, min(k, 4 - k, 1)), k = (n + hue) mod 6, with n = 5, 3, 1 for red, green, blue.
    sixths = (hue + 5 - 2 * torch.arange(3, device=x.device).view(1, 3, 1, 1)).remainder_(6)
    return value - chroma * torch.minimum(sixths, 4 - sixths).clamp_(0, 1)


def _hue_in_sixths(x: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """Return the hue in sixths of the circle, (B, 1, H, W), from HSV's value and chroma."""
    red, green, blue = x.chunk(3, 1)
    some = chroma.clamp(min=1e-3)  # avoids 0 / 0 where all three are equal
    of_green, of_blue = 2 + (blue - red) / some, 4 + (red - green) / some
    return torch.where(red == value, (green - blue) / some, torch.where(green == value, of_green, of_blue))


def _grey(x: Tensor) -> Tensor:
    """Return the luma of ITU-R BT.601, (B, 1, H, W)."""
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    return 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]


def _blend(low: Tensor, high: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(low, high, factor).clamp_(0, 255)


def _shear_x(x: Tensor, amount: Tensor) -> Tensor:
    rows, columns = _places(x)
    return _sample(x, rows, columns + 0.3 * amount * rows)


def _shear_y(x: Tensor, amount: Tensor) -> Tensor:
    rows, columns = _places(x)
    return _sample(x, rows + 0.3 * amount * columns, columns)


# torchvision's largest translation is 150 / 331 of the side; it moves by whole pixels.
def _translate_x(x: Tensor, amount: Tensor) -> Tensor:
    rows, columns = _places(x)
    return _sample(x, rows, columns + (amount * (150 / 331 * x.shape[3])).trunc())


def _translate_y(x: Tensor, amount: Tensor) -> Tensor:
    rows, columns = _places(x)
    return _sample(x, rows + (amount * (150 / 331 * x.shape[2])).trunc(), columns)


def _rotate(x: Tensor, amount: Tensor) -> Tensor:
    rows, columns = _places(x)
    down, right = rows - x.shape[2] / 2, columns - x.shape[3] / 2
    sine, cosine = (math.radians(30) * amount).sin(), (math.radians(30) * amount).cos()
    # Where each pixel comes from: its offset from the centre, rotated. rows - down is the centre.
    return _sample(x, rows + (cosine - 1) * down + sine * right, columns + (cosine - 1) * right - sine * down)


def _places(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows, (1, 1, H, 1), and columns, (1, 1, 1, W), of the pixels' centres, in pixels from the corner."""
    rows, columns = (torch.arange(size, device=x.device) + 0.5 for size in x.shape[2:])
    return rows.view(1, 1, -1, 1), columns.view(1, 1, 1, -1)


def _sample(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Sample the image at other places, bilinearly between its pixels and black outside."""
    count, _, height, width = x.shape
    right, down = (2 * places / size - 1 for places, size in ((columns, width), (rows, height)))
    # grid_sample takes (x, y) from -1 to 1, (B, H, W, 2)
    grid = torch.stack([each[:, 0].expand(count, height, width) for each in (right, down)], -1)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _brightness(x: Tensor, amount: Tensor) -> Tensor:
    return change_brightness(x, 1 + 0.9 * amount)


def _color(x: Tensor, amount: Tensor) -> Tensor:
    return change_saturation(x, 1 + 0.9 * amount)


def _contrast(x: Tensor, amount: Tensor) -> Tensor:
    return change_contrast(x, 1 + 0.9 * amount)


def _sharpness(x: Tensor, amount: Tensor) -> Tensor:
    return change_sharpness(x, 1 + 0.9 * amount)


def _posterize(x: Tensor, amount: Tensor) -> Tensor:
    """Keep 8 to 4 bits."""
    step = torch.exp2((4 * amount.abs()).round())
    return (x / step).floor() * step


def _solarize(x: Tensor, amount: Tensor) -> Tensor:
    """Invert levels from a threshold on. At magnitude 0 it is 256; torchvision's 255 would invert white."""
    return torch.where(x < 256 * (1 - amount.abs()), x, 255 - x)


def _autocontrast(x: Tensor, _: Tensor) -> Tensor:
    """Stretch each channel to the whole range; a channel with one level is unchanged."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return torch.where(high > low, (x - low) * 255 / (high - low).clamp(min=1), x)


def _equalize(x: Tensor, _: Tensor) -> Tensor:
    """Equalise each channel's histogram, in Pillow's integer arithmetic."""
    levels = x.flatten(2).long()
    counts = levels.new_zeros(*x.shape[:2], 256).scatter_add_(2, levels, torch.ones_like(levels))
    # Pillow leaves the brightest level out of the step; a step of 0 leaves the channel unchanged.
    brightest = counts.gather(2, levels.amax(2, keepdim=True))
    step = (levels.shape[2] - brightest) // 255
    table = ((counts.cumsum(2) - counts + step // 2) // step.clamp(min=1)).clamp(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=x.device))
    return table.gather(2, levels).view_as(x).float()


CHANGES: tuple[Change, ...] = (
    _shear_x,
    _shear_y,
    _translate_x,
    _translate_y,
    _rotate,
    _brightness,
    _color,
    _contrast,
    _sharpness,
    _posterize,
    _solarize,
    _autocontrast,
    _equalize,
)
"""RandAugment's operations except the identity, each a function of a signed part of its range, from -1 to 1."""
