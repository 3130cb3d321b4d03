"""Scaling: a found network made deeper, wider and finer at once, by one number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from nas.layers.attention import divisible
from nas.records import NonNegative, Positive, Range, RecordError, nearest, record

DEPTHS = ("layers", "cells_per_stage", "depth")
"""What a family's network function may call its depth; the first that it has is scaled."""

AtLeastOne = Annotated[float, Range(1)]


@record
class Scale:
    """Choose depth, width and resolution by one coefficient: `depth`**phi, `width`**phi and `resolution`**phi times.

    Compound scaling, EfficientNet, Tan and Le 2019, arXiv:1905.11946, section 3.3, equation 3: with depth * width^2 *
    resolution^2 near 2, as the defaults found there, the multiply-adds grow 2^phi times.

    Rounded as in the released code: a depth up, a width to the nearest multiple (of 8 there) or, where that is over a tenth
    too narrow, to the next. We deviate where it counts a rounding error as a layer (10 layers, 1.1 times, are 12 there), and
    where it rounds a width that is not scaled. Its resolutions stand in a table, 224 to 600, and follow no rule; a size is
    rounded as a width is.
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

        Raises RecordError where the function has no such option, or its value is no number.
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
        """Return the height or width of the images, finer."""
        return _rounded(pixels, self.resolution**self.phi, self.pixels_multiple)

    def _option(self, options: Mapping[str, Any], field: str, name: str) -> int:
        if name not in options:
            raise RecordError(f"Scale.{field} is {name!r}, which the network has not: {nearest(name, options)}", field)
        if not isinstance(value := options[name], int):
            raise RecordError(f"{name} is {value}, and Scale scales a number: give the network's {name}", name)
        return value


def _up(number: float) -> int:
    return math.ceil(round(number, 6))  # 10 * 1.1 is 11.000000000000002


def _rounded(number: int, factor: float, multiple: int) -> int:
    return number if factor == 1 else divisible(number * factor, multiple)
