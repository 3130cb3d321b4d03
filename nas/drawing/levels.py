"""Levels: a network as a table with a line per stage: its name, its repeats, its drawing, and its numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from nas.drawing.shapes import DETAIL, Box, Figure, Line, Shape, Text
from nas.drawing.sketch import Level, Levels, Sketch

Make = Callable[[Sketch], Figure]

PAD, GAP = 10, 20
BAR = 90
"""The width in pixels of a bar for all parameters of the network."""

# columns from left to right: names, repeats, cards with the drawings (`left` to `right`), numbers


def levels_figure(sketch: Levels, make: Make) -> Figure:
    """Return the figure of a network; `make` returns the figure of each part."""
    everything = [*sketch.levels, *sketch.asides]
    parts = [_titled(level, make(level.part)) for level in everything]
    names = 14 + max(Text(0, 0, level.name).width for level in sketch.levels)
    repeats = max(Text(0, 0, level.repeat, bold=True).width for level in sketch.levels)
    left = names + (repeats + 14 if repeats else 0)
    right = left + max(part.width for part in parts) + 2 * PAD
    total = sum(level.params or 0 for level in everything)
    shapes: list[Shape] = []
    top, width = 0.0, right
    for i, (level, part) in enumerate(zip(everything, parts, strict=True)):
        is_aside = i >= len(sketch.levels)
        if i > 0 and not is_aside:
            shapes.append(Line(((left + 24, top), (left + 24, top + GAP)), arrow=True))
        top += GAP if i else 0
        shapes += _line(level, part, (left, right, top), names, is_aside)
        numbers = list(_numbers(level, right + 16, top + PAD + part.height / 2, total))
        shapes += numbers
        width = max([width, *(each.left + each.width for each in numbers if isinstance(each, Text))])
        top += part.height + 2 * PAD
    return Figure(width, top, top / 2, tuple(shapes))


def _titled(level: Level, part: Figure) -> Figure:
    """Return the figure of a stage's node, with the title of the stage above it."""
    if not level.title:
        return part
    title = Text(0, 4, level.title, _look(level, level.title, "pale"), DETAIL)
    shapes = title, *part.at(0, 18)
    return Figure(max(part.width, title.width), part.height + 18, part.port + 18, shapes)


def _look(level: Level, text: str, otherwise: Literal["ink", "pale"]) -> Literal["ink", "pale", "changed"]:
    return "changed" if level.is_changed and "→" in text else otherwise


def _line(level: Level, part: Figure, place: tuple[float, float, float], names: float, is_aside: bool) -> list[Shape]:
    left, right, top = place
    height, middle = part.height + 2 * PAD, top + PAD + part.height / 2
    shapes: list[Shape] = [Box(left, top, right - left, height, "card", 8, is_aside, is_frame=True)]
    if level.name:
        shapes.append(Text(0, middle, level.name, "pale"))
    if level.repeat:
        shapes.append(Text(names, middle, level.repeat, _look(level, level.repeat, "ink"), bold=True))
    return [*shapes, *part.at(left + PAD, top + PAD)]


def _numbers(level: Level, x: float, y: float, total: int) -> Sequence[Shape]:
    """Return the feature map's shape as text, and the share of the parameters as text and as a bar."""
    shapes: list[Shape] = [Text(x, y - 12, level.output)] if level.output else []
    if level.params is not None and total:
        share = level.params / total
        percent = f", {100 * share:.1f} %" if share >= 0.0005 else ", < 0.1 %" if share else ""
        shapes.append(Text(x, y + 4, f"{in_short(level.params) or 'no'} parameters{percent}", "pale", DETAIL))
        shapes.append(Box(x, y + 14, BAR, 5, "track", 2))
        shapes += [Box(x, y + 14, max(2.0, BAR * share), 5, "bar", 2)] if share else []
    return shapes


def in_short(count: int) -> str:
    """Return a number with three digits and a unit, such as 25.6 M; "" for 0."""
    for unit, name in ((1_000_000_000, " G"), (1_000_000, " M"), (1_000, " k")):
        if count >= unit:
            return f"{count / unit:.3g}{name}" if count < 1000 * unit else f"{count / unit:,.0f}{name}"
    return str(count or "")
