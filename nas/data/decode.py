"""Decoding: from the bytes of an image file to the pixels that the network sees.

JPEG is decoded by simplejpeg, if installed, which has its own libjpeg-turbo. All other files, and those that it refuses,
are decoded by Pillow, so that Pillow decides which are broken. Both give the same pixels if their versions of
libjpeg-turbo do; otherwise they may differ by a grey level or two. Scaling is torch's, bilinear or bicubic with
antialiasing, on bytes.
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
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nas.data.crops import Cut
from nas.data.libraries import optional
from nas.data.pixels import NUMPY, RGB, Depth, Pixels, Undecodable, depth_of
from nas.preprocessing import Interpolation

ORIENTATION = 0x0112
"""The EXIF tag with the orientation of an image."""

LARGEST = 2**26
"""The largest image, in pixels, for simplejpeg. Larger ones go to Pillow, which refuses those that would fill the memory."""

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
"""The errors that Pillow raises for broken files."""

GREY = Pixels(1)

TIFF = b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"
"""The first bytes of a TIFF file."""

Choose = Callable[[int, int], Cut]
"""A function that chooses the crop of an upright image of a width and a height."""


def decoder_name() -> str:
    """Return the decoding libraries with their versions, such as "simplejpeg 1.9.0 for JPEG, Pillow 12.0.0"."""
    fast = f"simplejpeg {version('simplejpeg')} for JPEG, " if has_simplejpeg() else ""
    return f"{fast}Pillow {optional('PIL', 'Pillow').__version__}"


def has_simplejpeg() -> bool:
    """Return whether the fast decoder for JPEG is installed."""
    try:
        return bool(import_module("simplejpeg"))
    except ImportError:
        return False


def decode(
    data: bytes,
    choose: Choose,
    size: int,
    fast: bool,
    form: Pixels = RGB,
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Return the crop of an image that `choose` returns, as uint8 (channels, size, size); `fast` uses simplejpeg for JPEG.

    The image is turned upright first and converted to the form's channels. Raises Undecodable where it is broken or has
    other channels.
    """
    if (array := whole_array(data, form)) is not None:
        cut = choose(array.shape[1], array.shape[0])
        left, top, right, bottom = cut.box
        pixels = array[top:bottom, left:right]
    else:
        pixels, cut = (_by_simplejpeg(data, choose, form) if fast else None) or _by_pillow(data, choose, form)
    image = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)  # channels last: scaled twice as fast
    width, height = cut.scaled
    scaled = functional.interpolate(image, (height, width), mode=interpolation, antialias=True)[0]
    top, left = round((height - size) / 2), round((width - size) / 2)
    return scaled[:, top : top + size, left : left + size]


def fit(data: bytes, size: int, form: Pixels) -> Tensor:
    """Return the centre of an image, scaled by Pillow, bicubic, as uint8 (channels, size, size). Raises Undecodable."""
    array = whole_array(data, form)
    if array is None:
        array = _upright(data, size, form)
    bands = [array] if form.channels == 3 else np.split(array, form.channels, 2)
    fitted = np.concatenate([_fitted(band, size) for band in bands], 2)
    return torch.from_numpy(fitted).permute(2, 0, 1).contiguous()


def has_16_bits(data: bytes) -> bool:
    """Return whether an image file holds 16-bit grey, or a NumPy array."""
    if data.startswith(NUMPY):
        return True
    pillow = optional("PIL.Image", "Pillow")
    try:
        with pillow.open(BytesIO(data)) as image:
            return depth_of(image).most == 2**16 - 1
    except (*FAULTS, pillow.DecompressionBombError):
        return False


