"""Figure: writing a page as a picture, and labelling lines at their ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from nas.figures.colours import INK, LineStyle
from nas.figures.page import STYLE, FigurePage
from nas.files import write_atomically
from nas.records import RecordError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[float, float]]

LEADING = 1.3 / 72
"""The line spacing of text in inches, per point of font size."""


def write_figure(
    path: Path, size: tuple[float, float], draw: Callable[[FigurePage], None], style: Mapping[str, float] | None = None
) -> bool:
    """Write a page to `path`, an SVG or a PNG by its suffix; return whether a file was written.

    `size` is (width, height) in inches; `style` overrides entries of `STYLE`. Writes nothing where matplotlib is not
    installed. The same page gives the same SVG. Raises RecordError for another suffix.
    """
    if path.suffix not in (".svg", ".png"):
        raise RecordError(f"{path}: a picture is written as .svg or .png; give a path that ends so")
    try:
        from matplotlib import style as styles
        from matplotlib.figure import Figure
    except ImportError:
        return False
    with styles.context(["default", {**STYLE, **(style or {})}]):
        figure = Figure(figsize=size, facecolor="#ffffff")
        draw(FigurePage(figure))
        form, metadata = path.suffix[1:], {"Date": None} if path.suffix == ".svg" else None
        write_atomically(path, lambda beside: figure.savefig(beside, format=form, dpi=130, metadata=metadata))
    return True


@dataclass(frozen=True, slots=True)
class End:
    """The end of a line, and the rows of text written next to it."""

    x: float
    y: float
    rows: Sequence[str]
    line: LineStyle


def name_ends(axes: Axes, ends: Sequence[End], height: float, size: float) -> None:
    """Label the lines of axes at their right ends, without overlaps.

    `height` is that of the axes in inches, `size` the font size in points. The limits of the axes must be set before.
    """
    low, high = axes.get_ylim()
    heights = [LEADING * size * len(end.rows) / height for end in ends]
    places = apart([(end.y - low) / (high - low) for end in ends], heights)
    for end, place in zip(ends, places, strict=True):
        leader = {"arrowstyle": "-", "linestyle": (0, (1, 1.2)), "linewidth": 1.2, "color": end.line.colour}
        axes.annotate(
            "\n".join(end.rows),
            xy=(end.x, end.y),
            xytext=(1.04, place),
            textcoords="axes fraction",
            arrowprops={**leader, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 3},
            fontsize=size,
            color=INK,
            va="center",
            parse_math=False,
            annotation_clip=False,
        )


def rows_of(text: str, letters: int, most: int = 3) -> list[str]:
    """Wrap a text to rows of at most `letters` letters; the middle of a text of over `most` rows is left out."""
    rows = wrap(text, letters)
    return rows if len(rows) <= most else [*rows[: most - 1], f"… {rows[-1]}"]


def finish_percents(axes: Axes, whole: bool = False) -> None:
    """Set limits of a y axis in percent at least 4 apart, or 0 and 100 if `whole`, and keep its ticks within 0 to 100."""
    low, high = (-50.0, 150.0) if whole else axes.get_ylim()
    middle, half = (low + high) / 2, max(2.0, (high - low) / 2)
    margin = half / 20
    axes.set_ylim(low := max(-margin, middle - half), high := min(100 + margin, middle + half))
    axes.set_yticks([tick for tick in axes.get_yticks() if max(0, low) <= tick <= min(100, high)])


def plot_line(axes: Axes, points: Points, line: LineStyle, width: float, marker: str = "", size: float = 4.0) -> None:
    """Draw a line; without a `marker`, up to 5 points are marked with dots."""
    x, y = [each for each, _ in points], [each for _, each in points]
    (drawn,) = axes.plot(x, y, color=line.colour, linestyle=line.style, linewidth=width)
    drawn.set(marker=marker or ("o" if len(points) <= 5 else ""), markersize=size)


def apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Return places from 0 to 1, close to those wanted, at which labels of these heights do not overlap.

    Labels may be placed above 1 where there is not enough room.
    """
    # two sweeps: push overlapping labels up from below, then those that go beyond the top back down
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    places = dict.fromkeys(order, 0.0)
    below = 0.0
    for i in order:
        places[i] = max(wanted[i], below + heights[i] / 2)
        below = places[i] + heights[i] / 2
    above = max(1.0, sum(heights))
    for i in reversed(order):
        places[i] = min(places[i], above - heights[i] / 2)
        above = places[i] - heights[i] / 2
    return [places[i] for i in range(len(wanted))]
