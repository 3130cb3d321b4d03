"""SVG: shapes as text. Colours are attributes for one theme; an embedded style overrides them for readers in dark mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby, pairwise
from typing import Literal, final

from nas.drawing.shapes import Box, Figure, Line, Mark, Shape, Text

Theme = Literal["auto", "light", "dark"]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MARGIN = 24


@final
@dataclass(frozen=True, slots=True)
class Paint:
    """The fill and stroke colours of a role, in light and in dark."""

    fill: str
    stroke: str
    dark_fill: str
    dark_stroke: str

    def of(self, dark: bool) -> tuple[str, str]:
        return (self.dark_fill, self.dark_stroke) if dark else (self.fill, self.stroke)


PAINTS = {
    "page": Paint("#ffffff", "none", "#12161d", "none"),
    "card": Paint("#f6f8fa", "#d5dbe3", "#181d26", "#343d4b"),
    "frame": Paint("#ffffff", "#c3cbd6", "#12161d", "#48525f"),
    "open": Paint("#ffffff", "#5b6675", "#12161d", "#9aa5b5"),
    "state": Paint("#ffffff", "#1c2430", "#12161d", "#e8ecf2"),
    "track": Paint("#e3e8ee", "none", "#2a323e", "none"),
    "bar": Paint("#2f6fde", "none", "#6ea0f5", "none"),
    "convolution": Paint("#fdebd3", "#c4701a", "#4a2f12", "#e09a4a"),
    "separable": Paint("#dce8fd", "#2f6fde", "#16305e", "#6ea0f5"),
    "dilated": Paint("#ebdffb", "#8b4fd9", "#37205a", "#b48cf0"),
    "pooling": Paint("#d9f2e4", "#23875a", "#113d29", "#4fbf8b"),
    "skip": Paint("#eceff3", "#7a8699", "#2a323e", "#93a0b4"),
    "none": Paint("#ffffff", "#7f8b9c", "#12161d", "#6f7b8d"),
    "inverted bottleneck": Paint("#d5f1f3", "#16808a", "#0d3a40", "#4fc0cb"),
    "attention": Paint("#fbdcea", "#c03a78", "#4d1730", "#f08ab8"),
    "norm, activation": Paint("#faf3c8", "#9a8200", "#3d3608", "#d9c244"),
    "rearrangement": Paint("#ece3d8", "#8a6f52", "#3b3024", "#c2a37e"),
    "classifier": Paint("#e3e6ff", "#4a55c8", "#23285a", "#8f9af5"),
    "cell": Paint("#ffe3de", "#c84a3a", "#54211a", "#f08a7a"),
    "other": Paint("#e9edf2", "#5b6675", "#232a35", "#9aa5b5"),
    "gone": Paint("#fde8e6", "#b3261e", "#4a1512", "#ff8a80"),
    "came": Paint("#dff5e5", "#1a7f37", "#0f3d1f", "#4cc76f"),
    "sign gone": Paint("#b3261e", "none", "#ff8a80", "none"),
    "sign came": Paint("#1a7f37", "none", "#4cc76f", "none"),
    "line": Paint("none", "#8390a2", "none", "#76839a"),
    "line gone": Paint("none", "#b3261e", "none", "#ff8a80"),
    "line came": Paint("none", "#1a7f37", "none", "#4cc76f"),
    "tip": Paint("#8390a2", "none", "#76839a", "none"),
    "tip gone": Paint("#b3261e", "none", "#ff8a80", "none"),
    "tip came": Paint("#1a7f37", "none", "#4cc76f", "none"),
    "ink": Paint("#1c2430", "none", "#e8ecf2", "none"),
    "pale": Paint("#56606f", "none", "#a7b1bf", "none"),
    "changed": Paint("#8a4200", "none", "#ffb86b", "none"),
    "on sign": Paint("#ffffff", "none", "#12161d", "none"),
}
"""The colours of each role; texts are mostly "ink" or "pale"."""

LEGEND = (
    "convolution",
    "separable",
    "dilated",
    "inverted bottleneck",
    "pooling",
    "skip",
    "none",
    "attention",
    "norm, activation",
    "rearrangement",
    "classifier",
    "cell",
    "other",
)
"""The kinds of operations, in the order of the legend."""

MARKED: dict[Mark, str] = {"gone": "removed", "came": "added"}
"""The marks in words, for the legend."""


@final
@dataclass(frozen=True, slots=True)
class _Tip:
    """The head of an arrow that points right or down."""

    x: float
    y: float
    is_down: bool
    mark: Mark | None


def to_svg(figure: Figure, theme: Theme = "auto") -> str:
    """Return a figure as SVG text, with a legend of the kinds and marks in it."""
    legend = list(_legend(figure))
    width = max([figure.width, *(each.left + each.width for each in legend if isinstance(each, Text))])
    bottom = max([0.0, *(each.y for each in legend if isinstance(each, Text))])
    shapes = [*figure.at(MARGIN, MARGIN), *(each.moved(MARGIN, MARGIN + figure.height + 28) for each in legend)]
    height = figure.height + 2 * MARGIN + (28 + bottom + 6 if legend else 0)
    size = f'width="{_n(width + 2 * MARGIN)}" height="{_n(height)}" viewBox="0 0 {_n(width + 2 * MARGIN)} {_n(height)}"'
    page = Box(0, 0, width + 2 * MARGIN, height, "page", 0)
    body = "\n".join(_written([page, *shapes], theme))
    style = f"<style>{_dark_style()}</style>\n" if theme == "auto" else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="nas-drawing-{theme}" {size} font-family="{FONT}" '
        f'role="img" aria-label="architecture" style="max-width:100%;height:auto">\n{style}{body}\n</svg>\n'
    )


def _dark_style() -> str:
    rules = []  # a rule overrides the attributes `fill` and `stroke`, which have the colours of the light theme
    for role, paint in PAINTS.items():
        parts = [f"fill:{paint.dark_fill}"] + ([f"stroke:{paint.dark_stroke}"] if paint.stroke != "none" else [])
        rules.append(f".nas-drawing-auto .{_class(role)}{{{';'.join(parts)}}}")
    return "@media (prefers-color-scheme:dark){" + "".join(rules) + "}"


def _class(role: str) -> str:
    return "nas-" + role.replace(", ", "-").replace(" ", "-")


def _legend(figure: Figure) -> Iterator[Shape]:
    """Yield a swatch and a name for each kind, wrapped at the width of the figure."""
    boxes = [shape for shape in figure.shapes if isinstance(shape, Box)]
    seen = {box.role for box in boxes if box.mark is None}
    marks: list[Mark] = [mark for mark in ("gone", "came") if any(box.mark == mark for box in boxes)]
    entries: list[tuple[Box, str]] = [(Box(0, 0, 14, 14, kind, 3), kind) for kind in LEGEND if kind in seen]
    if any(box.dashed and box.role != "card" and box.mark is None for box in boxes):
        entries.append((Box(0, 0, 14, 14, "open", 3, dashed=True), "still open"))
    entries += [(Box(0, 0, 14, 14, "other", 3, mark=mark), MARKED[mark]) for mark in marks]
    x = y = 0.0
    for swatch, name in entries:
        text = Text(x + 20, y, name, "pale", 11)
        if x and x + 20 + text.width > max(figure.width, 420):
            x, y = 0.0, y + 22
            text = Text(20, y, name, "pale", 11)
        yield replace(swatch, x=x, y=y - 7)
        yield text
        x += 20 + text.width + 16


def _written(shapes: Iterable[Shape], theme: Theme) -> Iterator[str]:
    """Yield the elements by layer: frames, lines, boxes, texts, signs; neighbours with the same style share a group."""
    ordered = sorted(_with_tips(shapes), key=_layer)
    for (attributes, _), run in groupby(ordered, lambda shape: _look(shape, theme)):
        yield f"<g {attributes}>" + "".join(map(_element, run)) + "</g>"


def _layer(shape: Shape | _Tip) -> int:
    """Return the drawing order of a shape: higher layers cover lower ones."""
    # 0 page, 1 frames, 2 lines, 3 boxes and arrow heads, 4 texts, 5 signs of changes, 6 the text on a sign
    if isinstance(shape, Line | _Tip):
        return 3 if isinstance(shape, _Tip) else 2
    if isinstance(shape, Text):
        return 6 if shape.role == "on sign" else 4
    return 0 if shape.role == "page" else 1 if shape.is_frame else 5 if shape.role.startswith("sign") else 3


def _look(shape: Shape | _Tip, theme: Theme) -> tuple[str, int]:
    """Return the attributes of a shape's group, and its layer."""
    role = _role(shape)
    fill, stroke = PAINTS[role].of(theme == "dark")
    attributes = [f'class="{_class(role)}"'] if theme == "auto" else []
    attributes.append(f'fill="{fill}"')
    if isinstance(shape, Text):
        attributes += [f'font-size="{_n(shape.size)}"', f'text-anchor="{shape.anchor}"']
        attributes += ['font-weight="600"'] if shape.bold else []
        attributes += ['text-decoration="line-through"'] if shape.mark == "gone" else []
    elif stroke != "none" and not isinstance(shape, _Tip):
        attributes.append(f'stroke="{stroke}"')
        # changes differ by the stroke too, so not by colour alone: added parts are bold, removed ones dotted
        is_bold = shape.mark == "came"
        attributes.append(f'stroke-width="{"2.2" if is_bold else "1.3"}"')
        dashes = "5 4" if shape.dashed else "2 3" if shape.mark == "gone" else ""
        attributes += [f'stroke-dasharray="{dashes}"'] if dashes else []
    return " ".join(attributes), _layer(shape)


