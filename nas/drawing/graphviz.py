"""Graphviz: the drawing of a tree as text for `dot`, for other layouts and styles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any, final

from nas.drawing.pages import page_of
from nas.drawing.sketch import Block, Framed, Graph, Level, Levels, Panel, Paths, Row, Sketch
from nas.drawing.svg import PAINTS
from nas.records import RecordError

Ends = tuple[str, str]
"""The names of the first and the last vertex of a part."""


def dot(tree: Any) -> str:
    """Return an architecture or a space as a directed graph in the DOT language.

    Raises RecordError where it has no nodes.
    """
    page = page_of(tree)
    if page is None:
        raise RecordError(
            f"a {type(tree).__name__} holds no nodes, so there is no graph of it: give an architecture or a space"
        )
    writer = _Writer()
    body = [line for i, panel in enumerate(page.panels) for line in writer.panel(panel, i)]
    head = [
        "rankdir=LR",
        'graph [fontname="sans-serif"]',
        'node [shape=box, style="rounded,filled", fillcolor=white, fontname="sans-serif"]',
    ]
    return "\n".join(["digraph architecture {", *(f"  {line};" for line in head), *_indented(body), "}"]) + "\n"


def quoted(text: str) -> str:
    """Return a text in quotes, escaped so that graphviz reads it back unchanged."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


@final
@dataclass(slots=True)
class _Writer:
    """A writer of parts as lines of DOT; it numbers the vertices."""

    numbers: Iterator[int] = field(default_factory=count)

    def vertex(self, lines: list[str], label: str, **looks: str) -> str:
        name = f"n{next(self.numbers)}"
        attributes = "".join(f", {key}={quoted(value)}" for key, value in looks.items())
        lines.append(f"{name} [label={quoted(label)}{attributes}];")
        return name

    def panel(self, panel: Panel, number: int) -> list[str]:
        lines: list[str] = []
        self.part(panel.part, lines)
        return self.cluster(panel.title, lines)

    def cluster(self, title: str, lines: list[str], is_open: bool = False) -> list[str]:
        looks = [f"label={quoted(title)};", f"style={'dashed' if is_open else 'rounded'};"]
        return [f"subgraph cluster_{next(self.numbers)} {{", *_indented([*looks, *lines]), "}"]

    def part(self, sketch: Sketch, lines: list[str]) -> Ends:
        """Append the lines of a part to `lines`; return its first and last vertex."""
        match sketch:
            case Block():
                return self.block(sketch, lines)
            case Row():
                return self.row(sketch.parts, lines)
            case Paths():
                return self.paths(sketch, lines)
            case Framed():
                inside: list[str] = []
                ends = self.part(sketch.part, inside)
                lines += self.cluster(sketch.title, inside, sketch.is_open)
                return ends
            case Level():
                title = ", ".join(word for word in (f"{sketch.name} {sketch.repeat}".strip(), sketch.title) if word)
                return self.part(Framed(title, sketch.part), lines)
            case Levels():
                return self.row(sketch.levels, lines)
            case Graph():
                return self.graph(sketch, lines)
        raise TypeError(f"{type(sketch).__name__} has no text for graphviz: add one to part()")

    def block(self, block: Block, lines: list[str]) -> Ends:
        label = "\n".join((block.label, *block.details, *(text for text, _ in block.options)))
        paint = PAINTS["open" if block.options else block.kind]
        looks = {"fillcolor": paint.fill, "color": paint.stroke}
        looks |= {"style": "rounded,filled,dashed"} if block.is_open else {}
        name = self.vertex(lines, label, **looks)
        return name, name

    def row(self, parts: Iterable[Sketch], lines: list[str]) -> Ends:
        ends = [self.part(part, lines) for part in parts]
        if not ends:
            name = self.vertex(lines, "", shape="point")
            return name, name
        lines += [f"{end} -> {begin};" for (_, end), (begin, _) in pairwise(ends)]
        return ends[0][0], ends[-1][1]

    def paths(self, paths: Paths, lines: list[str]) -> Ends:
        begin = self.vertex(lines, "", shape="point")
        end = self.vertex(lines, paths.join, shape="point" if not paths.join else "ellipse")
        for part in paths.parts:
            first, last = self.part(part, lines)
            lines += [f"{begin} -> {first};", f"{last} -> {end};"]
        return begin, end

    def graph(self, graph: Graph, lines: list[str]) -> Ends:
        names = [self.vertex(lines, state, shape="ellipse") for state in graph.states]
        output = self.vertex(lines, graph.output, shape="ellipse")
        for link in graph.links:
            dashed = " [style=dashed]" if link.is_open else ""
            first = last = names[link.target]  # without an operation, the edge leads from state to state
            if link.operation is not None:
                first, last = self.part(link.operation, lines)
                lines.append(f"{last} -> {names[link.target]}{dashed};")
            lines += [f"{names[source]} -> {first}{dashed};" for source in link.sources]
        lines += [f"{names[state]} -> {output};" for state in graph.outputs]
        return names[0], output
