"""Shapes: the boxes, lines and texts of a drawing, with positions and sizes in pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, final

Mark = Literal["gone", "came"]
Point = tuple[float, float]

TIMES, MINUS = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}"

LABEL, DETAIL, TITLE = 12, 10.5, 14
"""The font sizes in pixels."""

# the width of characters, per pixel of font size
_WIDTHS = {
    0.30: "'ijlIJ,. ·|",
    0.40: "f-/:;\\rt!()[]",
    0.55: '"sz*_`cL?',
    0.60: "aekovxyFPTY",
    0.70: "ABCRVXZ",
    0.80: "DGHNUwOQ&",
    1.00: f"M#+<=>^~{TIMES}→{MINUS}m%W@…",
}
_WIDTH_OF = {character: width for width, characters in _WIDTHS.items() for character in characters}


def text_width(text: str, size: float = LABEL) -> float:
    """Return an upper estimate of a text's width in pixels, for the widest usual fonts (DejaVu Sans, Verdana)."""
    return size * sum(_WIDTH_OF.get(character, 0.65 if character.isascii() else 1.0) for character in text)


@final
@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; `role` is the key of its colours, `title` its tooltip. A frame surrounds other boxes."""

    x: float
    y: float
    width: float
    height: float
    role: str
    radius: float = 6
    dashed: bool = False
    title: str = ""
    is_frame: bool = False
    mark: Mark | None = None

    def moved(self, x: float, y: float) -> Box:
        return replace(self, x=self.x + x, y=self.y + y)


@final
@dataclass(frozen=True, slots=True)
class Line:
    """A line through points: straight where two points share x or y, else an S-curve that is horizontal at both ends."""

    points: tuple[Point, ...]
    arrow: bool = False
    dashed: bool = False
    mark: Mark | None = None

    def moved(self, x: float, y: float) -> Line:
        return replace(self, points=tuple((px + x, py + y) for px, py in self.points))


@final
@dataclass(frozen=True, slots=True)
class Text:
    """A line of text, vertically centred at `y`; `anchor` is the part of it at `x`."""

    x: float
    y: float
    text: str
    role: Literal["ink", "pale", "changed", "on sign"] = "ink"
    size: float = LABEL
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False
    mark: Mark | None = None

    def moved(self, x: float, y: float) -> Text:
        return replace(self, x=self.x + x, y=self.y + y)

    @property
    def width(self) -> float:
        return text_width(self.text, self.size) * (1.08 if self.bold else 1.0)  # bold letters are wider

    @property
    def left(self) -> float:
        return self.x - self.width * {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor]


Shape = Box | Line | Text


@final
@dataclass(frozen=True, slots=True)
class Figure:
    """Shapes in a rectangle with its upper left corner at (0, 0).

    Its input is on the left side at the height `port`. Its output is at the point `leaves`, by default on the right side at
    the same height.
    """

    width: float
    height: float
    port: float
    shapes: tuple[Shape, ...]
    leaves: Point | None = None

    @property
    def end(self) -> Point:
        return self.leaves or (self.width, self.port)

    def at(self, x: float, y: float) -> Iterator[Shape]:
        """Yield the shapes, moved by (x, y)."""
        return (shape.moved(x, y) for shape in self.shapes)

    def marked(self, mark: Mark | None) -> Figure:
        """Return the figure marked as removed or added: with the colours of the mark, and a sign at its corner."""
        if mark is None:
            return self
        corner = Box(self.width - 10, -8, 16, 16, f"sign {mark}", 8)
        sign = Text(self.width - 2, 0, SIGNS[mark], "on sign", anchor="middle", bold=True)
        return replace(self, shapes=(*(replace(shape, mark=mark) for shape in self.shapes), corner, sign))


SIGNS: dict[Mark, str] = {"gone": MINUS, "came": "+"}


def above_each_other(figures: Iterable[Figure], gap: float, left: float = 0.0) -> Figure:
    """Return figures stacked from top to bottom."""
    shapes: list[Shape] = []
    top = width = 0.0
    for i, figure in enumerate(figures):
        top += gap if i else 0.0
        shapes += figure.at(left, top)
        top, width = top + figure.height, max(width, left + figure.width)
    return Figure(width, top, top / 2, tuple(shapes))
