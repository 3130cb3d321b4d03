"""Colours: the line style of each option, the same in all charts and readable for colour-blind readers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

INK, PALE = "#1c2430", "#9aa5b5"
"""The colour of text, and of elements that should recede."""

HUES = (
    ("#009e73", "#00604a", "#6fcfb2"),
    ("#b0398a", "#dd94c4", "#6e1a54"),
    ("#0072b2", "#56b4e9", "#0b3c6b"),
    ("#d55e00", "#f0a030", "#8a3300"),
    ("#8c7a00", "#c9b800", "#574c00"),
    ("#6a51a3", "#a99bd0", "#3f2a78"),
)
"""Hues after Okabe and Ito 2008, with shades: a hue per class of operation, a shade per size of it."""

SCALE = ("#440154", "#3b528b", "#21918c", "#5ec962", "#c8b81f")
"""From low to high, after viridis: for edges and values."""

DASHES = (None, (5.0, 1.0, 1.0, 1.0), (1.0, 1.0))
"""Dash patterns that distinguish lines once the colours are used up."""


@dataclass(frozen=True, slots=True)
class LineStyle:
    """The line style of one option: its colour and its dashes (lengths of strokes and gaps); None is a solid line."""

    colour: str
    dashes: tuple[float, ...] | None = None


def line_styles(labels: Iterable[str]) -> dict[str, LineStyle]:
    """Return the line style of each label, such as `sep_conv_3x3`: operations, then skips and zeros, edges, and values.

    A class of operations has a hue, and each of its sizes a shade; with only one or two classes, each size has a hue.
    """
    families: dict[str, list[str]] = {}
    for label in dict.fromkeys(labels):
        families.setdefault(label_family(label), []).append(label)
    special = {name: families.pop(name, []) for name in ("skip_connect", "none", "Edge", "")}
    hues = list(families.values())
    if len(hues) <= 2:
        hues = [[*chain(*hues)][hue :: len(HUES)] for hue in range(len(HUES))]  # deal the labels out to all hues
    return {
        **{label: _shaded(hue, shade) for hue, members in enumerate(hues) for shade, label in enumerate(members)},
        **{label: LineStyle(INK, (4.0, 2.0)) for label in special["skip_connect"]},
        **{label: LineStyle(PALE, (2.0, 1.5)) for label in special["none"]},
        **{label: _scaled(size) for size, label in enumerate(special["Edge"])},
        **{label: _scaled(size) for size, label in enumerate(special[""])},
    }


def label_family(label: str) -> str:
    """Return a label without its size: the class of an operation, `Edge`, or "" for a number."""
    found = re.match(r"[^\d(\[ ]*", label)
    return found.group().rstrip("_") if found else ""


def _scaled(member: int) -> LineStyle:
    return LineStyle(SCALE[member % len(SCALE)], DASHES[member // len(SCALE) % len(DASHES)])


def _shaded(hue: int, member: int) -> LineStyle:
    again, hue = divmod(hue, len(HUES))
    more, shade = divmod(member, len(HUES[hue]))
    return LineStyle(HUES[hue][shade], DASHES[(again + more) % len(DASHES)])
