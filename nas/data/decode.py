"""Decoding: from the bytes of an image file to the pixels that the network sees.

JPEG is decoded by simplejpeg where it is installed, which brings its own libjpeg-turbo; all else, and whatever it does
not take, by Pillow, so that Pillow decides what is broken. The two have the same pixels where their versions of
libjpeg-turbo do; they may differ by a grey level or two. Scaling is torch's, bilinear with antialias, on bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nas.data.base import optional
from nas.data.crops import Cut

ORIENTATION = 0x0112
"""The EXIF tag that says how an image must be turned to be upright."""

LARGEST = 2**26
"""Larger images, in pixels, are left to Pillow, which refuses those that would fill the memory."""

FAULTS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    struct.error,
)
"""What Pillow raises for one broken file or another."""

Choose = Callable[[int, int], Cut]
"""Chooses what to cut out of an upright image of a width and a height."""


class Undecodable(ValueError):
    """Says why an image cannot be decoded."""


def decoder_name() -> str:
    """Return which libraries decode, with their versions, such as "simplejpeg 1.9.0 for JPEG, Pillow 12.0.0"."""
    fast = f"simplejpeg {version('simplejpeg')} for JPEG, " if has_simplejpeg() else ""
    return f"{fast}Pillow {optional('PIL', 'Pillow').__version__}"


def has_simplejpeg() -> bool:
    """Whether the fast decoder for JPEG is installed."""
    try:
        return bool(import_module("simplejpeg"))
    except ImportError:
        return False


def decode(data: bytes, choose: Choose, size: int, fast: bool) -> Tensor:
    """Return the part of an image that is chosen, as uint8 (3, size, size); `fast` uses simplejpeg for JPEG.

    The image is turned upright first, and is RGB whatever the file holds. Raises Undecodable where it is broken.
    """
    pixels, cut = (_by_simplejpeg(data, choose) if fast else None) or _by_pillow(data, choose)
    image = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)  # channels last, which is scaled twice as fast
    width, height = cut.scaled
    scaled = functional.interpolate(image, (height, width), mode="bilinear", antialias=True)[0]
    top, left = round((height - size) / 2), round((width - size) / 2)
    return scaled[:, top : top + size, left : left + size]


def _by_simplejpeg(data: bytes, choose: Choose) -> tuple[Any, Cut] | None:
    """Return the pixels of the box, uint8 (h, w, 3), and the cut; None for what is not a plain, upright, sound JPEG."""
    if not data.startswith(b"\xff\xd8") or _may_be_turned(data):
        return None
    simplejpeg = import_module("simplejpeg")
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "Gray", "RGB") or width * height > LARGEST:
            return None
        cut = choose(width, height)
        least = {"min_height": height // cut.shrink, "min_width": width // cut.shrink} if cut.shrink > 1 else {}
        pixels = simplejpeg.decode_jpeg(data, "RGB", **least)
    except ValueError:
        return None
    left, top, right, bottom = cut.within(width / pixels.shape[1], pixels.shape[1], pixels.shape[0])
    return pixels[top:bottom, left:right], cut


def _may_be_turned(data: bytes) -> bool:
    """Whether a JPEG's header names an orientation; most have none, and this is quicker than to ask Pillow."""
    header = data[: data.find(b"\xff\xda")]
    if b"Exif\0\0" not in header and b"tiff:Orientation" not in header:
        return False
    pillow = optional("PIL.Image", "Pillow")
    try:
        with pillow.open(BytesIO(data)) as image:
            return _orientation(image) != 1
    except (*FAULTS, pillow.DecompressionBombError):
        return True


def _by_pillow(data: bytes, choose: Choose) -> tuple[Any, Cut]:
    pillow, operations = optional("PIL.Image", "Pillow"), optional("PIL.ImageOps", "Pillow")
    try:
        with pillow.open(BytesIO(data)) as image:
            turned = _orientation(image)
            width, height = image.size if turned < 5 else image.size[::-1]
            cut = choose(width, height)
            if cut.shrink > 1:  # only JPEG can, and does
                image.draft("RGB", (image.width // cut.shrink, image.height // cut.shrink))
            upright = operations.exif_transpose(image) if turned != 1 else image
            box = cut.within(width / upright.width, upright.width, upright.height)
            part = upright.crop(box)
            return np.array(part if part.mode == "RGB" else part.convert("RGB")), cut
    except (*FAULTS, pillow.DecompressionBombError) as error:
        reason = str(error).partition(" <")[0]  # without the address of the bytes
        raise Undecodable(f"{type(error).__name__}: {reason}") from error


def _orientation(image: Any) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none, or the EXIF data are broken."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except FAULTS:
        return 1
    return found if found in range(1, 9) else 1