def _role(shape: Shape | _Tip) -> str:
    """Return the key of a shape's colours in PAINTS."""
    if isinstance(shape, Text):
        return shape.role
    if isinstance(shape, Line | _Tip):
        name = "line" if isinstance(shape, Line) else "tip"
        return f"{name} {shape.mark}" if shape.mark else name
    return shape.mark or shape.role


def _element(shape: Shape | _Tip) -> str:
    if isinstance(shape, Box):
        place = f'x="{_n(shape.x)}" y="{_n(shape.y)}" width="{_n(shape.width)}" height="{_n(shape.height)}"'
        rect = f'<rect {place} rx="{_n(shape.radius)}"'
        return f"{rect}><title>{escape(shape.title)}</title></rect>" if shape.title else f"{rect}/>"
    if isinstance(shape, Text):
        # SVG places the baseline: 0.35 of the font size below the middle of the letters
        return f'<text x="{_n(shape.x)}" y="{_n(shape.y + 0.35 * shape.size)}">{escape(shape.text)}</text>'
    if isinstance(shape, _Tip):
        return f'<path d="M{_n(shape.x)} {_n(shape.y)}{"l-3.5 -6h7z" if shape.is_down else "l-6 -3.5v7z"}"/>'
    return f'<path d="{_path(shape)}"/>'


def _path(line: Line) -> str:
    (x, y), *_ = line.points
    steps = [f"M{_n(x)} {_n(y)}"]
    for (x1, y1), (x2, y2) in pairwise(line.points):
        if x1 == x2 or y1 == y2:
            steps.append(f"L{_n(x2)} {_n(y2)}")
        else:
            middle = (x1 + x2) / 2
            # a cubic curve, horizontal at both ends, as its control points are halfway along x
            steps.append(f"C{_n(middle)} {_n(y1)} {_n(middle)} {_n(y2)} {_n(x2)} {_n(y2)}")
    return "".join(steps)


def _with_tips(shapes: Iterable[Shape]) -> Iterator[Shape | _Tip]:
    """Yield the shapes, and after each line with an arrow the arrow's head."""
    for shape in shapes:
        yield shape
        if isinstance(shape, Line) and shape.arrow:
            (before, _), (x, y) = shape.points[-2:]
            yield _Tip(x, y, before == x, shape.mark)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
