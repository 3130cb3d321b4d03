"""Page: a figure whose text and panels are placed by coordinates in inches."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from nas.figures.colours import INK, PALE, LineStyle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTER = 0.62 / 72
"""The width of a letter in inches, per point of font size; a little over the average."""

STYLE = {
    "svg.hashsalt": "cellstack",
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "axes.labelsize": 8.0,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e7ee",
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
}
"""The matplotlib style of a page: text in an SVG stays text, and the same page gives the same bytes."""


@final
class FigurePage:
    """A white page of `width` by `height` inches; x is measured from the left, y from the top."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.width, self.height = map(float, figure.get_size_inches())
        self.whole = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.whole.set(xlim=(0, self.width), ylim=(self.height, 0))
        self.whole.set_axis_off()

    def panel(self, x: float, y: float, width: float, height: float) -> Axes:
        """Return new axes with their upper left corner at (x, y)."""
        bottom = self.height - y - height
        return self.figure.add_axes((x / self.width, bottom / self.height, width / self.width, height / self.height))

    def text(self, x: float, y: float, text: str, size: float = 8.0, bold: bool = False, side: str = "left") -> None:
        """Write a text with its baseline at y, and its left or right `side` at x."""
        weight = "bold" if bold else "normal"
        self.whole.text(x, y, text, fontsize=size, fontweight=weight, ha=side, va="baseline", parse_math=False)

    def key(self, x: float, y: float, line: LineStyle, text: str) -> None:
        """Draw an entry of a legend: a piece of the line, and its text."""
        self.whole.plot([x, x + 0.34], [y - 0.04, y - 0.04], color=line.colour, linestyle=line.style, linewidth=2)
        self.text(x + 0.42, y, text)


def shortened(text: str, inches: float, size: float = 8.0) -> str:
    """Return as much of the end of a text as fits into `inches`."""
    letters = max(2, int(inches / (LETTER * size)))
    return text if len(text) <= letters else f"…{text[1 - letters :]}"
