"""Conversion of decoded images to uint8 pixels: of any bit depth, with one, three or more channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, final

import numpy as np
from numpy.typing import NDArray

from nas.data.libraries import optional
from nas.records import Range

Bits = Annotated[int, Range(8, 16)]

BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
"""TIFF tags: bits per sample, whether the lowest value is white (0), and whether samples are unsigned integers (1)."""

NUMPY = b"\x93NUMPY"
"""The first bytes of a .npy file."""


class Undecodable(ValueError):
    """The error of an image that cannot be decoded, with the reason."""


@final
@dataclass(frozen=True, slots=True)
class Depth:
    """The range of a sample: the value of the brightest, and whether values count down from white."""

    most: int = 255
    is_inverted: bool = False


@final
@dataclass(frozen=True, slots=True)
class Pixels:
    """The conversion of files to bytes (h, w, channels): 1 channel is grey, 3 are RGB, other numbers as in the files.

    Samples of 9 to 16 bits are scaled by the depth that the file states. With `bits` below 16, 16-bit files are scaled as
    if they had that depth, as 12-bit cameras write them. Transparency is dropped, as in torchvision.
    """

    channels: int = 3
    bits: int = 16

    @property
    def mode(self) -> str:
        """Pillow's mode of a decoded image: grey or RGB."""
        return "L" if self.channels == 1 else "RGB"

    def of_image(self, image: Any, depth: Depth) -> NDArray[np.uint8]:
        """Return the bytes of a Pillow image, or of a crop of it, from a file of a given depth. Raises Undecodable."""
        if depth.most != 255:
            levels = self._scaled(np.array(image), depth.most)
            image = optional("PIL.Image", "Pillow").fromarray(255 - levels if depth.is_inverted else levels)
        if self.channels in (1, 3) and image.mode != self.mode:
            image = image.convert(self.mode)
        array = np.array(image)
        if array.dtype == np.bool_:
            array = array.astype(np.uint8) * np.uint8(255)
        return self._with_channels(array if array.ndim == 3 else array[:, :, None])

    def of_array(self, array: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the bytes of an array (h, w), (h, w, channels) or (channels, h, w) of 8 or 16 bits. Raises Undecodable."""
        if array.ndim == 2:
            array = array[:, :, None]
        if array.ndim != 3 or not array.size:
            raise Undecodable(
                f"it is an array of shape {array.shape}: give (h, w), (h, w, channels) or (channels, h, w)"
            )
        if array.dtype == np.bool_:
            array = array.astype(np.uint8) * np.uint8(255)
        if array.dtype not in (np.uint8, np.uint16):
            raise Undecodable(f"it holds {array.dtype}, whose range is not known: save uint8 or uint16")
        known = (1, 3, self.channels)
        # channels first, as rasters of several bands often are
        if array.shape[2] not in known and array.shape[0] in known:
            array = array.transpose(1, 2, 0)
        scaled = array if array.dtype == np.uint8 else self._scaled(array, 2**16 - 1)
        if self.channels == 1 and scaled.shape[2] == 3:
            grey = optional("PIL.Image", "Pillow").fromarray(np.ascontiguousarray(scaled)).convert("L")
            scaled = np.array(grey)[:, :, None]
        return self._with_channels(scaled)

    def _scaled(self, levels: NDArray[Any], most: int) -> NDArray[np.uint8]:
        """Return samples up to `most` scaled to 0..255, rounded. Raises Undecodable for values out of range."""
        most = 2**self.bits - 1 if most == 2**16 - 1 else most
        if levels.size and (levels.max() > most or levels.min() < 0):
            raise Undecodable(f"it holds values from {levels.min()} to {levels.max()}, and its depth goes to {most}")
        # rounded integer division: the same on every machine
        return ((levels.astype(np.uint32) * 255 + most // 2) // most).astype(np.uint8)

    def _with_channels(self, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the array with the wanted channels; grey is repeated for RGB. Raises Undecodable for other channels."""
        if array.shape[2] == 1 and self.channels == 3:
            array = array.repeat(3, axis=2)
        if array.shape[2] != self.channels:
            raise Undecodable(
                f"it has {array.shape[2]} channels, and {self.channels} are expected: set channels: {array.shape[2]}"
            )
        return array


RGB = Pixels()


def depth_of(image: Any) -> Depth:
    """Return the depth of an opened Pillow image, as its file states it.

    Raises Undecodable for samples whose range the file does not state: floating-point, signed, and 32-bit.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return Depth()
    tags = getattr(image, "tag_v2", {})
    bits = 16 if image.format != "TIFF" else int(tags.get(BITS_PER_SAMPLE, (1,))[0])
    if image.mode == "F" or bits > 16 or tags.get(SAMPLE_FORMAT, (1,))[0] != 1:
        raise Undecodable(
            "it holds floating-point, signed or 32-bit numbers, whose range is not known: save 8 or 16 bits"
        )
    return Depth(2**bits - 1, tags.get(PHOTOMETRIC) == 0)
