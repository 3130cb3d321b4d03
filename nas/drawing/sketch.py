"""Sketch: what is to be seen of a tree, before anything has a place.

A tree of any nodes becomes a tree of these few forms; layout, text for graphviz and the comparison of two trees work on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.drawing.shapes import Mark


@final
@dataclass(frozen=True, slots=True)
class Block:
    """An operation: its name, details below it, and the kind that gives it its colour.

    `options` are those of a choice that is open, each with its kind; where many have the same, `key` names the place where
    they are listed. `spelt` is the node in notation.
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
    """Parts one after another; none is a line."""

    parts: tuple[Sketch, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Paths:
    """Parts side by side that read one input; `join` says what becomes of their outputs, and "" that no lines are drawn."""

    parts: tuple[Sketch, ...]
    join: str


@final
@dataclass(frozen=True, slots=True)
class Framed:
    """A part in a frame that says something of it; the frame of an open choice is dashed."""

    title: str
    part: Sketch
    is_open: bool = False
    is_changed: bool = False


@final
@dataclass(frozen=True, slots=True)
class Link:
    """What a state reads: one of the `sources` (several where that is open), through an operation if there is one."""

    sources: tuple[int, ...]
    target: int
    operation: Sketch | None = None
    is_open: bool = False
    mark: Mark | None = None


@final
@dataclass(frozen=True, slots=True)
class Graph:
    """States, the first `inputs` of which are given; what the others read; and the states that the output is made of.

    `states` are their names; `notes` say what is open of them. `kind` colours states that are operations themselves.
    """

    states: tuple[str, ...]
    inputs: int
    links: tuple[Link, ...]
    output: str
    outputs: tuple[int, ...]
    notes: tuple[str, ...] = ()
    kind: str = "state"


@final
@dataclass(frozen=True, slots=True)
class Level:
    """A stage of a network: its name, how often it is repeated, and what is known of it in words and in numbers.

    `output` is its map as C × H × W, `params` the number of its parameters.
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
    """A network: its stages from the top to the bottom. `asides` are read in training only."""

    levels: tuple[Level, ...]
    asides: tuple[Level, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the page, with a title."""

    title: str
    part: Sketch


@final
@dataclass(frozen=True, slots=True)
class Page:
    """All that is seen."""

    panels: tuple[Panel, ...]


@final
@dataclass(frozen=True, slots=True)
class Changed:
    """What went and what came in its place; None where nothing did."""

    gone: Sketch | None
    came: Sketch | None


Sketch = Block | Row | Paths | Framed | Graph | Level | Levels | Panel | Page | Changed
"""A part of a picture."""
