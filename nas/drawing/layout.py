"""Layout: turns a sketch into a figure; serial parts are placed from left to right, parallel parts below each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from nas.drawing.graph_layout import graph_figure
from nas.drawing.levels import levels_figure
from nas.drawing.shapes import (
    DETAIL,
    LABEL,
    TIMES,
    TITLE,
    Box,
    Figure,
    Line,
    Mark,
    Shape,
    Text,
    above_each_other,
    text_width,
)
from nas.drawing.sketch import Block, Changed, Framed, Graph, Levels, Page, Paths, Row, Sketch

WIDEST = 880
"""The width at which a row of parts is wrapped, in pixels."""

PAD, GAP, ARROW, FORK = 10, 10, 20, 26
"""Pixels inside a box or frame, between parallel parts, of an arrow between serial parts, and of a fork or join."""


def figure(sketch: Sketch) -> Figure:
    """Return the figure of a sketch."""
    match sketch:
        case Block():
            return _block(sketch)
        case Row():
            return _row([figure(part) for part in sketch.parts])
        case Paths():
            parts = [figure(part) for part in sketch.parts]
            return _paths(parts, sketch.join) if sketch.join else _listed(parts)
        case Framed():
            return _framed(figure(sketch.part), sketch)
        case Graph():
            return graph_figure(sketch, figure)
        case Levels():
            return levels_figure(sketch, figure)
        case Changed():
            return _changed(sketch)
        case Page():
            return _page(sketch)
    raise TypeError(f"{type(sketch).__name__} has no layout: add one to figure()")


def _block(block: Block) -> Figure:
    """Return a box with a label, and below it details, or the options of a choice in the colours of their kinds."""
    listed = () if block.key else block.options
    lines = [Text(0, 0, line, "ink", DETAIL) for line in (*block.details, *(text for text, _ in listed))]
    # the label takes 24 pixels, a line of details 15; a swatch of an option's colour is 9 wide, and 12 apart from the next
    label = Text(0, 0, block.label)
    indent = 14 if listed else 0
    swatches = 12 * len(block.options) - 3 if block.key else 0
    width = max([label.width, swatches, *(line.width + indent for line in lines)]) + 2 * PAD
    height = 24.0 + 15 * len(lines) + (3 if lines else 16 if block.key else 0)
    role = "open" if block.options else block.kind
    box = Box(0, 0, width, height, role, dashed=block.is_open, title=block.spelt)
    shapes: list[Shape] = [box, replace(label, x=width / 2, y=12.5, anchor="middle")]
    for i, (_, kind) in enumerate(block.options):
        x, y = ((width - swatches) / 2 + 12 * i, 25.0) if block.key else (PAD, 24.0 + 15 * i)
        shapes.append(Box(x, y, 9, 9, kind, 2))
    for i, line in enumerate(lines):
        y = 29.0 + 15 * i
        shapes.append(
            replace(line, x=PAD + indent, y=y) if listed else replace(line, x=width / 2, y=y, anchor="middle")
        )
    return Figure(width, height, height / 2, tuple(shapes))


def _row(parts: Sequence[Figure]) -> Figure:
    """Return parts from left to right with arrows between them, wrapped to as many lines as needed."""
    if not parts:
        return Figure(0, 12, 6, ())
    lines: list[list[Figure]] = [[]]
    width = 0.0
    for part in parts:
        if lines[-1] and width + ARROW + part.width > WIDEST:
            lines.append([])
            width = 0.0
        width += part.width + ARROW
        lines[-1].append(part)
    return _wrapped([_line_of(line) for line in lines]) if len(lines) > 1 else _line_of(lines[0])


def _line_of(parts: Sequence[Figure]) -> Figure:
    """Return parts on one line, each placed so that its input is level with the output of the one before."""
    tops = [0.0]
    for before, part in pairwise(parts):
        tops.append(tops[-1] + before.end[1] - part.port)
    tops = [top - min(tops) for top in tops]  # so that the highest part is at 0
    shapes: list[Shape] = []
    x, end = 0.0, (0.0, 0.0)
    for i, (part, top) in enumerate(zip(parts, tops, strict=True)):
        if i:
            shapes.append(Line((end, (x + ARROW, top + part.port)), arrow=True))
            x += ARROW
        shapes += part.at(x, top)
        end = x + part.end[0], top + part.end[1]
        x += part.width
    height = max(top + part.height for part, top in zip(parts, tops, strict=True))
    return Figure(x, height, tops[0] + parts[0].port, tuple(shapes), end)


def _wrapped(lines: Sequence[Figure]) -> Figure:
    """Place lines of parts below each other; a line runs back from the end of each to the beginning of the next."""
    gap, turn = 22.0, max(line.width for line in lines) + 1.5 * ARROW
    shapes = list(lines[0].at(0, 0))
    end, bottom = lines[0].end, lines[0].height
    for line in lines[1:]:
        below, top = bottom + gap / 2, bottom + gap
        entry = top + line.port
        corners = end, (turn, end[1]), (turn, below), (2.0, below), (2.0, entry), (ARROW, entry)
        shapes += [Line(corners, arrow=True), *line.at(ARROW, top)]
        end, bottom = (ARROW + line.end[0], top + line.end[1]), top + line.height
    return Figure(turn, bottom, lines[0].port, tuple(shapes), end)


def _paths(parts: Sequence[Figure], join: str, marks: Sequence[Mark | None] = ()) -> Figure:
    """Return parallel paths below each other, with the input forked to all of them and their outputs joined."""
    stacked = list(_tops(parts))
    inner = max(part.width for part in parts)
    ports = [top + part.port for top, part in zip(stacked, parts, strict=True)]
    # the input is level with the first of two paths, else with the middle of all
    port = ports[0] if len(parts) == 2 else (ports[(len(parts) - 1) // 2] + ports[len(parts) // 2]) / 2
    pill = _pill(join)
    end, joint = FORK + inner, FORK + inner + FORK
    shapes: list[Shape] = []
    for part, top, mark in zip(parts, stacked, marks or [None] * len(parts), strict=True):
        y = top + part.port
        shapes.append(Line(((0, port), (FORK, y)), arrow=part.width > 0, mark=mark))
        shapes += part.at(FORK, top)
        leaves = FORK + part.end[0], top + part.end[1]
        shapes.append(Line((leaves, (end, leaves[1]), (joint, port)), arrow=bool(join), mark=mark))
    shapes += pill.at(joint, port - pill.port)
    height = max(stacked[-1] + parts[-1].height, port + pill.height / 2)
    return Figure(joint + pill.width, height, port, tuple(shapes))


def _tops(parts: Sequence[Figure]) -> Iterator[float]:
    top = 0.0
    for part in parts:
        yield top
        top += part.height + GAP


def _pill(join: str) -> Figure:
    if not join:
        return Figure(0, 0, 0, ())
    text = {"add": "+", "product": TIMES}.get(join, join)
    width = max(22.0, text_width(text, DETAIL) + 14)
    label = Text(width / 2, 11, text, size=LABEL if len(text) == 1 else DETAIL, anchor="middle")
    return Figure(width, 22, 11, (Box(0, 0, width, 22, "state", 11), label))


def _listed(parts: Sequence[Figure]) -> Figure:
    stacked = above_each_other(parts, GAP)
    return replace(stacked, port=stacked.height / 2)


def _framed(part: Figure, framed: Framed) -> Figure:
    """Return a figure in a frame with a title; lines lead from the border to the figure, unless that is a list."""
    top = 24.0  # the height of the title
    label = Text(PAD, 13, framed.title, "pale", DETAIL)
    if framed.is_changed:
        label = replace(label, role="changed", bold=True)
    width = max(part.width, label.width) + 2 * PAD
    height, port = top + part.height + PAD, top + part.port
    role = "open" if framed.is_open else "frame"
    shapes: list[Shape] = [Box(0, 0, width, height, role, 8, framed.is_open, is_frame=True), label, *part.at(PAD, top)]
    if not (isinstance(framed.part, Paths) and not framed.part.join):
        end = PAD + part.end[0], top + part.end[1]
        shapes += [Line(((0, port), (PAD, port))), Line((end, (width, end[1])))]
        return Figure(width, height, port, tuple(shapes), (width, end[1]))
    return Figure(width, height, port, tuple(shapes))


def _changed(changed: Changed) -> Figure:
    """Return the added part, and the removed part below it."""
    gone = None if changed.gone is None else figure(changed.gone).marked("gone")
    came = None if changed.came is None else figure(changed.came).marked("came")
    if gone is None or came is None:
        only = gone or came
        assert only is not None
        return only
    return _paths((came, gone), "", ("came", "gone"))


def _page(page: Page) -> Figure:
    """Return all panels below each other, each with its title."""
    panels = []
    for panel in page.panels:
        made = figure(panel.part)
        title = [Text(0, 8, panel.title, size=TITLE, bold=True)] if panel.title else []
        top = 30.0 if panel.title else 0.0
        width = max([made.width, *(text.width for text in title)])
        panels.append(Figure(width, top + made.height, top, (*title, *made.at(0, top))))
    return above_each_other(panels, 34)
