"""Compound scaling: a derived network made deeper, wider and of higher resolution by one coefficient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from nas.layers.attention import divisible
from nas.records import NonNegative, Positive, Range, RecordError, nearest, record

DEPTHS = ("layers", "cells_per_stage", "depth")
"""The possible names of the depth option of a family's network function; the first that exists is scaled."""

AtLeastOne = Annotated[float, Range(1)]


@record
class Scale:
    """Scale depth, width and resolution by one coefficient: by `depth`**phi, `width`**phi and `resolution`**phi.

    Compound scaling, EfficientNet, Tan and Le 2019, arXiv:1905.11946, section 3.3, equation 3: with depth * width^2 *
    resolution^2 near 2, as with the defaults found there, the MACs grow by 2^phi.

    Rounding is as in the released code: a depth up, a width to the nearest multiple (of 8 there) or, where that is more
    than a tenth too narrow, to the next one. We deviate in two points: the released code counts a rounding error as a
    layer (10 layers, 1.1 times, are 12 there), and it rounds a width that is not scaled. Its resolutions come from a
    table, 224 to 600, and follow no rule; here a size is rounded like a width.
    """

    phi: NonNegative
    depth: AtLeastOne = 1.2
    width: AtLeastOne = 1.1
    resolution: AtLeastOne = 1.15
    depth_option: str | None = None
    width_option: str = "channels"
    multiple: Positive = 2
    pixels_multiple: Positive = 8

    def options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a family's network function, deeper and wider.

        Raises RecordError where the function has no such option, or its value is not an integer.
        """
        depth = self.depth_option or next((name for name in DEPTHS if name in options), DEPTHS[0])
        layers = self._option(options, "depth_option", depth)
        channels = self._option(options, "width_option", self.width_option)
        return {
            **options,
            depth: _up(layers * self.depth**self.phi),
            self.width_option: _rounded(channels, self.width**self.phi, self.multiple),
        }

    def size(self, pixels: int) -> int:
        """Return the scaled height or width of the images."""
        return _rounded(pixels, self.resolution**self.phi, self.pixels_multiple)

    def _option(self, options: Mapping[str, Any], field: str, name: str) -> int:
        if name not in options:
            raise RecordError(
                f"Scale.{field} is {name!r}, which the network does not have: {nearest(name, options)}", field
            )
        if not isinstance(value := options[name], int):
            raise RecordError(f"{name} is {value}, and Scale needs an integer: give the network's {name}", name)
        return value


def _up(number: float) -> int:
    """Return a depth rounded up, without the error of floating-point multiplication."""
    return math.ceil(round(number, 6))  # 10 * 1.1 is 11.000000000000002 in floating point


def _rounded(number: int, factor: float, multiple: int) -> int:
    """Return a width or size scaled and rounded to a multiple; unchanged for a factor of 1."""
    return number if factor == 1 else divisible(number * factor, multiple)
