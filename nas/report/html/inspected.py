"""The page of an inspected network: the findings of each method, by chapter, with their figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from nas.inspection.findings import Chart, Figure, Listing, Matrix, Outlines, Picture, Pictures
from nas.inspection.inspection import CHAPTERS, Inspection
from nas.report.html.colours import HUES
from nas.report.html.pixels import data_uri
from nas.report.html.plots import plot
from nas.report.html.static import html_table, section, write_static
from nas.runs.inspect_weights import Inspected

FRAMES = tuple(HUES[i][0] for i in (3, 2, 0, 1, 4, 5))
"""The colours of frames on an image."""

ROOM = 0.5
"""The room around an image for frames beyond it, as a share of its side; larger frames leave the picture."""


SHORT = 3
"""The number of letters of a name that fits above a column of counts."""


def write_inspected(path: Path, inspected: Inspected) -> None:
    """Write the page; one that was written before is replaced. Raises RecordError where `path` is another file."""
    said = f"{inspected.network}. {inspected.inspected_on}."
    parts = [section(inspected.checkpoint, said, contents(inspected))]
    for each, findings in inspected.found:
        source = f'<p class="source">{escape(source_of(each))}</p>'
        text = section(each.title, findings.reading, drawings(findings.figures), source)
        parts.append(f'<div id="{each.name}">\n{text}\n</div>')
    write_static(path, "A network inspected", [*parts, "<footer>Written by nas inspect</footer>"])


def contents(inspected: Inspected) -> str:
    """Return links to the methods, by chapter."""
    lines = []
    for chapter in CHAPTERS:
        links = [
            f'<a href="#{each.name}">{escape(each.title)}</a>' for each, _ in inspected.found if each.chapter == chapter
        ]
        if links:
            lines.append(f"<dt>{escape(chapter)}</dt><dd>{' · '.join(links)}</dd>")
    return f'<dl class="contents">{"".join(lines)}</dl>'


def source_of(method: Inspection) -> str:
    """Return the first line of a method's docstring, and what it says about its source."""
    text = type(method).__doc__ or ""
    first, _, rest = text.partition("\n")
    _, found, source = " ".join(rest.split()).partition("Source: ")
    return f"{first} {found}{source}".strip()


def drawings(figures: Sequence[Figure]) -> str:
    """Return figures below each other or, where the first is no row of pictures, side by side as far as there is room."""
    drawn = "\n".join(f"<div>{drawing(figure)}</div>" for figure in figures)
    return drawn if not figures or isinstance(figures[0], Pictures) else f'<div class="columns">{drawn}</div>'


def drawing(figure: Figure) -> str:
    """Return a figure as HTML."""
    drawn: dict[type[Any], Callable[[Any], str]] = {
        Pictures: pictures,
        Outlines: outlines,
        Chart: plot,
        Matrix: matrix,
        Listing: lambda each: html_table(each.columns, _escaped(each.rows), each.numbers),
    }
    return drawn[type(figure)](figure)


def _escaped(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[escape(cell) for cell in row] for row in rows]


def pictures(figure: Pictures) -> str:
    """Return pictures side by side: in rows of `columns`, or of as many as there is room for."""
    heading = f"<h3>{escape(figure.heading)}</h3>" if figure.heading else ""
    rows = f' style="--columns:{figure.columns}"' if figure.columns else ""
    kind = "pictures rows-of" if figure.columns else "pictures"
    return f'{heading}<div class="{kind}"{rows}>{"".join(map(_picture, figure.pictures))}</div>'


def _picture(picture: Picture) -> str:
    words = escape(picture.caption).replace(" %", "&nbsp;%").replace(" x ", "&nbsp;x&nbsp;")
    caption = f"<figcaption>{words}</figcaption>" if words else ""
    height, width = picture.values.shape[-2:]
    kind = ' class="pixels"' if max(height, width) <= 64 else ""
    name = escape(picture.caption or "a map of the image", quote=True)
    return f'<figure><img{kind} src="{data_uri(picture)}" width="{width}" height="{height}" alt="{name}">{caption}</figure>'


def outlines(figure: Outlines) -> str:
    """Return an image with frames on it, and the frames' labels in their colours."""
    height, width = figure.image.shape[1:]
    beyond = max(max(-left, -top, right - width, bottom - height) for _, left, top, right, bottom in figure.rectangles)
    room = max(0.5, min(beyond + 0.5, ROOM * max(height, width)))
    size = f"{-room:g} {-room:g} {width + 2 * room:g} {height + 2 * room:g}"
    stroke = (width + 2 * room) / 160
    frames, labels = [], []
    for i, (label, left, top, right, bottom) in enumerate(figure.rectangles):
        colour = FRAMES[i % len(FRAMES)]
        edges = f'x="{left:g}" y="{top:g}" width="{right - left:g}" height="{bottom - top:g}"'
        frames.append(f'<rect {edges} style="fill:none;stroke:{colour};stroke-width:{stroke:.3g}"/>')
        is_outside = max(-left, -top, right - width, bottom - height) > room
        key = f'<svg viewBox="0 0 26 12"><path d="M1 6H25" style="stroke:{colour};stroke-width:3"/></svg>'
        labels.append(f"<li>{key}{escape(label)}{', beyond the picture' if is_outside else ''}</li>")
    image = f'<image class="pixels" href="{data_uri(Picture(figure.image))}" width="{width}" height="{height}"/>'
    drawn = f'<svg class="outlines" role="img" viewBox="{size}" aria-label="receptive fields">{image}{"".join(frames)}</svg>'
    return f'{drawn}<ul class="legend">{"".join(labels)}</ul>'


def matrix(figure: Matrix) -> str:
    """Return a table of counts whose cells are the darker, the larger their share of their row."""
    kind = ' class="upright"' if max(map(len, figure.names)) > SHORT else ""
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name in figure.names)
    rows = []
    for name, counts in zip(figure.names, figure.counts, strict=True):
        cells = "".join(_shaded(each, each / max(1, sum(counts))) for each in counts)
        rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    said = f'<p class="source">Rows: {escape(figure.rows)}; columns: {escape(figure.columns)}</p>'
    table = f'<table class="matrix"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'{said}<div class="box">{table}</div>'


def _shaded(count: int, share: float) -> str:
    colour = f"color-mix(in srgb, var(--accent) {60 * share:.0f}%, transparent)"
    return f'<td class="number" style="background:{colour}">{count or ""}</td>'