def _fitted(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return the centre of an RGB or grey image (h, w, channels) as (size, size, channels)."""
    pillow, operations = optional("PIL.Image", "Pillow"), optional("PIL.ImageOps", "Pillow")
    image = pillow.fromarray(pixels if pixels.shape[2] == 3 else np.ascontiguousarray(pixels[:, :, 0]))
    return np.array(operations.fit(image, (size, size), pillow.Resampling.BICUBIC)).reshape(size, size, -1)


def _upright(data: bytes, size: int, form: Pixels) -> NDArray[np.uint8]:
    """Return an upright image, decoded at no less than `size`, as uint8 (h, w, channels). Raises Undecodable."""
    pillow, operations = optional("PIL.Image", "Pillow"), optional("PIL.ImageOps", "Pillow")
    try:
        with pillow.open(BytesIO(data)) as image:
            depth = depth_of(image)
            image.draft(form.mode, (size, size))  # a JPEG is decoded at the nearest larger eighth of its size
            return form.of_image(operations.exif_transpose(image) if _orientation(image) != 1 else image, depth)
    except (*FAULTS, pillow.DecompressionBombError) as error:
        raise Undecodable(_reason(error)) from error


def whole_array(data: bytes, form: Pixels) -> NDArray[np.uint8] | None:
    """Return an image that Pillow does not read as grey or RGB, uint8 (h, w, channels); None for one that it does.

    That is a NumPy array, or a file whose channels are its bands or its pages. Raises Undecodable.
    """
    if not data:
        raise Undecodable("EOFError: the file is empty")
    if not data.startswith(NUMPY) and form.channels in (1, 3):
        return None
    pillow, operations = optional("PIL.Image", "Pillow"), optional("PIL.ImageOps", "Pillow")
    try:
        if data.startswith(NUMPY):
            return form.of_array(np.load(BytesIO(data), allow_pickle=False))
        with pillow.open(BytesIO(data)) as image:
            depth, pages = depth_of(image), getattr(image, "n_frames", 1)
            if pages != form.channels or len(image.getbands()) > 1:
                return form.of_image(operations.exif_transpose(image), depth)
            bands = [_page(image, number, depth) for number in range(pages)]
            return np.concatenate(bands, 2)
    except pillow.UnidentifiedImageError as error:
        if not data.startswith(TIFF):
            raise Undecodable(_reason(error)) from error
        return form.of_array(_by_tifffile(data))
    except (*FAULTS, pillow.DecompressionBombError) as error:
        raise Undecodable(_reason(error)) from error


def _page(image: Any, number: int, depth: Depth) -> NDArray[np.uint8]:
    """Return a page of a file as a grey image, uint8 (h, w, 1)."""
    image.seek(number)
    return GREY.of_image(optional("PIL.ImageOps", "Pillow").exif_transpose(image), depth)


def _by_tifffile(data: bytes) -> NDArray[Any]:
    try:
        tifffile = import_module("tifffile")
    except ImportError:
        raise Undecodable("Pillow cannot read a TIFF with such channels: pip install tifffile") from None
    try:
        found: NDArray[Any] = tifffile.imread(BytesIO(data))
    except (*FAULTS, RuntimeError) as error:  # tifffile's errors are ValueErrors and RuntimeErrors
        raise Undecodable(_reason(error)) from error
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, Undecodable):
        return str(error)
    return f"{type(error).__name__}: {str(error).partition(' <')[0]}"  # without the address of the bytes


def _by_simplejpeg(data: bytes, choose: Choose, form: Pixels) -> tuple[Any, Cut] | None:
    """Return the pixels of the box, uint8 (h, w, channels), and the crop; None for all but intact, upright, ordinary JPEGs."""
    if not data.startswith(b"\xff\xd8") or _may_be_turned(data):
        return None
    simplejpeg = import_module("simplejpeg")
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "Gray", "RGB") or width * height > LARGEST:
            return None
        cut = choose(width, height)
        # the decoder shrinks a JPEG as far as its scales allow, but not below these sizes
        least = {"min_height": height // cut.shrink, "min_width": width // cut.shrink} if cut.shrink > 1 else {}
        pixels = simplejpeg.decode_jpeg(data, "GRAY" if form.channels == 1 else "RGB", **least)
    except ValueError:
        return None
    left, top, right, bottom = cut.within(width / pixels.shape[1], pixels.shape[1], pixels.shape[0])
    return pixels[top:bottom, left:right], cut


def _may_be_turned(data: bytes) -> bool:
    """Return whether a JPEG may have to be turned; most have no orientation, and this is faster than asking Pillow."""
    header = data[: data.find(b"\xff\xda")]  # the metadata precede this marker, the pixels follow it
    if b"Exif\0\0" not in header and b"tiff:Orientation" not in header:
        return False
    pillow = optional("PIL.Image", "Pillow")
    try:
        with pillow.open(BytesIO(data)) as image:
            return _orientation(image) != 1
    except (*FAULTS, pillow.DecompressionBombError):
        return True


def _by_pillow(data: bytes, choose: Choose, form: Pixels) -> tuple[Any, Cut]:
    """Return the pixels of the box, uint8 (h, w, channels), and the crop. Raises Undecodable."""
    pillow, operations = optional("PIL.Image", "Pillow"), optional("PIL.ImageOps", "Pillow")
    try:
        with pillow.open(BytesIO(data)) as image:
            turned, depth = _orientation(image), depth_of(image)
            # orientations 5 to 8 swap width and height
            width, height = image.size if turned < 5 else image.size[::-1]
            cut = choose(width, height)
            if cut.shrink > 1 or form.channels == 1:  # works for JPEG only
                image.draft(form.mode, (image.width // cut.shrink, image.height // cut.shrink))
            upright = operations.exif_transpose(image) if turned != 1 else image
            box = cut.within(width / upright.width, upright.width, upright.height)
            return form.of_image(upright.crop(box), depth), cut
    except (*FAULTS, pillow.DecompressionBombError) as error:
        raise Undecodable(_reason(error)) from error


def _orientation(image: Any) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or the EXIF data are broken."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except FAULTS:
        return 1
    return found if found in range(1, 9) else 1
