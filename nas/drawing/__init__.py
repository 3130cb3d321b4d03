"""Drawing: an architecture, a space or a mutation as a picture in SVG or PNG, or as text for graphviz."""

from __future__ import annotations

from typing import Any

from nas.building import Shape
from nas.drawing.change import changed
from nas.drawing.graphviz import dot
from nas.drawing.layout import figure
from nas.drawing.pages import page_of
from nas.drawing.png import to_png
from nas.drawing.svg import Theme, to_svg

__all__ = ["Theme", "dot", "draw", "draw_change", "to_png"]


def draw(tree: Any, input: Shape | None = None, theme: Theme = "auto") -> str | None:
    """Return an architecture or a space, closed or open, as SVG text; None where it holds no nodes that could be drawn.

    A cell is a graph from left to right, a network a table of its stages with their blocks; each cell in it has a panel
    of its own. With images of shape `input` (C, H, W) a closed network's maps and parameters are written beside it;
    raises BuildError where it does not fit them. The theme "auto" is light or dark as the reader prefers.
    """
    page = page_of(tree, input)
    return None if page is None else to_svg(figure(page), theme)


def draw_change(before: Any, after: Any, theme: Theme = "auto") -> str | None:
    """Return two architectures in one picture: what went is struck out, with a minus; what came is heavy, with a plus.

    None where one of them holds no nodes that could be drawn.
    """
    old, new = page_of(before), page_of(after)
    return None if old is None or new is None else to_svg(figure(changed(old, new)), theme)
