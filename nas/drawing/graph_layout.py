"""Layout of a graph from left to right: columns of states, each behind its operations, and lanes for passing lines.

A state is in the column after the last of its sources. A line that spans several columns passes each one in between in
a separate lane, so no line crosses a box. Each column is ordered by the mean height of its neighbours (Sugiyama et al.
1981); the heights are the closest to those means that keep the order and the distances (least squares, by isotonic
regression). For cells this looks as good as graphviz, for wired graphs good enough, and it is the same on every machine.
So graphviz is not needed; `dot` writes its text for those who want it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import final

from nas.drawing.shapes import DETAIL, Box, Figure, Line, Mark, Shape, Text
from nas.drawing.sketch import Graph, Link, Sketch

Make = Callable[[Sketch], Figure]

GAP, INNER, BETWEEN, LANE, SPACE = 60, 26, 12, 4, 10
"""Pixels between columns, between operations and their state, between operations, around a lane, and between states."""

SWEEPS = 8
"""The number of passes over the columns, from left to right and back in turns."""


@final
@dataclass(slots=True)
class _Place:
    """An item in a column: a state with its operations, or the lane of a source whose line passes by."""

    column: int
    source: int
    is_lane: bool
    operations: list[tuple[Link, Figure]] = field(default_factory=list)
    state: Figure = field(default_factory=lambda: Figure(0, 2, 1, ()))
    middle: float = 0.0

    @property
    def height(self) -> float:
        rows = sum(figure.height for _, figure in self.operations) + BETWEEN * max(0, len(self.operations) - 1)
        return max(rows, self.state.height) + (2 * LANE if self.is_lane else SPACE)

    def tops(self) -> Iterator[float]:
        """Yield the top of each operation."""
        rows = sum(figure.height for _, figure in self.operations) + BETWEEN * max(0, len(self.operations) - 1)
        top = self.middle - rows / 2
        for _, figure in self.operations:
            yield top
            top += figure.height + BETWEEN


@final
class _Plan:
    """The places in each column; the output is a state after all others."""

    def __init__(self, graph: Graph, make: Make) -> None:
        self.graph = graph
        self.out = len(graph.states)
        self.links = [*graph.links, *(Link((state,), self.out) for state in graph.outputs)]
        self.into: list[list[Link]] = [[] for _ in range(self.out + 1)]
        self.out_of: list[list[Link]] = [[] for _ in range(self.out + 1)]
        for link in self.links:
            self.into[link.target].append(link)
            for source in link.sources:
                self.out_of[source].append(link)
        self.columns = self._columns()
        self.places: dict[tuple[int, int], _Place] = {}
        for state in range(self.out + 1):
            place = _Place(self.columns[state], state, False, state=_state(graph, state))
            place.operations = [(link, make(link.operation)) for link in self.into[state] if link.operation]
            self.places[place.column, state] = place
        for source, column in sorted(self._passed()):
            self.places[column, source] = _Place(column, source, True)
        self.in_column = [
            [place for (at, _), place in sorted(self.places.items()) if at == column]
            for column in range(max(self.columns) + 1)
        ]

    def _columns(self) -> list[int]:
        # the longest path from an input; sources have smaller numbers, so their columns are final when they are read
        columns = [0] * (self.out + 1)
        for link in sorted(self.links, key=lambda link: link.target):
            columns[link.target] = max(columns[link.target], 1 + max(columns[source] for source in link.sources))
        columns[self.out] = max(columns[self.out], 1 + max(columns[: self.out]))  # the output is to the right of all
        return columns

    def _passed(self) -> set[tuple[int, int]]:
        return {
            (source, column)
            for link in self.links
            for source in link.sources
            for column in range(self.columns[source] + 1, self.columns[link.target])
        }

    def before(self, place: _Place) -> list[float]:
        """Return the heights of a place's sources, which are in the column before it."""
        sources = [place.source] if place.is_lane else [s for link in self.into[place.source] for s in link.sources]
        return [self.places[place.column - 1, source].middle for source in sources] if place.column else []

    def after(self, place: _Place) -> list[float]:
        """Return the heights of a place's readers and its next lane, which are in the column after it."""
        readers = [
            self.places[place.column + 1, link.target]
            for link in self.out_of[place.source]
            if self.columns[link.target] == place.column + 1
        ]
        lane = self.places.get((place.column + 1, place.source))
        return [each.middle for each in (*readers, *([lane] if lane is not None else []))]


def _state(graph: Graph, state: int) -> Figure:
    """Return the figure of a state: a pill with its name, and its note on open choices below."""
    name = graph.output if state == len(graph.states) else graph.states[state]
    label = Text(0, 0, name)
    width = max(30.0, label.width + 16)
    kind = graph.kinds[state] if state < len(graph.kinds) else "state"
    shapes: list[Shape] = [Box(0, 0, width, 30, kind, 15)]
    shapes.append(Text(width / 2, 15, name, anchor="middle"))
    note = graph.notes[state] if state < len(graph.notes) else ""
    if note:
        wide = Text(0, 0, note, "pale", DETAIL).width
        left = max(0.0, (wide - width) / 2)
        shapes = [*(shape.moved(left, 0) for shape in shapes)]
        shapes.append(Text(left + width / 2, 39, note, "pale", DETAIL, "middle"))
        return Figure(max(width, wide), 46, 15, tuple(shapes))
    return Figure(width, 30, 15, tuple(shapes))


