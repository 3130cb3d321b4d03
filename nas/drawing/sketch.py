"""Sketch: the content of a drawing, before layout.

A tree of any nodes becomes a tree of these few forms. Layout, graphviz text and the comparison of two trees work on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.drawing.shapes import Mark


@final
@dataclass(frozen=True, slots=True)
class Block:
    """An operation: its name, details below it, and the kind that determines its colour.

    `options` are those of an open choice, each with its kind; `key` is the letter of a list of options that many choices
    share. `spelt` is the node in notation.
    """

    label: str
    details: tuple[str, ...] = ()
    kind: str = "other"
    options: tuple[tuple[str, str], ...] = ()
    key: str = ""
    is_open: bool = False
    spelt: str = ""


@final
@dataclass(frozen=True, slots=True)
class Row:
    """Parts in series; without any, it is drawn as a plain line."""

    parts: tuple[Sketch, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Paths:
    """Parallel parts with the same input; `join` is how their outputs are joined, "" for a list without lines."""

    parts: tuple[Sketch, ...]
    join: str


@final
@dataclass(frozen=True, slots=True)
class Framed:
    """A part in a frame with a title; the frame of an open choice is dashed."""

    title: str
    part: Sketch
    is_open: bool = False
    is_changed: bool = False


@final
@dataclass(frozen=True, slots=True)
class Link:
    """An input of the state `target`: one of the `sources` (several for an open choice), through an operation if any."""

    sources: tuple[int, ...]
    target: int
    operation: Sketch | None = None
    is_open: bool = False
    mark: Mark | None = None


@final
@dataclass(frozen=True, slots=True)
class Graph:
    """A graph of states: the first `inputs` states are its inputs, `links` are the inputs of the others.

    `states` are names, `outputs` the states that form the output, `notes` texts on the states' open choices. `kinds` are the
    colours of the states, where some are operations themselves.
    """

    states: tuple[str, ...]
    inputs: int
    links: tuple[Link, ...]
    output: str
    outputs: tuple[int, ...]
    notes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Level:
    """A stage of a network: its name, its repeats, its sketch, and a title.

    `output` is the shape of its feature map as C × H × W, `params` the number of its parameters; empty if unknown.
    """

    name: str
    repeat: str
    part: Sketch
    title: str = ""
    is_changed: bool = False
    output: str = ""
    params: int | None = None


@final
@dataclass(frozen=True, slots=True)
class Levels:
    """A network: its stages from top to bottom. `asides` are auxiliary heads, used in training only."""

    levels: tuple[Level, ...]
    asides: tuple[Level, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Panel:
    """A titled part of the page."""

    title: str
    part: Sketch


@final
@dataclass(frozen=True, slots=True)
class Page:
    """The whole drawing."""

    panels: tuple[Panel, ...]


@final
@dataclass(frozen=True, slots=True)
class Changed:
    """A removed part and the part added in its place; None for neither."""

    gone: Sketch | None
    came: Sketch | None


Sketch = Block | Row | Paths | Framed | Graph | Level | Levels | Panel | Page | Changed
"""A part of a drawing."""
