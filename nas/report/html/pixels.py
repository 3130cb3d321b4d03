"""Pixels: tensors as pictures inside a page, each a data URI."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from nas.data.libraries import optional
from nas.inspection.findings import Picture
from nas.report.html.colours import SCALE

LARGEST = 160
"""The longest side of an embedded picture in pixels: photographs of more are scaled down, so that a page stays small."""

LOSSLESS = 48
"""The longest side up to which a picture is embedded as PNG: smaller than WebP there, and every pixel counts."""

SIGNED = ("#0b5fa5", "#6db3e8", "#f4f4f4", "#f0a060", "#b23a00")
"""From the lowest to the highest value, with the middle for 0."""


def data_uri(picture: Picture) -> str:
    """Return a picture as the data URI of a PNG or, where it is large, of a WebP."""
    image: Any = optional("PIL.Image", "Pillow")
    array = (coloured(picture).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    made = image.fromarray(array)
    made.thumbnail((LARGEST, LARGEST))
    small, file = max(made.size) <= LOSSLESS, BytesIO()
    made.save(file, "PNG", optimize=True) if small else made.save(file, "WEBP", quality=85)
    return f"data:image/{'png' if small else 'webp'};base64,{b64encode(file.getvalue()).decode()}"


def coloured(picture: Picture) -> Tensor:
    """Return the colours (3, H, W) of a picture, from 0 to 1."""
    if picture.look == "image":
        values = picture.values.float()
        return values.expand(3, *values.shape[-2:])
    scaled = scale(picture)
    colours = colour_map(scaled, SIGNED if picture.look == "signed" else SCALE)
    if picture.over is None:
        return colours
    # the image in grey; the stronger the value, the less of it
    grey = picture.over.float().mean(0, keepdim=True)
    strength = 0.75 * (2 * scaled - 1).abs() if picture.look == "signed" else 0.25 + 0.5 * scaled
    return grey * (1 - strength) + colours * strength


def scale(picture: Picture) -> Tensor:
    """Return values (H, W) scaled to 0..1: from the least to the largest, or with 0 in the middle where they are signed."""
    values = picture.values.float()
    if picture.look == "signed":
        return 0.5 + 0.5 * values / values.abs().max().clamp(min=1e-12)
    low, high = values.min(), values.max()
    return (values - low) / (high - low).clamp(min=1e-12)


def colour_map(values: Tensor, colours: tuple[str, ...]) -> Tensor:
    """Return the colours (3, H, W) of values (H, W) from 0 to 1, interpolated between equally spaced ones."""
    anchors = torch.tensor([[int(each[i : i + 2], 16) / 255 for i in (1, 3, 5)] for each in colours])
    place = values.clamp(0, 1) * (len(colours) - 1)
    found = torch.zeros(3, *values.shape)
    for i, (low, high) in enumerate(pairwise(anchors)):
        share = (place - i).clamp(0, 1)
        is_here = (place >= i) if i else torch.ones_like(place, dtype=torch.bool)
        found = torch.where(is_here, low[:, None, None] * (1 - share) + high[:, None, None] * share, found)
    return found
