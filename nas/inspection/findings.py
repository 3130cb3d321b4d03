"""Findings: what a method of inspection returns, as numbers and as figures that any page can draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

Look = Literal["image", "magnitude", "signed"]
"""The scale of a picture: pixels from 0 to 1; values from dark to light; values on either side of 0."""

Rectangle = tuple[str, float, float, float, float]
"""A label, and the left, top, right and bottom edge in pixels of the image; it may reach beyond the image."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture: `values` (C, H, W) with 1 or 3 channels, or (H, W), and a caption.

    A map of magnitudes or signed values may lie `over` an image (C, H, W), in pixels from 0 to 1.
    """

    values: Tensor
    caption: str = ""
    look: Look = "image"
    over: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures side by side, with a heading; `columns` where the number in a row has a meaning."""

    pictures: tuple[Picture, ...]
    heading: str = ""
    columns: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Rectangles drawn on an image (C, H, W), in pixels from 0 to 1."""

    image: Tensor
    rectangles: tuple[Rectangle, ...]
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines through points (x, y), by name; `ticks` names the places x = 0, 1, ... where x is no number.

    With `diagonal` the line y = x is drawn too; `bars` are counts at (x, count), drawn below the lines.
    """

    x: str
    y: str
    lines: Mapping[str, tuple[tuple[float, float], ...]]
    ticks: tuple[str, ...] = ()
    diagonal: bool = False
    bars: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Matrix:
    """A table of counts whose cells are shaded by their share of their row."""

    rows: str
    columns: str
    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A table of texts; the columns in `numbers` are set to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[str, ...] = ()


Figure = Pictures | Outlines | Chart | Matrix | Listing


@dataclass(frozen=True, slots=True)
class Findings:
    """What a method found: a sentence or two, plain data as for JSON, and figures. Without figures, why there are none."""

    reading: str
    numbers: Mapping[str, Any]
    figures: tuple[Figure, ...] = ()


def left_out(reason: str) -> Findings:
    """Return the findings of a method that does not suit a network."""
    return Findings(f"Left out: {reason}.", {"left_out": reason})
