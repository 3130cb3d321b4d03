"""Static pages: tables and drawn charts as one HTML file, in the style of the report, without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from importlib import resources
from pathlib import Path

from nas.files import write_atomically
from nas.report.html.page import MARK, check_target

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The content security policy of the pages: no requests, and no scripts."""


def write_static(path: Path, title: str, sections: Iterable[str]) -> None:
    """Write a page of some sections, which are HTML; a page that was written before is replaced.

    Raises RecordError where `path` is a folder, or another file.
    """
    check_target(path, may_replace=False, repair="give another --html")
    text = static_page(title, sections)
    write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8", "surrogateescape"))


def static_page(title: str, sections: Iterable[str]) -> str:
    """Return a page of some sections as text."""
    style = resources.files("nas.report.html").joinpath("assets", "report.css").read_text(encoding="utf-8")
    made = datetime.now().astimezone().isoformat(" ", "minutes")
    return "\n".join(
        [
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{MARK}',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n<style>\n{style}\n</style>\n</head>\n<body>',
            f'<main>\n<h1>{escape(title)}</h1>\n<p class="reading">Made {escape(made)}</p>',
            *sections,
            "</main>\n</body>\n</html>\n",
        ]
    )


def section(title: str, reading: str, *parts: str) -> str:
    """Return a section: a heading, one line that sums it up, and its parts, which are HTML."""
    head = f'<section class="long"><header><h2>{escape(title)}</h2></header>\n<p class="reading">{escape(reading)}</p>'
    return "\n".join([head, *parts, "</section>"])


def html_table(columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """Return a table; the cells are HTML, and the columns in `numbers` are set to the right."""
    sides = [' class="number"' if column in numbers else "" for column in columns]
    head = "".join(f"<th{side}>{escape(column)}</th>" for column, side in zip(columns, sides, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{side}>{cell}</td>" for cell, side in zip(row, sides, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="box"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
