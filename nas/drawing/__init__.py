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
    """Return the drawing of an architecture or a space as SVG text; None where it has no nodes to draw.

    A cell is drawn as a graph from left to right, a network as a table of its stages with their blocks; each cell has a
    separate panel. With images of shape `input` (C, H, W), the feature map sizes and parameters of a closed network are
    added; raises BuildError where the network does not fit them. The theme "auto" follows the reader's light or dark setting.
    """
    page = page_of(tree, input)
    return None if page is None else to_svg(figure(page), theme)


def draw_change(before: Any, after: Any, theme: Theme = "auto") -> str | None:
    """Return two architectures in one SVG: removed parts are struck out, with a minus; added parts are bold, with a plus.

    None where one of them has no nodes to draw.
    """
    old, new = page_of(before), page_of(after)
    return None if old is None or new is None else to_svg(figure(changed(old, new)), theme)