def graph_figure(graph: Graph, make: Make) -> Figure:
    """Return the figure of a graph; `make` returns the figure of each operation."""
    plan = _Plan(graph, make)
    _arrange(plan)
    # heights may be negative: shift all of them down, so that the figure begins at 0
    top = min(place.middle - place.height / 2 for place in plan.places.values())
    for place in plan.places.values():
        place.middle -= top
    bottom = max(place.middle + place.height / 2 for place in plan.places.values())
    spans = list(_spans(plan))
    shapes = [shape for place in plan.places.values() for shape in _drawn(place, spans[place.column])]
    shapes = [*_lines(plan, spans), *shapes]
    return Figure(spans[-1].right, bottom, bottom / 2, tuple(shapes))


def _arrange(plan: _Plan) -> None:
    """Order each column and set the heights of its places, in alternating sweeps (Sugiyama et al. 1981)."""
    for column in plan.in_column:
        _settle(column, [0.0] * len(column))
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for column in plan.in_column if forward else reversed(plan.in_column):
            # aim at the mean of the neighbours on the side already placed; a place without any stays where it is
            wished = {id(place): _mean(plan.before(place) if forward else plan.after(place)) for place in column}
            own = {id(place): place.middle for place in column}
            aims = {key: own[key] if aim is None else aim for key, aim in wished.items()}
            # the last two sweeps keep the order and only refine the heights
            if sweep < SWEEPS - 2:
                column.sort(key=lambda place: aims[id(place)])
            _settle(column, [aims[id(place)] for place in column])
            for place in column:
                place.operations.sort(key=lambda each: _mean(_heights(plan, place, each[0])) or 0.0)


def _heights(plan: _Plan, place: _Place, link: Link) -> list[float]:
    return [plan.places[place.column - 1, source].middle for source in link.sources]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _settle(column: Sequence[_Place], aims: Sequence[float]) -> None:
    """Set the heights of places as close to their aims as their order and sizes allow, by isotonic regression."""
    # less its offset (its least distance from the first place), a height only has to be non-decreasing down the column
    offsets = [0.0]
    for above, below in pairwise(column):
        offsets.append(offsets[-1] + (above.height + below.height) / 2)
    pools: list[list[float]] = []  # [mean, count]: pool adjacent violators
    for aim, offset in zip(aims, offsets, strict=True):
        pools.append([aim - offset, 1])
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            mean, count = pools.pop()
            total = pools[-1][1] + count
            pools[-1] = [(pools[-1][0] * pools[-1][1] + mean * count) / total, total]
    settled = [mean for mean, count in pools for _ in range(int(count))]
    for place, mean, offset in zip(column, settled, offsets, strict=True):
        place.middle = mean + offset


@final
@dataclass(frozen=True, slots=True)
class _Span:
    """The x positions of a column: its left, the right of its operations, and its right."""

    left: float
    operations: float
    right: float


def _spans(plan: _Plan) -> Iterator[_Span]:
    left = 0.0
    for column in plan.in_column:
        operations = max([0.0, *(figure.width for place in column for _, figure in place.operations)])
        states = max(place.state.width for place in column)
        right = left + operations + (INNER if operations else 0) + states
        yield _Span(left, left + operations, right)
        left = right + GAP


def _drawn(place: _Place, span: _Span) -> Iterator[Shape]:
    """Yield the shapes of a place."""
    for (link, figure), top in zip(place.operations, place.tops(), strict=True):
        yield from figure.marked(link.mark).at(span.left, top)
    yield from place.state.at(span.right - place.state.width, place.middle - place.state.port)


def _lines(plan: _Plan, spans: Sequence[_Span]) -> Iterator[Line]:
    """Yield the lines: from states and lanes to their readers in the next column, and from operations to their state."""
    for place in plan.places.values():
        span = spans[place.column]
        if place.is_lane:
            going = [link for link in plan.out_of[place.source] if plan.columns[link.target] > place.column]
            look = _look(going)
            # a curve from the column before, then straight through this one
            begins = spans[place.column - 1].right, plan.places[place.column - 1, place.source].middle
            points = begins, (span.left, place.middle), (span.right, place.middle)
            yield Line(points, dashed=look[0], mark=look[1])
            continue
        yield from _into(plan, place, spans)


def _look(links: Iterable[Link]) -> tuple[bool, Mark | None]:
    """Return whether a lane is dashed, and its mark: the style that all its lines share."""
    listed = list(links)
    marks = {link.mark for link in listed}
    return all(link.is_open for link in listed), marks.pop() if len(marks) == 1 else None


def _into(plan: _Plan, place: _Place, spans: Sequence[_Span]) -> Iterator[Line]:
    span, end = spans[place.column], (spans[place.column].right - place.state.width, place.middle)
    through = {id(link): (figure, top) for (link, figure), top in zip(place.operations, place.tops(), strict=True)}
    for link in plan.into[place.source]:
        for source in link.sources:
            begin = spans[place.column - 1].right, plan.places[place.column - 1, source].middle
            if id(link) not in through:
                entry = [(span.left, end[1])] if span.left < end[0] else []
                yield Line((begin, *entry, end), arrow=True, dashed=link.is_open, mark=link.mark)
                continue
            figure, top = through[id(link)]
            entry = [(span.left, top + figure.port)]
            yield Line((begin, *entry), arrow=True, dashed=link.is_open, mark=link.mark)
        if id(link) in through:
            figure, top = through[id(link)]
            y = top + figure.port
            points = (span.left + figure.width, y), (span.operations, y), end
            yield Line(points, arrow=True, dashed=link.is_open, mark=link.mark)
